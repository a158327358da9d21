"""What can be asked of a log: one plain GET form, whose address can be kept and sent to others."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.http import urlencode

from apps_registry.models import App, Partner
from apps_registry.models.apps import Platform
from postbacks.admin.log_fields import CodesField, IdField, MomentField, SuggestingField
from postbacks.delivery.outcome import Outcome
from postbacks.insights.logs import EventsWanted, PostbacksWanted, Span
from postbacks.models import CallbackRule, EventSource, PostbackStatus

RECENT = {
    "1h": (timedelta(hours=1), "Last hour"),
    "24h": (timedelta(hours=24), "Last 24 hours"),
    "7d": (timedelta(days=7), "Last 7 days"),
    "30d": (timedelta(days=30), "Last 30 days"),
}
_USUAL_EVENTS = ("install", "open", "registration", "login", "purchase", "subscription")


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on, in words, and the address without it."""

    text: str
    without: str


class LogFilter(forms.Form):
    """The filters of one log. What the address holds besides is not looked at."""

    basic: tuple[str, ...] = ()  # always in sight; the others open on demand

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter-%s", use_required_attribute=False)
        for field in self.fields.values():
            field.required = False

    @property
    def in_sight(self) -> list[forms.BoundField]:
        """Return the fields that everybody needs."""
        return [self[name] for name in self.fields if name in self.basic]

    @property
    def on_demand(self) -> list[forms.BoundField]:
        """Return the other fields."""
        return [self[name] for name in self.fields if name not in self.basic]

    def _offer(self, name: str, rows: "QuerySet[Any]") -> None:
        self.fields[name].queryset = rows.order_by("name", "pk")  # type: ignore[attr-defined]

    def _suggest_events(self) -> None:
        """Suggest what rules wait for. The names in the log could only be had by reading it."""
        triggers = CallbackRule.objects.values_list("triggers", flat=True)
        named = {name for names in triggers for name in names if name != "*"}
        suggestions = tuple(sorted({*_USUAL_EVENTS, *named}))
        self.fields["event"].suggestions = suggestions  # type: ignore[attr-defined]

    @property
    def is_opened(self) -> bool:
        """Tell whether one of the other fields is in use, so that none acts unseen."""
        return any(str(bound.value() or "") or bound.errors for bound in self.on_demand)

    @property
    def given(self) -> dict[str, str]:
        """Return what the address asks for, by name."""
        values = {name: str(self[name].value() or "").strip() for name in self.fields}
        return {name: value for name, value in values.items() if value}

    def address(self, *, without: str = "", **more: str) -> str:
        """Return the query of an address that keeps these filters."""
        kept = {name: value for name, value in self.given.items() if name != without}
        return "?" + urlencode({**kept, **more})

    @property
    def chips(self) -> list[Chip]:
        """Return the filters that are on."""
        return [
            Chip(f"{self.fields[name].label}: {self._in_words(name)}", self.address(without=name))
            for name in self.given
            if name not in self.errors
        ]

    def _in_words(self, name: str) -> str:
        field, value = self.fields[name], self.cleaned_data.get(name)
        if isinstance(field, forms.ModelChoiceField):
            return str(value)
        if isinstance(field, forms.ChoiceField):
            return str(dict(field.choices)[value])  # type: ignore[arg-type]  # a list
        if isinstance(value, datetime):
            return timezone.localtime(value).strftime("%b %-d, %H:%M:%S")
        return str(self[name].value())


class TimedFilter(LogFilter):
    """Filters by time: a recent stretch, or from and until a moment; both together narrow."""

    time = forms.ChoiceField(
        label="Time", choices=[("", "All time"), *((key, it[1]) for key, it in RECENT.items())]
    )
    since = MomentField(label="From")
    until = MomentField(label="Until")

    def clean(self) -> dict[str, Any]:
        """Refuse a stretch of time that ends before it begins."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since >= until:
            self.add_error("until", "This is not after “From”.")
        return cleaned

    @property
    def span(self) -> Span:
        """Return the time that is asked for."""
        since = self.cleaned_data["since"]
        if recent := RECENT.get(self.cleaned_data["time"]):
            start = timezone.now() - recent[0]
            since = max(start, since) if since else start
        return Span(since, self.cleaned_data["until"])


class _NamedRow(forms.ModelChoiceField):
    """A choice among the organization's rows, of which archived ones are still in the log."""

    def label_from_instance(self, obj: Model) -> str:
        """Return the row's name, and whether it is still in use."""
        return f"{obj} (archived)" if getattr(obj, "status", "") == "archived" else str(obj)


class PostbackFilter(TimedFilter):
    """The filters of the delivery log."""

    basic = ("q", "status", "time")
    q = IdField(
        label="Id of a postback or event",
        widget=forms.TextInput({"type": "search", "placeholder": "Paste a whole id"}),
    )
    status = forms.ChoiceField(label="Status", choices=[("", "Any"), *PostbackStatus.choices])
    app = _NamedRow(queryset=None, label="App", empty_label="All apps")
    rule = _NamedRow(queryset=None, label="Rule", empty_label="All rules")
    partner = _NamedRow(queryset=None, label="Partner", empty_label="All partners")
    event = SuggestingField(label="Event", max_length=64)
    code = CodesField(
        label="HTTP code",
        max_length=8,
        widget=forms.TextInput({"placeholder": "503, 5xx or none"}),
    )
    field_order = ("q", "status", "time", "app", "rule", "partner", "event", "code", "since")

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self._offer("app", App.objects.all())
        self._offer("rule", CallbackRule.objects.all())
        self._offer("partner", Partner.objects.all())
        self._suggest_events()

    @property
    def wanted(self) -> PostbacksWanted:
        """Return what is asked for, once the form is valid."""
        given = self.cleaned_data
        return PostbacksWanted(
            span=self.span,
            id=given["q"],
            status=given["status"],
            app_id=_key(given["app"]),
            rule_id=_key(given["rule"]),
            partner_id=_key(given["partner"]),
            event_name=given["event"],
            codes=given["code"],
        )


class EventFilter(TimedFilter):
    """The filters of the events."""

    basic = ("q", "event", "time")
    q = IdField(
        label="Event id",
        widget=forms.TextInput({"type": "search", "placeholder": "Paste a whole id"}),
    )
    event = SuggestingField(label="Event", max_length=64)
    app = _NamedRow(queryset=None, label="App", empty_label="All apps")
    platform = forms.ChoiceField(label="Platform", choices=[("", "Any"), *Platform.choices])
    source = forms.ChoiceField(label="Reported by", choices=[("", "Any"), *EventSource.choices])
    field_order = ("q", "event", "time", "app", "platform", "source", "since")

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self._offer("app", App.objects.all())
        self._suggest_events()

    @property
    def wanted(self) -> EventsWanted:
        """Return what is asked for, once the form is valid."""
        given = self.cleaned_data
        return EventsWanted(
            span=self.span,
            id=given["q"],
            app_id=_key(given["app"]),
            event_name=given["event"],
            source=given["source"],
            platform=given["platform"],
        )


class InstallFilter(LogFilter):
    """The filter of the installs."""

    basic = ("app",)
    app = _NamedRow(queryset=None, label="App", empty_label="All apps")

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self._offer("app", App.objects.all())

    @property
    def app_id(self) -> int | None:
        """Return the app that is asked for, once the form is valid."""
        return _key(self.cleaned_data["app"])


class AttemptFilter(LogFilter):
    """The filter of the delivery attempts."""

    basic = ("outcome",)
    outcome = forms.ChoiceField(
        label="Outcome",
        choices=[("", "Any"), *((it.value, it.value.capitalize()) for it in Outcome)],
    )


def _key(row: Model | None) -> int | None:
    return row.pk if row else None
