"""⑨ Sums what was counted over a period: for the Overview, the lists, and `GET /api/v1/metrics`.

A period is cut into days, hours, quarters of hours and minutes, as far as each span is kept, so
that its sum takes as long whether a day had ten postbacks or ten million. No log is read.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from postbacks.callbacks.currency.conversion import USD
from postbacks.delivery.outcome import Outcome
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import fetch_rows
from postbacks.insights.figure_changes import MINUTES_KEPT, QUARTERS_KEPT
from postbacks.insights.figure_parts import (
    EARLIEST,
    FigurePart,
    SpanCut,
    Subject,
    midnight,
)
from postbacks.insights.revenue import AmountOfDay, Revenue, revenue_by_key
from postbacks.models import FigureKind, FigureSpan, FigureZone, FlowState

STEPS_PER_E: Final = 10  # of delivery times: see the function `time_step`

_SUM = load_sql("postbacks.insights", "sum_figures", FigureKind)
_MINUTE = timedelta(minutes=1)
_QUARTER = timedelta(minutes=15)
_DAY = timedelta(days=1)
_ORGANIC = "organic"
_TOO_MANY: Final = -1  # a step that only says so
# What is deleted next is not read any more: a period must not lose a part between two looks.
_MARGIN = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class FigureFilter:
    """Whose figures are summed, by our ids; None: all."""

    app: int | None = None
    partner: int | None = None
    campaign: int | None = None
    rule: int | None = None

    @property
    def subjects(self) -> set[Subject]:
        """Return by what it filters."""
        return {Subject(name) for name in self.__slots__ if getattr(self, name) is not None}


@dataclass(frozen=True, slots=True)
class FigurePeriod:
    """From a moment until another, in the steps of a chart. Without a step it is one sum.

    Its ends are those of spans that are kept: minutes of the last days, then quarters of hours,
    then days.
    """

    since: datetime
    until: datetime
    zone: ZoneInfo
    step: timedelta | None = None

    @property
    def starts(self) -> tuple[datetime, ...]:
        return tuple(_starts(self)) if self.step else ()


@dataclass(slots=True)
class Figures:
    """What was counted. `delivered_after` counts deliveries by the step of their time."""

    events: int = 0
    states: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)  # by reason
    failures: Counter[str] = field(default_factory=Counter)  # of postbacks given up, by reason
    outcomes: Counter[str] = field(default_factory=Counter)  # of attempts
    codes: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)  # codes of attempts that failed
    delivered_after: Counter[int] = field(default_factory=Counter)
    amounts: list[AmountOfDay] = field(default_factory=list)
    installs: int = 0
    attributed: int = 0

    @property
    def wanted(self) -> int:
        return sum(self.states.values())

    @property
    def owed(self) -> int:
        return self.wanted - self.states[FlowState.SKIPPED]

    @property
    def delivered(self) -> int:
        return self.states[FlowState.DELIVERED]

    @property
    def failed(self) -> int:
        return self.states[FlowState.FAILED]

    @property
    def retrying(self) -> int:
        return self.states[FlowState.RETRYING]

    @property
    def pending(self) -> int:
        """Return how many were not tried yet."""
        return self.states[FlowState.PENDING]

    @property
    def attempts(self) -> int:
        return sum(self.outcomes.values())

    @property
    def success_percent(self) -> float | None:
        """Return the share of ended postbacks that were delivered; None when none has ended."""
        ended = self.delivered + self.failed
        return 100 * self.delivered / ended if ended else None

    @property
    def attempts_per_delivery(self) -> float | None:
        """Return how many requests a delivered one took; None without a delivery."""
        delivered = self.outcomes[Outcome.DELIVERED]
        return self.attempts / delivered if delivered else None

    def delivery_seconds(self, share: float) -> float | None:
        """Return within how many seconds a share of the deliveries came; None without one."""
        threshold, passed = share * sum(self.delivered_after.values()), 0
        for step in sorted(self.delivered_after):
            passed += self.delivered_after[step]
            if passed >= threshold:
                return math.exp((step + 0.5) / STEPS_PER_E)
        return None

    def revenue_by_currency(self) -> dict[str, Decimal]:
        """Return the revenue as it came, by currency; the name of none is empty."""
        sums: dict[str, Decimal] = {}
        for amount in self.amounts:
            sums[amount.currency] = sums.get(amount.currency, Decimal(0)) + (amount.amount or 0)
        return dict(sorted(sums.items()))

    def add(self, row: "_FigureSum") -> None:
        """Count a row by its kind."""
        match FigureKind(row.kind):
            case FigureKind.EVENT:
                self.events += row.count
                if row.amount is not None and row.day is not None:
                    self.amounts.append(AmountOfDay(None, row.day, row.code, row.amount))
            case FigureKind.POSTBACK:
                self._add_postbacks(row)
            case FigureKind.ATTEMPT:
                self._add_attempts(row)
            case FigureKind.DELIVERY:
                self.delivered_after[int(row.code)] += row.count
            case FigureKind.INSTALL:
                self.installs += row.count
                self.attributed += 0 if row.state == _ORGANIC else row.count

    def _add_postbacks(self, row: "_FigureSum") -> None:
        self.states[row.state] += row.count
        if row.state == FlowState.SKIPPED:
            self.skipped[row.code] += row.count
        elif row.state == FlowState.FAILED:
            self.failures[row.code] += row.count

    def _add_attempts(self, row: "_FigureSum") -> None:
        self.outcomes[row.state] += row.count
        self.codes[row.code] += row.count
        if row.state != Outcome.DELIVERED:
            self.troubles[row.code] += row.count


class TooManyFiguresError(Exception):
    """There are more steps and subjects than somebody wants to load."""


@dataclass(frozen=True, slots=True)
class _FigureSum:
    step: int
    subject: str
    kind: str
    state: str
    code: str
    day: date | None
    count: int
    amount: Decimal | None


def period(
    since: datetime,
    until: datetime,
    *,
    zone: ZoneInfo,
    now: datetime,
    step: timedelta | None = None,
) -> FigurePeriod:
    """Return the period between two moments, and the rest of the spans that it begins and ends in.

    `step` is a number of minutes that fits into an hour or of hours that fits into a day, or a day.
    """
    since, until = max(since, EARLIEST), min(max(until, EARLIEST), now)
    begin, end = _kept_span(since, now, zone)[0], _kept_span(until, now, zone)
    return FigurePeriod(begin, until if until == end[0] > begin else end[1], zone, step)


def read_figures(
    of: FigurePeriod,
    *,
    by: Subject | None = None,
    only: FigureFilter = FigureFilter(),
    kinds: Collection[FigureKind] = tuple(FigureKind),
    without_names: Sequence[str] = (),
    most: int | None = None,
) -> dict[tuple[int, str], Figures]:
    """Return what the current organization counted, by step from 1 on and by subject.

    Events of `without_names` are left out.
    Without steps the step is 0, without `by` the subject is empty. A subject is our id as text, "0"
    for none; there is no key where nothing was counted.

    Raises TooManyFiguresError where there are more than `most` steps and subjects; none is loaded.
    """
    told_apart = only.subjects | ({by} if by else set())
    if without_names:
        told_apart.add(Subject.EVENT_NAME)
    parts = _parts(of, kinds, told_apart)
    rows = fetch_rows(
        _FigureSum,
        _SUM,
        totals=[part.total_of.value if part.total_of else "" for part in parts],
        part_kinds=[" ".join(kind.value for kind in part.kinds) for part in parts],
        spans=[part.span.value for part in parts],
        sinces=[part.since for part in parts],
        untils=[part.until for part in parts],
        since=of.since,
        until=of.until,
        starts=list(of.starts),
        group_by=by.value if by else "",
        kinds=[kind.value for kind in kinds],
        app=only.app,
        partner=only.partner,
        campaign=only.campaign,
        rule=only.rule,
        without_names=list(without_names),
        most=most,
    )
    if rows and rows[0].step == _TOO_MANY:
        raise TooManyFiguresError
    figures: dict[tuple[int, str], Figures] = {}
    for row in rows:
        figures.setdefault((row.step, row.subject), Figures()).add(row)
    return figures


def sum_up(figures: Iterable[Figures]) -> Figures:
    """Return the sum of several figures."""
    total = Figures()
    for part in figures:
        total.events += part.events
        total.installs += part.installs
        total.attributed += part.attributed
        total.amounts.extend(part.amounts)
        total.states.update(part.states)
        total.skipped.update(part.skipped)
        total.failures.update(part.failures)
        total.outcomes.update(part.outcomes)
        total.codes.update(part.codes)
        total.troubles.update(part.troubles)
        total.delivered_after.update(part.delivered_after)
    return total


def revenues(figures: Sequence[Figures], *, now: datetime, currency: str = USD) -> list[Revenue]:
    """Return the revenue of each in a currency, by the rates of its days; the others as they came.

    All of them take one look at the rates.
    """
    amounts = [
        AmountOfDay(index, amount.day, amount.currency, amount.amount)
        for index, part in enumerate(figures)
        for amount in part.amounts
    ]
    by_index = revenue_by_key(amounts, now=now, currency=currency) if amounts else {}
    return [by_index.get(index, Revenue(currency=currency)) for index in range(len(figures))]


def _kept_span(moment: datetime, now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return begin and end of the finest span with this moment that is certainly kept."""
    moment = moment.astimezone(UTC)
    if moment >= now - MINUTES_KEPT + _MARGIN:
        begin = moment.replace(second=0, microsecond=0)
        return begin, begin + _MINUTE
    if moment >= now - QUARTERS_KEPT + _MARGIN:
        begin = moment.replace(minute=moment.minute - moment.minute % 15, second=0, microsecond=0)
        return begin, begin + _QUARTER
    return midnight(moment, zone), midnight(moment, zone, days_later=1)


def _next_start(start: datetime, step: timedelta, zone: ZoneInfo) -> datetime:
    """Return when the next step begins, as a clock on the wall shows it."""
    local = start.astimezone(zone)
    if step >= _DAY:
        return midnight(start, zone, days_later=1)
    past = timedelta(hours=local.hour, minutes=local.minute) % step
    if step > timedelta(hours=1):
        return (local.replace(fold=0) - past + step).astimezone(UTC)  # wall time: `local` is aware
    return start - past + step  # real time: an hour that is repeated is two


def _starts(of: FigurePeriod) -> Iterable[datetime]:
    start = of.since
    while of.step and start < of.until:
        yield start
        start = _next_start(start, of.step, of.zone)


def _parts(
    of: FigurePeriod, kinds: Collection[FigureKind], told_apart: Collection[Subject]
) -> list[FigurePart]:
    cut = SpanCut(of.since, of.until, of.starts, of.zone)
    parts = list(cut.parts(kinds, told_apart))
    if any(part.span is FigureSpan.DAY for part in parts) and not _days_are_of(of.zone):
        parts = list(replace(cut, with_days=False).parts(kinds, told_apart))
    return parts


def _days_are_of(zone: ZoneInfo) -> bool:
    """Tell whether days were folded for this zone; after a change that takes a minute."""
    return not FigureZone.objects.exclude(time_zone=zone.key).exists()
