"""The pages of partner templates: the gallery, and the form that makes a partner of one."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied, ValidationError
from django.forms import BoundField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from apps_registry.admin_base.permissions import allowed
from apps_registry.models import App, Partner, User
from apps_registry.roles import Right
from apps_registry.tenancy import Lifecycle, current_organization
from postbacks.admin.rules.fields import PairLinesField
from postbacks.callbacks.partner_templates import (
    CredentialAsked,
    Missing,
    PartnerTemplate,
    RuleTemplate,
    State,
    TemplateGroup,
    all_templates,
    first_choice,
    missing_answers,
    template_named,
    unavailable_partners,
)
from postbacks.models import CallbackRule
from postbacks.rulebook import partner_setup
from postbacks.rulebook.partner_setup import Answers, Reported
from postbacks.rulebook.saving import RuleProblemsError

# FOLDED from template_form.py

_INPUT = {"class": "rule-input", "autocomplete": "off"}


class TemplateForm(forms.Form):
    """Takes the answers in; its fields are the template's questions."""

    def __init__(self, template: PartnerTemplate, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.template = template
        self.fields["name"] = _text(
            "Name", _free_name(template.title), "Who is told, for example Unity Ads."
        )
        self.fields["app"] = forms.ModelChoiceField(
            App.objects.filter(status=Lifecycle.ACTIVE).order_by("name"),
            required=False,
            empty_label="All apps",
            widget=forms.Select(attrs=_INPUT),
            help_text="Whose events are reported. Networks often have credentials for each app.",
        )
        if template.asks_address:
            self.fields["address"] = _text(
                "Address",
                "",
                "Where it is sent to, for example https://server.example.com/events.",
                longest=2048,
            )
        for asked in template.credentials:
            self.fields[f"credential_{asked.name}"] = _credential(asked)
        for number, rule in enumerate(template.rules):
            self.fields[f"events_{number}"] = _events(rule)
        for name, field in self.fields.items():
            field.widget.attrs["aria-describedby"] = f"id_{name}_help"

    @property
    def details(self) -> list[BoundField]:
        return [self[name] for name in ("name", "app", "address") if name in self.fields]

    @property
    def credentials(self) -> list[BoundField]:
        return [self[name] for name in self.fields if name.startswith("credential_")]

    @property
    def events(self) -> list[BoundField]:
        return [self[name] for name in self.fields if name.startswith("events_")]

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Return what has no answer yet, of what was sent or is offered."""
        given = {asked.name: self._given(f"credential_{asked.name}") for asked in self._asked}
        return missing_answers(
            self.template,
            credentials=given,
            events=self._any_events,
            address=self._given("address"),
        )

    def answers(self) -> Answers:
        """Return what a valid form says."""
        cleaned = self.cleaned_data
        return Answers(
            name=cleaned["name"],
            credentials={asked.name: cleaned[f"credential_{asked.name}"] for asked in self._asked},
            reported=[
                _reported(rule, cleaned[f"events_{number}"])
                for number, rule in enumerate(self.template.rules)
            ],
            app=cleaned["app"],
            address=cleaned.get("address", ""),
        )

    def clean_name(self) -> str:
        """Hold that no other partner in use has the name."""
        name = str(self.cleaned_data["name"])
        partner: Any = Partner(name=name)
        partner.organization_id = current_organization()
        try:
            partner.validate_constraints()
        except ValidationError as taken:
            raise ValidationError(taken.messages) from None
        return name

    def clean(self) -> dict[str, Any]:
        if not any(self.cleaned_data.get(bound.name) for bound in self.events):
            raise ValidationError("Choose at least one event to report.")
        return self.cleaned_data

    @property
    def _asked(self) -> tuple[CredentialAsked, ...]:
        return self.template.credentials

    @property
    def _any_events(self) -> list[str]:
        return [text for bound in self.events for text in _listed(bound.value()) if text]

    def _given(self, name: str) -> str:
        return str(self[name].value() or "") if name in self.fields else ""


def _free_name(wanted: str) -> str:
    in_use = Partner.objects.exclude(status=Lifecycle.ARCHIVED).filter(name__startswith=wanted)
    taken = set(in_use.values_list("name", flat=True))
    numbered = (f"{wanted} {number}" for number in range(2, len(taken) + 3))
    return wanted if wanted not in taken else next(it for it in numbered if it not in taken)


def _text(label: str, initial: str, help_text: str, *, longest: int = 120) -> forms.CharField:
    return forms.CharField(
        label=label,
        initial=initial,
        max_length=longest,
        help_text=help_text,
        widget=forms.TextInput(attrs=_INPUT),
    )


def _credential(asked: CredentialAsked) -> forms.CharField:
    widget = (
        forms.PasswordInput(attrs={**_INPUT, "autocomplete": "new-password"})
        if asked.secret
        else forms.TextInput(attrs=_INPUT)
    )
    return forms.CharField(
        label=asked.label,
        max_length=4096,
        widget=widget,
        help_text=f"{asked.help} For example {asked.example}",
    )


def _events(rule: RuleTemplate) -> forms.Field:
    label = rule.title[:1].upper() + rule.title[1:]
    if rule.asks_names:
        example = "\n".join(f"{event.ours} = {event.theirs}" for event in rule.events)
        field = PairLinesField(
            separator="=",
            example=example.splitlines()[0],
            longest_value=255,
            label=label,
            widget=forms.Textarea(attrs={**_INPUT, "rows": 4, "spellcheck": "false"}),
        )
        field.help_text = (
            f"One to a line: your name of the event = {rule.asks_names}. "
            f"For example {example.splitlines()[0]}"
        )
        return field
    choices = [(event.ours, _choice(event.ours, event.theirs)) for event in rule.events]
    return forms.MultipleChoiceField(
        label=label,
        choices=choices,
        required=False,
        initial=first_choice(rule),
        widget=forms.CheckboxSelectMultiple(attrs={"class": "rule-check"}),
    )


def _choice(ours: str, theirs: str) -> str:
    if ours == "*":
        return "any event"
    return ours if ours == theirs else f"{ours} → {theirs}"


def _reported(rule: RuleTemplate, chosen: list[str] | Mapping[str, str]) -> Reported:
    if isinstance(chosen, Mapping):
        return Reported(rule, list(chosen), chosen)
    return Reported(rule, chosen)


def _listed(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(it) for it in value]
    return str(value or "").split("\n")


_TITLES = {
    TemplateGroup.AD_NETWORK: "Ad networks",
    TemplateGroup.MMP: "Measurement partners (MMPs)",
    TemplateGroup.OWN_SYSTEM: "Your own systems",
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
