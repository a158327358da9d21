"""The way to the first postback: how far a new organization has come, and a list to tick off."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse

from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.snippets import event_snippet
from apps_registry.roles import Right
from apps_registry.tenancy import Lifecycle
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import fetch_row
from postbacks.models import RuleStatus

_READ_FIRST_STEPS = load_sql(
    "postbacks.insights.overview", "read_first_steps", Lifecycle, RuleStatus
)


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """The first steps that are done. `platform` is that of the newest app, or empty."""

    app: bool
    partner: bool
    rule: bool
    sdk_key: bool
    event: bool
    platform: str

    @property
    def done(self) -> int:
        return sum((self.app, self.partner, self.rule, self.sdk_key, self.event))

    @property
    def complete(self) -> bool:
        """Tell whether nothing is left. A rule needs no partner, so it stands for one too."""
        return self.app and self.sdk_key and self.event and self.rule


@dataclass(frozen=True, slots=True)
class ChecklistStep:
    """One thing to do. `url` is empty where the role may not do it, or no page does."""

    title: str
    text: str
    done: bool
    url: str = ""
    action: str = ""
    command: str = ""


def read_first_steps() -> FirstSteps:
    """Read how far the current organization has come."""
    return fetch_row(FirstSteps, _READ_FIRST_STEPS)


def checklist(steps: FirstSteps, request: HttpRequest) -> list[ChecklistStep]:
    """Return the steps in order, with links where the role may take them."""
    sets_up, manages = allowed(request, Right.SET_UP), allowed(request, Right.MANAGE)
    return [
        ChecklistStep(
            "Add an app",
            "Your mobile app, with its bundle ID as the store knows it.",
            steps.app,
            _add("apps_registry_app") if sets_up else "",
            "Add an app",
        ),
        ChecklistStep(
            "Add a partner",
            "Receives postbacks: an ad network, an MMP, an analytics tool or your own server.",
            steps.partner,
            _add("apps_registry_partner") if sets_up else "",
            "Add a partner",
        ),
        ChecklistStep(
            "Write a callback rule",
            "Which events send a postback to the partner, and its content. "
            "Have it send purchases, and set its status to Active.",
            steps.rule,
            _add("postbacks_callbackrule") if sets_up else "",
            "Write a rule",
        ),
        ChecklistStep(
            "Create an SDK key",
            "Your app or your server reports with it. It is shown once, when it is made."
            + ("" if manages else " An owner of your organization can create it."),
            steps.sdk_key,
            _add("apps_registry_sdkkey") if manages else "",
            "Create an SDK key",
        ),
        ChecklistStep(
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
