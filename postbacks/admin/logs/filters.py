"""The filters of the logs: plain GET forms, whose addresses people can send to others.

First what all filters share, then the filters of each log.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.http import urlencode

from apps_registry.models import App, Campaign, Partner
from apps_registry.models.apps import Platform
from postbacks.admin.logs.filter_fields import (
    AttemptCountsField,
    ErrorField,
    IdField,
    MomentField,
    ReasonField,
    RowChoiceField,
    StatusCodesField,
    SuggestingField,
    error_messages_of,
    pk_or_none,
)
from postbacks.delivery.outcome import Outcome
from postbacks.insights.live import LiveKind, LiveSearch, identifiers_of_text
from postbacks.insights.logs import (
    COSTLY_FILTERS,
    EventSearch,
    PostbackSearch,
    TimeRange,
)
from postbacks.insights.saved_views import MOST_COLUMNS
from postbacks.models import (
    AttemptKind,
    CallbackRule,
    EventSource,
    PostbackStatus,
)
from postbacks.values.events import ANY_EVENT

RECENT = {
    "1h": (timedelta(hours=1), "Last hour"),
    "24h": (timedelta(hours=24), "Last 24 hours"),
    "7d": (timedelta(days=7), "Last 7 days"),
    "30d": (timedelta(days=30), "Last 30 days"),
}

OLDEST_FIRST = "oldest"
_OF_LIVE_ROWS = {"app", "rule", "event"}
_USUAL_EVENTS = ("install", "open", "registration", "login", "purchase", "subscription")


@dataclass(frozen=True, slots=True)
class Chip:
    """An active filter, and the address without it."""

    text: str
    without: str


class LogFilter(forms.Form):
    """The filters of one log; other parameters of the address are ignored."""

    basic: tuple[str, ...] = ()  # always visible; the others open on demand

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter-%s", use_required_attribute=False)
        for field in self.fields.values():
            field.required = False
            field.error_messages |= error_messages_of(field)

    @property
    def basic_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name in self.basic]

    @property
    def other_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name not in self.basic]

    def offer(self, name: str, rows: "QuerySet[Any]") -> None:
        """Offer rows to choose from. A rule's templates may be long, and none is shown here."""
        named = rows.only("organization_id", "name", "status").order_by("name", "pk")
        self.fields[name].queryset = named  # type: ignore[attr-defined]

    def suggest_events(self) -> None:
        """Suggest the triggers of rules: to list the names in the log would mean reading it all."""
        rules_triggers = CallbackRule.objects.values_list("triggers", flat=True)
        names = {name for triggers in rules_triggers for name in triggers if name != ANY_EVENT}
        suggestions = tuple(sorted({*_USUAL_EVENTS, *names}))
        self.fields["event"].suggestions = suggestions  # type: ignore[attr-defined]

    @property
    def is_opened(self) -> bool:
        """Return whether one of the other fields has a mistake; those in use stand as chips."""
        return any(bound.errors for bound in self.other_fields)

    @property
    def active_values(self) -> dict[str, str]:
        values = {name: str(self[name].value() or "").strip() for name in self.fields}
        return {name: value for name, value in values.items() if value}

    @property
    def leaves_what_comes(self) -> bool:
        """Return whether a live page can have these filters, and the list of them news."""
        return set(self.active_values) <= _OF_LIVE_ROWS

    @property
    def is_oldest_first(self) -> bool:
        return self.active_values.get("order") == OLDEST_FIRST

    @property
    def nothing_found(self) -> str:
        """Return what a list says when these filters leave no row."""
        return "Nothing matches these filters."

    def address(self, *, without: str = "", **more: str) -> str:
        values = {name: value for name, value in self.active_values.items() if name != without}
        return "?" + urlencode({**values, **more, **self._columns}, doseq=True)

    @property
    def _columns(self) -> dict[str, list[str]]:
        """Return the columns that a saved view's address names, for the next page's."""
        names = self.data.getlist("column") if isinstance(self.data, QueryDict) else []
        return {"column": names[:MOST_COLUMNS]} if names else {}

    @property
    def chips(self) -> list[Chip]:
        return [
            Chip(f"{self.fields[name].label}: {self._label_of(name)}", self.address(without=name))
            for name in self.active_values
            if name not in self.errors
        ]

    def _label_of(self, name: str) -> str:
        field, value = self.fields[name], self.cleaned_data.get(name)
        if isinstance(field, forms.ModelChoiceField):
            return str(field.label_from_instance(value))
        if isinstance(field, forms.ChoiceField):
            return str(dict(field.choices)[value])  # type: ignore[arg-type]  # a list
        if isinstance(value, datetime):
            return timezone.localtime(value).strftime("%b %-d, %H:%M:%S")
        return str(self[name].value())


class TimedFilter(LogFilter):
    """Filters by time: a recent stretch, or from and until a moment; together they narrow."""

    time = forms.ChoiceField(
        label="Time",
        choices=[("", "All time"), *((key, label) for key, (_, label) in RECENT.items())],
    )
    since = MomentField(label="From")
    until = MomentField(label="Until")
    order = forms.ChoiceField(
        label="Order", choices=[("", "Newest first"), (OLDEST_FIRST, "Oldest first")]
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since >= until:
            self.add_error("until", "This is not after “From”.")
        return cleaned

    @property
    def span(self) -> TimeRange:
        since = self.cleaned_data["since"]
        if recent := RECENT.get(self.cleaned_data["time"]):
            length, _ = recent
            start = timezone.now() - length
            since = max(start, since) if since else start
        return TimeRange(since, self.cleaned_data["until"])


class PostbackFilter(TimedFilter):
    basic = ("q", "status", "time")
    q = IdField(
        label="ID of a postback or event",
        widget=forms.TextInput({"type": "search", "placeholder": "Paste a whole ID"}),
    )
    status = forms.ChoiceField(label="Status", choices=[("", "Any"), *PostbackStatus.choices])
    app = RowChoiceField(queryset=None, label="App", empty_label="All apps")
    rule = RowChoiceField(queryset=None, label="Rule", empty_label="All rules")
    partner = RowChoiceField(queryset=None, label="Partner", empty_label="All partners")
    event = SuggestingField(
        label="Event", max_length=64, widget=forms.TextInput({"placeholder": "purchase"})
    )
    code = StatusCodesField(
        label="HTTP code",
        max_length=8,
        widget=forms.TextInput({"placeholder": "503, 5xx or none"}),
    )
    test = forms.ChoiceField(
        label="Test sends",
        choices=[("", "With them"), ("no", "Without them"), ("only", "Only them")],
    )
    reason = ReasonField(
        label="Reason", max_length=64, widget=forms.TextInput({"placeholder": "no_consent"})
    )
    outcome = forms.ChoiceField(
        label="Last try",
        choices=[("", "Any"), *((each.value, each.value.capitalize()) for each in Outcome)],
    )
    error = ErrorField(
        label="Error of the last try",
        max_length=64,
        widget=forms.TextInput({"placeholder": "timeout"}),
    )
    attempts = AttemptCountsField(
        label="Tries", max_length=16, widget=forms.TextInput({"placeholder": "3, 3+ or 2-5"})
    )
    kind = forms.ChoiceField(label="Tried as", choices=[("", "Any"), *AttemptKind.choices])
    campaign = RowChoiceField(queryset=None, label="Campaign", empty_label="All campaigns")
    country = forms.RegexField(
        "^[A-Za-z]{2}$",
        label="Country",
        max_length=2,
        widget=forms.TextInput({"placeholder": "DE"}),
    )
    version = forms.IntegerField(
        label="Rule's version", min_value=1, max_value=2**31 - 1, widget=forms.TextInput()
    )
    text = forms.CharField(
        label="Text in URL or answer",
        max_length=256,
        min_length=3,
        widget=forms.TextInput({"type": "search", "placeholder": "A part of the URL"}),
    )
    field_order = (
        *(*basic, "app", "rule", "partner", "event", "code", "reason", "outcome", "error"),
        *("attempts", "kind", "campaign", "country", "version", "test", "text", "since"),
    )
    # Filters of this log alone: a replay has no such.
    only_here = ("outcome", "error", "attempts", "kind", "campaign", "country", "version", "text")

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.offer("app", App.objects.all())
        self.offer("rule", CallbackRule.objects.all())
        self.offer("partner", Partner.objects.all())
        self.offer("campaign", Campaign.objects.all())
        self.suggest_events()
        wrong = "Write a country's code of two letters, for example DE."
        self.fields["country"].error_messages |= {"invalid": wrong, "max_length": wrong}
        self.fields["text"].error_messages["min_length"] = "Write at least three characters."
        whole = "Write the number of a version, for example 3."
        names = ("invalid", "min_value", "max_value")
        self.fields["version"].error_messages |= dict.fromkeys(names, whole)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        has_range = cleaned.get("time") or cleaned.get("since")
        if cleaned.get("text") and not has_range and "since" not in self.errors:
            self.add_error("text", "Choose a time too: no index finds texts.")
        return cleaned

    @property
    def is_timed_search(self) -> bool:
        return bool(self.active_values.get("text"))

    @property
    def is_costly_search(self) -> bool:
        return not self.active_values.keys().isdisjoint(COSTLY_FILTERS)

    @property
    def can_be_replayed(self) -> bool:
        """Tell whether a replay of these filters would send what the list shows."""
        return not self.active_values.keys() & set(self.only_here)

    @property
    def nothing_found(self) -> str:
        if "rule" not in self.active_values or not self.leaves_what_comes:
            return super().nothing_found
        return (
            "No postback of this rule is here. One appears by itself, without reloading, once an "
            "event arrives that the rule, while it is active, waits for. Why an event sent none "
            "stands on the event's page."
        )

    @property
    def search(self) -> PostbackSearch:
        values = self.cleaned_data
        return PostbackSearch(
            span=self.span,
            id=values["q"],
            status=values["status"],
            app_id=pk_or_none(values["app"]),
            rule_id=pk_or_none(values["rule"]),
            partner_id=pk_or_none(values["partner"]),
            event_name=values["event"],
            codes=values["code"],
            test={"only": True, "no": False}.get(values["test"]),
            reason=values["reason"],
            outcome=values["outcome"],
            error=values["error"],
            attempts=values["attempts"],
            kind=values["kind"],
            campaign_id=pk_or_none(values["campaign"]),
            country=values["country"],
            version=values["version"],
            text=values["text"],
        )


class EventFilter(TimedFilter):
    basic = ("q", "event", "time")
    q = IdField(
        label="Event ID",
        widget=forms.TextInput({"type": "search", "placeholder": "Paste a whole ID"}),
    )
    event = SuggestingField(
        label="Event", max_length=64, widget=forms.TextInput({"placeholder": "purchase"})
    )
    app = RowChoiceField(queryset=None, label="App", empty_label="All apps")
    platform = forms.ChoiceField(label="Platform", choices=[("", "Any"), *Platform.choices])
    source = forms.ChoiceField(label="Reported by", choices=[("", "Any"), *EventSource.choices])
    field_order = ("q", "event", "time", "app", "platform", "source", "since")

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.offer("app", App.objects.all())
        self.suggest_events()

    @property
    def search(self) -> EventSearch:
        values = self.cleaned_data
        return EventSearch(
            span=self.span,
            id=values["q"],
            app_id=pk_or_none(values["app"]),
            event_name=values["event"],
            source=values["source"],
            platform=values["platform"],
        )


class LiveFilter(LogFilter):
    basic = ("app", "event", "device")
    kind = forms.ChoiceField(
        label="Show",
        choices=[
            ("", "Events and postbacks"),
            (LiveKind.EVENT.value, "Only events"),
            (LiveKind.POSTBACK.value, "Only postbacks"),
        ],
    )
    app = RowChoiceField(queryset=None, label="App", empty_label="All apps")
    event = SuggestingField(
        label="Event", max_length=64, widget=forms.TextInput({"placeholder": "purchase"})
    )
    rule = RowChoiceField(queryset=None, label="Rule", empty_label="All rules")
    device = forms.CharField(
        label="Device",
        max_length=255,
        widget=forms.TextInput({"type": "search", "placeholder": "Any ID of the device"}),
    )
    field_order = (*basic, "rule", "kind")

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.offer("app", App.objects.all())
        self.offer("rule", CallbackRule.objects.all())
        self.suggest_events()

    @property
    def search(self) -> LiveSearch:
        values = self.cleaned_data
        return LiveSearch(
            app_id=pk_or_none(values["app"]),
            event_name=values["event"],
            rule_id=pk_or_none(values["rule"]),
            device=identifiers_of_text(values["device"]),
            kind=values["kind"],
        )


class AttemptFilter(LogFilter):
    basic = ("outcome",)
    outcome = forms.ChoiceField(
        label="Outcome",
        choices=[
            ("", "Any"),
            *((outcome.value, outcome.value.capitalize()) for outcome in Outcome),
        ],
    )
