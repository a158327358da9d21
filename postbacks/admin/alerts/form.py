"""The form of an alert: the fields of its kind, and whom it tells."""

from typing import Any, ClassVar

from django import forms
from django.db import models

from apps_registry.admin_base.tenant_admin import TenantForm
from apps_registry.admin_base.theme import Checkboxes
from postbacks.alerts.kinds import KINDS, SCOPES, KindOfAlert, LimitField
from postbacks.alerts.saving import check_alert, member_addresses
from postbacks.models import Alert, AlertKind, JumpDirection

TELLING = ("emails", "webhook_url", "quiet_from", "quiet_until")
_SCOPE_HELP = {
    "rule": "Or leave it open: each rule is watched by itself.",
    "partner": "All rules of the partner are taken together.",
    "app": "Or leave it open: each app is watched by itself.",
}
_SCOPE_HELP_OF: dict[tuple[AlertKind, str], str] = {
    (AlertKind.RULE_SUSPENDED, "partner"): "Only the rules of this partner.",
    (AlertKind.RULE_SUSPENDED, "app"): "Only the rules of this app, those for all apps included.",
    (AlertKind.BREAKER_OPEN, "rule"): "Only the server that this rule sends to.",
    (AlertKind.BREAKER_OPEN, "partner"): "Only the servers of this partner.",
}
_INPUT = {"class": "pb-input"}


class AlertForm(TenantForm):
    """Asks for what one kind of alert needs; `kind_of_alert` is set for each request."""

    kind_of_alert: ClassVar[AlertKind] = AlertKind.SUCCESS_RATE

    emails = forms.MultipleChoiceField(
        label="Members who get an e-mail",
        required=False,
        widget=Checkboxes,
        help_text="Members who leave the organization get no more e-mails.",
    )

    class Meta:
        model = Alert
        fields: ClassVar[list[str]] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.kind = self.kind_of_alert.value
        kind = KINDS[self.kind_of_alert]
        for name in SCOPES:
            if name in self.fields:
                self._offer_scope(name)
        for name, limit in (("threshold", kind.threshold), ("minutes", kind.minutes)):
            if limit is not None and name in self.fields:
                self.fields[name] = _limit_field(limit)
        if "emails" in self.fields:
            addresses = sorted({*member_addresses(), *self.instance.emails})
            choices = [(address, address) for address in addresses]
            self.fields["emails"].choices = choices  # type: ignore[attr-defined]  # a choice field

    def _offer_scope(self, name: str) -> None:
        field = self.fields[name]
        field.required = False
        help_text = _SCOPE_HELP_OF.get((self.kind_of_alert, name), _SCOPE_HELP[name])
        field.help_text = help_text
        if isinstance(field, forms.ModelChoiceField):
            kind = KINDS[self.kind_of_alert]
            is_first = name == kind.scopes[0]
            field.empty_label = (
                f"Each {kind.subject} by itself" if is_first else "Not narrowed down"
            )

    def _post_clean(self) -> None:
        super()._post_clean()
        if not self.errors:
            try:
                check_alert(self.instance)
            except forms.ValidationError as error:
                self.add_error(None, error)


def form_fields(kind: KindOfAlert) -> list[str]:
    """Return the fields that a form of this kind has."""
    return ["name", *kind.fields, *TELLING, "enabled"]


def form_field(db_field: "models.Field[Any, Any]") -> forms.Field | None:
    """Return how a field is asked for; None where the page's own way will do."""
    match db_field.name:
        case "quiet_from" | "quiet_until":
            widget = forms.TimeInput(format="%H:%M", attrs={**_INPUT, "type": "time"})
            return _made(db_field, widget=widget)
        case "direction":
            return forms.ChoiceField(
                label="Which jumps",
                choices=JumpDirection.choices,
                widget=forms.Select(attrs=_INPUT),
                help_text="For example only fewer, where a campaign may well bring more.",
            )
        case "webhook_url":
            attributes = {**_INPUT, "placeholder": "https://hooks.example.com/postbacks"}
            return _made(db_field, widget=forms.TextInput(attrs=attributes))
        case "rule" | "partner" | "app":
            return _made(db_field, widget=forms.Select(attrs=_INPUT))
    return None


def _made(db_field: "models.Field[Any, Any]", **kwargs: Any) -> forms.Field | None:
    if isinstance(db_field, models.ForeignKey):
        kwargs["queryset"] = db_field.remote_field.model._default_manager.all()
    made: forms.Field | None = db_field.formfield(**kwargs)
    return made


def _limit_field(limit: LimitField) -> forms.Field:
    if limit.choices:
        return forms.TypedChoiceField(
            label=limit.label,
            choices=[(value, f"{value} %") for value in limit.choices],
            coerce=int,
            widget=forms.Select(attrs=_INPUT),
            help_text=limit.help,
        )
    return forms.IntegerField(
        label=limit.label,
        min_value=limit.least,
        max_value=limit.most,
        widget=forms.NumberInput(attrs=_INPUT),
        help_text=limit.help,
    )
