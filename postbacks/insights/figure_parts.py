"""The rows that a sum of figures reads: the coarsest totals and spans that still tell enough.

What nobody asks to be told apart was summed up as it was folded, so that an hour of an organization
with a hundred rules has no more rows than the page shows figures.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from postbacks.models import FigureKind, FigureSpan, TotalOf

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)  # there are no figures of such days
_DAY = timedelta(days=1)
_OF_EVENTS: Final = (FigureKind.EVENT, FigureKind.INSTALL)  # they belong to no rule
_OF_POSTBACKS: Final = (FigureKind.POSTBACK, FigureKind.ATTEMPT, FigureKind.DELIVERY)
_SPANS_OF_FIGURES: Final = (FigureSpan.DAY, FigureSpan.QUARTER, FigureSpan.MINUTE)
_SPANS_OF_TOTALS: Final = {
    TotalOf.ALL: (FigureSpan.DAY, FigureSpan.HOUR, FigureSpan.QUARTER, FigureSpan.MINUTE),
    TotalOf.RULES: (FigureSpan.DAY, FigureSpan.HOUR),
    TotalOf.CAMPAIGNS: (FigureSpan.DAY, FigureSpan.HOUR),
}


class Subject(StrEnum):
    """By what figures can be grouped."""

    APP = "app"
    PARTNER = "partner"
    CAMPAIGN = "campaign"
    RULE = "rule"
    EVENT_NAME = "event_name"


@dataclass(frozen=True, slots=True)
class FigurePart:
    """Rows that are read: of a total, or of the figures themselves where `total_of` is None."""

    kinds: Sequence[FigureKind]
    total_of: TotalOf | None
    span: FigureSpan
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class SpanCut:
    """A period and the starts of its steps, over none of which a span may reach."""

    since: datetime
    until: datetime
    starts: Sequence[datetime]
    zone: ZoneInfo
    with_days: bool = True

    def parts(
        self, kinds: Collection[FigureKind], told_apart: Collection[Subject]
    ) -> Iterator[FigurePart]:
        """Yield what sums up to the period where these subjects are grouped or filtered by."""
        for together in (_OF_EVENTS, _OF_POSTBACKS):
            wanted = [kind for kind in together if kind in kinds]
            if wanted:
                total_of = _total_of(wanted[0], set(told_apart))
                yield from self._parts_of(wanted, total_of)

    def _parts_of(
        self, kinds: Sequence[FigureKind], total_of: TotalOf | None
    ) -> Iterator[FigurePart]:
        of_total = _SPANS_OF_TOTALS[total_of] if total_of else ()
        spans = [
            span
            for span in sorted({*_SPANS_OF_FIGURES, *of_total}, reverse=True)
            if self._fits(span)
        ]
        for span, since, until in self._cover(self.since, self.until, spans):
            yield FigurePart(kinds, total_of if span in of_total else None, span, since, until)

    def _cover(
        self, since: datetime, until: datetime, spans: Sequence[FigureSpan]
    ) -> Iterator[tuple[FigureSpan, datetime, datetime]]:
        """Yield whole spans from one moment to another, the coarsest in the middle."""
        if since >= until:
            return
        coarsest, *finer = spans
        if not finer:
            yield coarsest, since, until
            return
        first, last = self._next_begin(coarsest, since), self._begin(coarsest, until)
        if first >= last:
            yield from self._cover(since, until, finer)
            return
        yield from self._cover(since, first, finer)
        yield coarsest, first, last
        yield from self._cover(last, until, finer)

    def _fits(self, span: FigureSpan) -> bool:
        if span is FigureSpan.DAY and not self.with_days:
            return False
        return all(self._begin(span, start) == start for start in self.starts[1:])

    def _begin(self, span: FigureSpan, moment: datetime) -> datetime:
        if span is FigureSpan.DAY:
            return midnight(moment, self.zone)
        return moment - (moment - EARLIEST) % timedelta(minutes=span)

    def _next_begin(self, span: FigureSpan, moment: datetime) -> datetime:
        begin = self._begin(span, moment)
        if begin == moment:
            return moment
        if span is FigureSpan.DAY:
            return midnight(moment, self.zone, days_later=1)
        return begin + timedelta(minutes=span)


def midnight(moment: datetime, zone: ZoneInfo, *, days_later: int = 0) -> datetime:
    """Return when the day of a moment begins in a zone, or one so many days later."""
    day = moment.astimezone(zone).date() + days_later * _DAY
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _total_of(kind: FigureKind, told_apart: set[Subject]) -> TotalOf | None:
    """Return the total that tells these subjects apart, None if only the figures do."""
    if kind in _OF_EVENTS:
        told_apart = told_apart - {Subject.RULE}
    if not told_apart:
        return TotalOf.ALL
    if kind in _OF_POSTBACKS and told_apart <= {Subject.APP, Subject.RULE, Subject.PARTNER}:
        return TotalOf.RULES  # a postback's partner is its rule's
    of_campaigns = {Subject.APP, Subject.CAMPAIGN}
    if kind in _OF_EVENTS:
        of_campaigns.add(Subject.PARTNER)
    return TotalOf.CAMPAIGNS if told_apart <= of_campaigns else None
