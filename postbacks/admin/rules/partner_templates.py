"""The pages of partner templates: the gallery, and the form that makes a partner of one."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from apps_registry.admin_base.permissions import allowed
from apps_registry.models import User
from apps_registry.roles import Right
from postbacks.admin.template_form import TemplateForm
from postbacks.callbacks.partner_templates import (
    Group,
    PartnerTemplate,
    State,
    all_templates,
    template_named,
    unavailable_partners,
)
from postbacks.models import CallbackRule
from postbacks.rulebook import partner_setup
from postbacks.rulebook.saving import RuleProblemsError

_TITLES = {
    Group.AD_NETWORK: "Ad networks",
    Group.MMP: "Measurement partners (MMPs)",
    Group.OWN_SYSTEM: "Your own systems",
}
STATES = {
    State.READ: ("good", "Verified"),
    State.OWN: ("good", "Your own"),
    State.PARTLY: ("busy", "Partly verified"),
    State.OLD: ("bad", "Not verified"),
}


class TemplatePages:
    """Serves the pages below the list of callback rules, where a template leads to."""

    def __init__(self, model_admin: ModelAdmin) -> None:
        self.model_admin = model_admin
        self.site = model_admin.admin_site

    @property
    def urls(self) -> list[URLPattern]:
        """Return the addresses of the pages."""
        return [
            path(
                "templates/",
                self.site.admin_view(self.gallery),
                name="postbacks_callbackrule_templates",
            ),
            path(
                "templates/<slug:name>/",
                self.site.admin_view(self.form),
                name="postbacks_callbackrule_template",
            ),
        ]

    def gallery(self, request: HttpRequest) -> HttpResponse:
        """Show the templates by group, those that a search leaves, and what has none yet."""
        asked = request.GET.get("q", "").strip()
        found = [
            it
            for it in all_templates().values()
            if _matches(asked, it.title, it.name, it.about, it.group)
        ]
        groups = [
            (title, [(it, *STATES[it.verification.state]) for it in found if it.group == group])
            for group, title in _TITLES.items()
        ]
        context = {
            "title": "Add a partner from a template",
            "groups": [(title, rows) for title, rows in groups if rows],
            "unavailable": [
                it for it in unavailable_partners() if _matches(asked, it.title, it.also)
            ],
            "asked": asked,
            "back": reverse("admin:apps_registry_partner_changelist"),
        }
        return self._page(request, "gallery", context)

    def form(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask a template's questions, and make the partner and its draft rules."""
        template = template_named(name)
        if template is None:
            raise Http404
        if not _may_use(request, template):
            raise PermissionDenied
        form = TemplateForm(template, request.POST or None)
        if "_live" in request.POST:
            return self._page(request, "missing", {"form": form})
        if form.is_bound and form.is_valid() and (answer := self._made(request, template, form)):
            return answer
        tone, state = STATES[template.verification.state]
        context = {
            "title": f"Add {template.title}",
            "template": template,
            "form": form,
            "tone": tone,
            "state": state,
            "back": reverse("admin:postbacks_callbackrule_templates"),
        }
        return self._page(request, "form", context)

    def _made(
        self, request: HttpRequest, template: PartnerTemplate, form: TemplateForm
    ) -> HttpResponse | None:
        answers = form.answers()
        hosts = template.allowed_hosts
        if template.asks_address and template.credentials:
            hosts = (urlsplit(answers.address).netloc,)  # an owner names the host by the address
        by = request.user if isinstance(request.user, User) else None
        try:
            made = partner_setup.make_partner(template, answers, allowed_hosts=hosts, by=by)
        except RuleProblemsError as refusal:
            for problem in refusal.problems:
                form.add_error("address" if template.asks_address else None, problem.message)
            return None
        self._tell(request, made)
        first = made.rules[0]
        return HttpResponseRedirect(
            reverse("admin:postbacks_callbackrule_change", args=[str(first.pk)])
        )

    def _tell(self, request: HttpRequest, made: partner_setup.Made) -> None:
        """Say what was made, and that nothing is sent yet."""
        for rule in made.rules:
            self.model_admin.log_addition(request, rule, "Made from a template.")
        others = ", ".join(f"“{rule}”" for rule in made.rules[1:])
        text = f"{made.partner} was added with {_count(made.rules)}. This is the first of them."
        if not others:
            text = f"{made.partner} was added with this draft rule."
        more = f" The others: {others}." if others else ""
        messages.success(request, f"{text}{more} Nothing is sent until you switch it on.")

    def _page(self, request: HttpRequest, page: str, context: Mapping[str, object]) -> HttpResponse:
        whole = {**self.site.each_context(request), "opts": self.model_admin.opts, **context}
        template = f"admin/postbacks/callbackrule/templates/{page}.html"
        return TemplateResponse(request, template, whole)


def _count(rules: tuple[CallbackRule, ...]) -> str:
    return f"{len(rules)} draft rules"


def _may_use(request: HttpRequest, template: PartnerTemplate) -> bool:
    """Tell whether a person may make a partner of a template.

    Where credentials go is for owners to say; a template that knows its hosts has said it.
    """
    names_a_host = template.asks_address and bool(template.credentials)
    return allowed(request, Right.MANAGE if names_a_host else Right.SET_UP)


def _matches(asked: str, *texts: str) -> bool:
    text = " ".join(texts).lower()
    return all(word in text for word in asked.lower().split())
