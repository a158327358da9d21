"""The way to the first postback as a list that a new organization ticks off."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse

from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.snippets import event_snippet
from apps_registry.roles import Right
from postbacks.insights.first_steps import FirstSteps


@dataclass(frozen=True, slots=True)
class Step:
    """This is one thing to do. `url` is empty for whom may not do it, or where no page does it."""

    title: str
    text: str
    done: bool
    url: str = ""
    action: str = ""
    command: str = ""


def checklist(steps: FirstSteps, request: HttpRequest) -> list[Step]:
    """Return the steps in order, with links for those whose role may take them."""
    sets_up, manages = allowed(request, Right.SET_UP), allowed(request, Right.MANAGE)
    return [
        Step(
            "Add an app",
            "Your mobile app, with its bundle ID as the store knows it.",
            steps.app,
            _add("apps_registry_app") if sets_up else "",
            "Add an app",
        ),
        Step(
            "Add a partner",
            "Who is told: an ad network, an MMP, an analytics tool or your own server.",
            steps.partner,
            _add("apps_registry_partner") if sets_up else "",
            "Add a partner",
        ),
        Step(
            "Write a callback rule",
            "Which events send a postback to the partner, and what it says. "
            "Have it send purchases, and set its status to Active.",
            steps.rule,
            _add("postbacks_callbackrule") if sets_up else "",
            "Write a rule",
        ),
        Step(
            "Create an SDK key",
            "Your app or your server reports with it. It is shown once, when it is made."
            + ("" if manages else " An owner of your organization can create it."),
            steps.sdk_key,
            _add("apps_registry_sdkkey") if manages else "",
            "Create an SDK key",
        ),
        Step(
            "Send an event",
            "A purchase: put your key into this command and run it in a terminal.",
            steps.event,
            command=""
            if steps.event
            else event_snippet(
                request.build_absolute_uri("/").rstrip("/"), "YOUR_SDK_KEY", steps.platform
            ),
        ),
    ]


def _add(page: str) -> str:
    return reverse(f"admin:{page}_add")
