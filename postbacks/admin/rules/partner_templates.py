"""The pages of partner templates: the gallery, and the form that sets a partner up from one."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.forms import BoundField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from apps_registry.admin_base.permissions import allowed, user_of
from apps_registry.admin_base.tenant_admin import SubPage
from apps_registry.models import App, Partner
from apps_registry.roles import Right
from apps_registry.tenancy import Lifecycle, current_organization
from postbacks.admin.logs.base import is_id
from postbacks.admin.rules.fields import PairLinesField
from postbacks.callbacks.partner_templates import (
    CredentialAsked,
    MissingAnswer,
    PartnerTemplate,
    RuleTemplate,
    TemplateGroup,
    VerificationState,
    all_templates,
    first_choice,
    missing_answers,
    template_named,
    unavailable_partners,
)
from postbacks.callbacks.rules.definition import MOST_MAPPED
from postbacks.rulebook import partner_setup
from postbacks.rulebook.partner_setup import Answers, ChosenEvents
from postbacks.rulebook.saving import RuleProblemsError
from postbacks.values.events import ANY_EVENT

STATES = {
    VerificationState.READ: ("good", "Verified"),
    VerificationState.OWN: ("good", "Your own"),
    VerificationState.PARTLY: ("busy", "Partly verified"),
    VerificationState.OLD: ("bad", "Not verified"),
}
_TITLES = {
    TemplateGroup.AD_NETWORK: "Ad networks",
    TemplateGroup.MMP: "Measurement partners (MMPs)",
    TemplateGroup.OWN_SYSTEM: "Your own systems",
}
_INPUT = {"class": "rule-input", "autocomplete": "off"}


class PartnerTemplateForm(forms.Form):
    """Asks a template's questions; its fields follow from the template."""

    def __init__(self, template: PartnerTemplate, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.template = template
        self.fields["name"] = _text(
            "Name",
            _free_name(template.title),
            "The partner that gets the postbacks, for example Unity Ads.",
        )
        self.fields["app"] = forms.ModelChoiceField(
            App.objects.filter(status=Lifecycle.ACTIVE).order_by("name"),
            required=False,
            empty_label="All apps",
            widget=forms.Select(attrs=_INPUT),
            help_text="The app whose events are sent. Networks often have credentials per app.",
        )
        if template.asks_address:
            self.fields["address"] = _text(
                "Address",
                "",
                "Where postbacks are sent, for example https://server.example.com/events.",
                longest=2048,
            )
        for credential in template.credentials:
            self.fields[f"credential_{credential.name}"] = _credential(credential)
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
    def missing(self) -> tuple[MissingAnswer, ...]:
        """Return the questions that have no answer yet, neither sent nor by default."""
        credentials = {name: self._value(f"credential_{name}") for name in self._credential_names}
        return missing_answers(
            self.template,
            credentials=credentials,
            events=self._chosen_events,
            address=self._value("address"),
        )

    def answers(self) -> Answers:
        """Return the answers of a valid form."""
        cleaned = self.cleaned_data
        return Answers(
            name=cleaned["name"],
            credentials={name: cleaned[f"credential_{name}"] for name in self._credential_names},
            chosen=[
                _chosen_events(rule, cleaned[f"events_{number}"])
                for number, rule in enumerate(self.template.rules)
            ],
            app=cleaned["app"],
            address=cleaned.get("address", ""),
        )

    def clean_name(self) -> str:
        """Refuse a name that another partner in use has."""
        name = str(self.cleaned_data["name"])
        partner: Any = Partner(name=name)
        partner.organization_id = current_organization()
        try:
            partner.validate_constraints()
        except ValidationError as refusal:
            raise ValidationError(refusal.messages) from None
        return name

    def clean(self) -> dict[str, Any]:
        if not any(self.cleaned_data.get(bound.name) for bound in self.events):
            raise ValidationError("Choose at least one event to report.")
        return self.cleaned_data

    @property
    def _credential_names(self) -> list[str]:
        return [credential.name for credential in self.template.credentials]

    @property
    def _chosen_events(self) -> list[str]:
        return [text for bound in self.events for text in _listed(bound.value()) if text]

    def _value(self, name: str) -> str:
        return str(self[name].value() or "") if name in self.fields else ""


def _free_name(title: str) -> str:
    in_use = Partner.objects.exclude(status=Lifecycle.ARCHIVED).filter(name__startswith=title)
    used = set(in_use.values_list("name", flat=True))
    numbered = (f"{title} {number}" for number in range(2, len(used) + 3))
    return title if title not in used else next(name for name in numbered if name not in used)


def _text(label: str, initial: str, help_text: str, *, longest: int = 120) -> forms.CharField:
    return forms.CharField(
        label=label,
        initial=initial,
        max_length=longest,
        help_text=help_text,
        widget=forms.TextInput(attrs=_INPUT),
    )


def _credential(credential: CredentialAsked) -> forms.CharField:
    widget = (
        forms.PasswordInput(attrs={**_INPUT, "autocomplete": "new-password"})
        if credential.secret
        else forms.TextInput(attrs=_INPUT)
    )
    return forms.CharField(
        label=credential.label,
        max_length=4096,
        widget=widget,
        help_text=f"{credential.help} For example {credential.example}",
    )


def _events(rule: RuleTemplate) -> forms.Field:
    label = rule.title[:1].upper() + rule.title[1:]
    if rule.asks_names:
        example = "\n".join(f"{event.ours} = {event.theirs}" for event in rule.events)
        field = PairLinesField(
            separator="=",
            example=example.splitlines()[0],
            longest_value=255,
            most=MOST_MAPPED,
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
    if ours == ANY_EVENT:
        return "any event"
    return ours if ours == theirs else f"{ours} → {theirs}"


def _chosen_events(rule: RuleTemplate, chosen: list[str] | Mapping[str, str]) -> ChosenEvents:
    if isinstance(chosen, Mapping):
        return ChosenEvents(rule, list(chosen), chosen)
    return ChosenEvents(rule, chosen)


def _listed(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    return str(value or "").split("\n")


class TemplatePages(SubPage):
    """Serve the pages of templates, below the list of callback rules."""

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
        """Show the templates that match a search by group, and the partners that have none yet."""
        search, app = request.GET.get("q", "").strip(), _app_of(request)
        templates = [
            template
            for template in all_templates().values()
            if _matches(search, template.title, template.name, template.about, template.group)
        ]
        groups = [
            (
                title,
                [
                    (template, *STATES[template.verification.state])
                    for template in templates
                    if template.group == group
                ],
            )
            for group, title in _TITLES.items()
        ]
        context = {
            "title": "Add a partner from a template",
            "groups": [(title, rows) for title, rows in groups if rows],
            "unavailable": [
                partner
                for partner in unavailable_partners()
                if _matches(search, partner.title, partner.also)
            ],
            "search": search,
            "app": app,
            "query": f"?app={app}" if app else "",
            "back": reverse("admin:apps_registry_partner_changelist"),
        }
        return self._page(request, "gallery", context)

    def form(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask a template's questions, then create the partner and its draft rules."""
        template = template_named(name)
        if template is None:
            raise Http404
        if not _may_use(request, template):
            raise PermissionDenied
        initial = {"app": _app_of(request)}
        form = PartnerTemplateForm(template, request.POST or None, initial=initial)
        if "_live" in request.POST:
            return self._page(request, "missing", {"form": form})
        if (
            form.is_bound
            and form.is_valid()
            and (response := self._set_up(request, template, form))
        ):
            return response
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

    def _set_up(
        self, request: HttpRequest, template: PartnerTemplate, form: PartnerTemplateForm
    ) -> HttpResponse | None:
        answers = form.answers()
        hosts = template.allowed_hosts
        if template.asks_address and template.credentials:
            hosts = (urlsplit(answers.address).netloc,)  # an owner names the host by the address
        by = user_of(request)
        try:
            setup = partner_setup.make_partner(template, answers, allowed_hosts=hosts, by=by)
        except RuleProblemsError as refusal:
            for problem in refusal.problems:
                form.add_error("address" if template.asks_address else None, problem.message)
            return None
        self._add_messages(request, setup)
        first = setup.rules[0]
        return HttpResponseRedirect(
            reverse("admin:postbacks_callbackrule_change", args=[str(first.pk)])
        )

    def _add_messages(self, request: HttpRequest, setup: partner_setup.NewPartner) -> None:
        for rule in setup.rules:
            self.model_admin.log_addition(request, rule, "Made from a template.")
        others = ", ".join(f"“{rule}”" for rule in setup.rules[1:])
        count = len(setup.rules)
        text = f"{setup.partner} was added with {count} draft rules. This is the first of them."
        if not others:
            text = f"{setup.partner} was added with this draft rule."
        more = f" The others: {others}." if others else ""
        messages.success(request, f"{text}{more} Nothing is sent until you switch it on.")

    def _page(self, request: HttpRequest, page: str, context: Mapping[str, object]) -> HttpResponse:
        context = {**self.site.each_context(request), "opts": Partner._meta, **context}
        template = f"admin/postbacks/callbackrule/templates/{page}.html"
        return TemplateResponse(request, template, context)


def _app_of(request: HttpRequest) -> str:
    """Return the key of the app from whose page somebody comes, "" for none."""
    app = request.GET.get("app", "")
    return app if is_id(app) else ""


def _may_use(request: HttpRequest, template: PartnerTemplate) -> bool:
    """Return whether a person may set a partner up from a template.

    Only owners decide which hosts get credentials; a template that names its hosts has decided.
    """
    names_a_host = template.asks_address and bool(template.credentials)
    return allowed(request, Right.MANAGE if names_a_host else Right.SET_UP)


def _matches(search: str, *texts: str) -> bool:
    text = " ".join(texts).lower()
    return all(word in text for word in search.lower().split())
