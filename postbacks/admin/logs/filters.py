"""What the filters of all logs share: one plain GET form, whose address can be sent to others."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.http import urlencode

from postbacks.admin.log_fields import MomentField, refusals
from postbacks.insights.logs import Span
from postbacks.models import CallbackRule

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
            field.error_messages |= refusals(field)

    @property
    def in_sight(self) -> list[forms.BoundField]:
        """Return the fields that everybody needs."""
        return [self[name] for name in self.fields if name in self.basic]

    @property
    def on_demand(self) -> list[forms.BoundField]:
        """Return the other fields."""
        return [self[name] for name in self.fields if name not in self.basic]

    def offer(self, name: str, rows: "QuerySet[Any]") -> None:
        """Offer the organization's rows for a field."""
        self.fields[name].queryset = rows.order_by("name", "pk")  # type: ignore[attr-defined]

    def suggest_events(self) -> None:
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


class NamedRow(forms.ModelChoiceField):
    """A choice among the organization's rows, of which archived ones are still in the log."""

    def label_from_instance(self, obj: Model) -> str:
        """Return the row's name, and whether it is still in use."""
        return f"{obj} (archived)" if getattr(obj, "status", "") == "archived" else str(obj)
