"""What can be asked of each log."""

from typing import Any

from django import forms
from django.db.models import Model

from apps_registry.models import App, Partner
from apps_registry.models.apps import Platform
from postbacks.admin.log_fields import CodesField, IdField, SuggestingField
from postbacks.admin.logs.filters import LogFilter, NamedRow, TimedFilter
from postbacks.delivery.outcome import Outcome
from postbacks.insights.logs import EventsWanted, PostbacksWanted
from postbacks.models import CallbackRule, EventSource, PostbackStatus


class PostbackFilter(TimedFilter):
    """The filters of the delivery log."""

    basic = ("q", "status", "time")
    q = IdField(
        label="Id of a postback or event",
        widget=forms.TextInput({"type": "search", "placeholder": "Paste a whole id"}),
    )
    status = forms.ChoiceField(label="Status", choices=[("", "Any"), *PostbackStatus.choices])
    app = NamedRow(queryset=None, label="App", empty_label="All apps")
    rule = NamedRow(queryset=None, label="Rule", empty_label="All rules")
    partner = NamedRow(queryset=None, label="Partner", empty_label="All partners")
    event = SuggestingField(
        label="Event", max_length=64, widget=forms.TextInput({"placeholder": "purchase"})
    )
    code = CodesField(
        label="HTTP code",
        max_length=8,
        widget=forms.TextInput({"placeholder": "503, 5xx or none"}),
    )
    test = forms.ChoiceField(
        label="Test sends",
        choices=[("", "With them"), ("no", "Without them"), ("only", "Only them")],
    )
    field_order = (
        "q", "status", "time", "app", "rule", "partner", "event", "code", "test", "since",
    )  # fmt: skip

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.offer("app", App.objects.all())
        self.offer("rule", CallbackRule.objects.all())
        self.offer("partner", Partner.objects.all())
        self.suggest_events()

    @property
    def wanted(self) -> PostbacksWanted:
        """Return what is asked for, once the form is valid."""
        given = self.cleaned_data
        return PostbacksWanted(
            span=self.span,
            id=given["q"],
            status=given["status"],
            app_id=key_of(given["app"]),
            rule_id=key_of(given["rule"]),
            partner_id=key_of(given["partner"]),
            event_name=given["event"],
            codes=given["code"],
            test={"only": True, "no": False}.get(given["test"]),
        )


class EventFilter(TimedFilter):
    """The filters of the events."""

    basic = ("q", "event", "time")
    q = IdField(
        label="Event id",
        widget=forms.TextInput({"type": "search", "placeholder": "Paste a whole id"}),
    )
    event = SuggestingField(
        label="Event", max_length=64, widget=forms.TextInput({"placeholder": "purchase"})
    )
    app = NamedRow(queryset=None, label="App", empty_label="All apps")
    platform = forms.ChoiceField(label="Platform", choices=[("", "Any"), *Platform.choices])
    source = forms.ChoiceField(label="Reported by", choices=[("", "Any"), *EventSource.choices])
    field_order = ("q", "event", "time", "app", "platform", "source", "since")

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.offer("app", App.objects.all())
        self.suggest_events()

    @property
    def wanted(self) -> EventsWanted:
        """Return what is asked for, once the form is valid."""
        given = self.cleaned_data
        return EventsWanted(
            span=self.span,
            id=given["q"],
            app_id=key_of(given["app"]),
            event_name=given["event"],
            source=given["source"],
            platform=given["platform"],
        )


class AttemptFilter(LogFilter):
    """The filter of the delivery attempts."""

    basic = ("outcome",)
    outcome = forms.ChoiceField(
        label="Outcome",
        choices=[("", "Any"), *((it.value, it.value.capitalize()) for it in Outcome)],
    )


def key_of(row: Model | None) -> int | None:
    return row.pk if row else None
