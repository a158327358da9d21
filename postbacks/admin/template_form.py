"""The form that a partner template asks: who it is, its credentials, and what is reported."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms import BoundField

from apps_registry.models import App, Partner
from apps_registry.tenancy import Lifecycle, current_organization
from postbacks.admin.rules.fields import PairLinesField
from postbacks.callbacks.partner_templates import (
    CredentialAsked,
    Missing,
    PartnerTemplate,
    RuleTemplate,
    first_choice,
    missing_answers,
)
from postbacks.rulebook.partner_setup import Answers, Reported

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
        """Return the fields of the partner itself."""
        return [self[name] for name in ("name", "app", "address") if name in self.fields]

    @property
    def credentials(self) -> list[BoundField]:
        """Return the fields of the credentials."""
        return [self[name] for name in self.fields if name.startswith("credential_")]

    @property
    def events(self) -> list[BoundField]:
        """Return the fields of the events, one per rule."""
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
        """Hold that something is reported."""
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
    """Return the name, with a number behind it where a partner in use has it."""
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
