"""The period and the filters that the Overview's address asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from apps_registry.models import App, Campaign, Partner
from apps_registry.tenancy import TenantModel
from postbacks.insights import wording
from postbacks.insights.figure_changes import MINUTES_KEPT, QUARTERS_KEPT
from postbacks.insights.figures import FigureFilter, FigurePeriod, period
from postbacks.models import CallbackRule

DEFAULT: Final = "24h"
CUSTOM: Final = "custom"
LONGEST: Final = timedelta(days=366)
_MARGIN = timedelta(hours=4)
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_STEPS: tuple[tuple[timedelta, timedelta], ...] = (  # the longest period that has this step
    (20 * _MINUTE, _MINUTE),
    (2 * _HOUR, 5 * _MINUTE),
    (12 * _HOUR, 15 * _MINUTE),
    (3 * _DAY, _HOUR),
    (14 * _DAY, 6 * _HOUR),
)
_MOST_CHOICES = 500
_INPUT = "%Y-%m-%dT%H:%M"


@dataclass(frozen=True, slots=True)
class Preset:
    """A period that ends now. Those of days begin at a midnight and hold today."""

    key: str
    button: str
    label: str
    length: timedelta

    @property
    def is_of_days(self) -> bool:
        return self.length > _DAY


PRESETS: Final[Mapping[str, Preset]] = {
    preset.key: preset
    for preset in (
        Preset("10m", "10 min", "the last 10 minutes", 10 * _MINUTE),
        Preset("1h", "1 h", "the last hour", _HOUR),
        Preset("6h", "6 h", "the last 6 hours", 6 * _HOUR),
        Preset("24h", "24 h", "the last 24 hours", _DAY),
        Preset("7d", "7 days", "the last 7 days", 7 * _DAY),
        Preset("30d", "30 days", "the last 30 days", 30 * _DAY),
        Preset("90d", "90 days", "the last 90 days", 90 * _DAY),
    )
}


@dataclass(frozen=True, slots=True)
class FilterChoice:
    """A filter as a list to choose from. `chosen` is the row's id as text, or empty."""

    name: str
    label: str
    everything: str
    chosen: str
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class AskedOverview:
    """What the Overview shows: a period in steps, the one before it, and whose figures.

    `previous_name` says how the other period is called; `problems` what of the address is ignored.
    """

    key: str
    label: str
    of: FigurePeriod
    before: FigurePeriod
    previous_name: str
    only: FigureFilter = field(default_factory=FigureFilter)
    filters: Sequence[FilterChoice] = ()
    problems: Sequence[str] = ()

    @property
    def total(self) -> FigurePeriod:
        """Return the period as one sum."""
        return replace(self.of, step=None)

    @property
    def is_filtered(self) -> bool:
        return self.only != FigureFilter()

    @property
    def since_text(self) -> str:
        """Return the beginning as the browser's own picker takes it."""
        return self.of.since.astimezone(self.of.zone).strftime(_INPUT)

    @property
    def until_text(self) -> str:
        return self.of.until.astimezone(self.of.zone).strftime(_INPUT)

    def address(self, **changes: str) -> str:
        """Return the address of this page with other parameters; an empty one is left out."""
        values = {choice.name: choice.chosen for choice in self.filters}
        if self.key == CUSTOM:
            values |= {"since": self.since_text, "until": self.until_text}
        elif self.key != DEFAULT:
            values["period"] = self.key
        remaining = {name: value for name, value in (values | changes).items() if value}
        return f"?{urlencode(remaining)}"

    def of_preset(self, key: str) -> str:
        """Return the address of a preset with the same filters."""
        values = {choice.name: choice.chosen for choice in self.filters if choice.chosen}
        return f"?{urlencode({'period': key, **values})}"


def asked_overview(
    parameters: Mapping[str, str], *, now: datetime, zone: ZoneInfo
) -> AskedOverview:
    """Return what an address asks for. What is no period or no row is named and left out."""
    problems: list[str] = []
    scope = _custom(parameters, now, zone, problems) or _preset(parameters, now, zone, problems)
    filters, only = _filters(parameters, problems)
    return replace(scope, only=only, filters=filters, problems=problems)


def _preset(
    parameters: Mapping[str, str], now: datetime, zone: ZoneInfo, problems: list[str]
) -> AskedOverview:
    key = parameters.get("period", DEFAULT)
    if key not in {*PRESETS, CUSTOM, ""}:
        problems.append(f"There is no period “{key[:40]}”; choose one of {', '.join(PRESETS)}.")
    preset = PRESETS.get(key, PRESETS[DEFAULT])
    since = now - preset.length
    if preset.is_of_days:
        first = now.astimezone(zone).date() - preset.length + _DAY
        since = datetime.combine(first, time(), zone).astimezone(UTC)
    return _asked(preset.key, preset.label, since, now, shift=preset.length, now=now, zone=zone)


def _custom(
    parameters: Mapping[str, str], now: datetime, zone: ZoneInfo, problems: list[str]
) -> AskedOverview | None:
    if not (parameters.get("since") or parameters.get("until")):
        return None
    since = _moment(parameters, "since", now - _DAY, zone, problems)
    until = _moment(parameters, "until", now, zone, problems)
    if since is None or until is None:
        return None
    if not since < until or since >= now:
        problems.append("The period ends before it begins, or has not begun. Choose other times.")
        return None
    until = min(until, now)
    if until - since > LONGEST:
        problems.append(f"A period has at most {LONGEST.days} days; these are its last ones.")
        since = until - LONGEST
    until = max(until, since + _MINUTE)
    label = f"{_words(since, zone)} to {_words(until, zone)}"
    return _asked(CUSTOM, label, since, until, shift=until - since, now=now, zone=zone)


def _words(moment: datetime, zone: ZoneInfo) -> str:
    return wording.format_moment(moment.astimezone(zone))


def _moment(
    parameters: Mapping[str, str],
    name: str,
    default: datetime,
    zone: ZoneInfo,
    problems: list[str],
) -> datetime | None:
    text = parameters.get(name, "")
    if not text:
        return default
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        problems.append(
            f"“{text[:40]}” is not a date and time. Write it like 2026-01-31T18:30, in {zone.key}."
        )
        return None
    return moment


def _asked(
    key: str,
    label: str,
    since: datetime,
    until: datetime,
    *,
    shift: timedelta,
    now: datetime,
    zone: ZoneInfo,
) -> AskedOverview:
    step = next((step for most, step in _STEPS if until - since <= most), _DAY)
    if since < now - MINUTES_KEPT + _MARGIN:
        step = max(step, 15 * _MINUTE)
    if since < now - QUARTERS_KEPT + _MARGIN:
        step = _DAY
    of = period(since, until, zone=zone, now=now, step=step)
    # On the wall: days before begin at a midnight too, where a clock change lies between.
    since, until = (moment.astimezone(zone) - shift for moment in (of.since, of.until))
    before = period(since, until, zone=zone, now=now)
    name = "the period before"
    if key != CUSTOM:
        name = f"{label.replace('last ', '')} before"
    return AskedOverview(key, label, of, before, name)


_MODELS: tuple[tuple[str, type[TenantModel], str, str], ...] = (
    ("app", App, "App", "All apps"),
    ("partner", Partner, "Partner", "All partners"),
    ("campaign", Campaign, "Campaign", "All campaigns"),
    ("rule", CallbackRule, "Rule", "All rules"),
)


def _filters(
    parameters: Mapping[str, str], problems: list[str]
) -> tuple[list[FilterChoice], FigureFilter]:
    filters, chosen = [], {}
    for name, model, label, everything in _MODELS:
        manager: Any = model.objects
        rows = manager.order_by("name").values_list("pk", "name")
        choices = [(str(pk), row_name) for pk, row_name in rows[:_MOST_CHOICES]]
        text = parameters.get(name, "")
        labels = dict(choices)
        if text and text not in labels and text.isdecimal() and len(text) < 19:
            # Beyond the first few hundred.
            choices += [(str(pk), row_name) for pk, row_name in rows.filter(pk=int(text))]
            labels = dict(choices)
        if text in labels:
            chosen[name] = int(text)
        elif text:
            problems.append(f"There is no {label.lower()} “{text[:40]}” here; all are shown.")
            text = ""
        filters.append(FilterChoice(name, label, everything, text, choices))
    return filters, FigureFilter(**chosen)
