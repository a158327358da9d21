"""What copies of Apple's postbacks add up to: by network and campaign, by meaning, and by day.

Only valid copies count, each transaction once: forged copies, tests and duplicates stand beside.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, TruncDate

from postbacks.insights import days_chart
from postbacks.insights.days_chart import DaysChart, day_name
from postbacks.insights.logs import TimeRange
from postbacks.insights.skan.log import SkanCopySearch
from postbacks.models import SignatureState
from postbacks.models.skadnetwork import SkanProtocol

USUAL_DAYS, MOST_DAYS = 30, 92
MOST_LINES = 100

_NONE = Decimal(0)


@dataclass(slots=True)
class RevenueRanges:
    """Ranges of revenue, by currency: what it was at least and at most."""

    by_currency: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)

    def add(self, currency: str, least: Decimal | None, most: Decimal | None) -> None:
        """Add a range; what has none is nothing."""
        if currency:
            before = self.by_currency.get(currency, (_NONE, _NONE))
            self.by_currency[currency] = before[0] + (least or _NONE), before[1] + (most or _NONE)

    def __str__(self) -> str:
        """Write them as people do: 10.00 to 25.00 USD."""
        return ", ".join(
            f"{least:,.2f} {currency}"
            if least == most
            else f"{least:,.2f} to {most:,.2f} {currency}"
            for currency, (least, most) in sorted(self.by_currency.items())
        )


@dataclass(slots=True)
class SkanTally:
    """How many copies count, and what they say."""

    copies: int = 0
    wins: int = 0
    redownloads: int = 0
    decoded: int = 0
    revenue: RevenueRanges = field(default_factory=RevenueRanges)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row of a grouped query."""
        self.copies += row["copies"]
        self.wins += row["wins"]
        self.redownloads += row["redownloads"]
        self.decoded += row["decoded"]
        self.revenue.add(row["currency"], row["least"], row["most"])


@dataclass(frozen=True, slots=True)
class SkanReportRow:
    """A network's campaign, a meaning or a day, with its tally."""

    name: str
    detail: str
    tally: SkanTally


@dataclass(frozen=True, slots=True)
class SkanReport:
    """The whole of it; `states` are all copies by signature, duplicates apart."""

    days: tuple[date, ...]
    zone: ZoneInfo
    whole: SkanTally
    states: tuple[tuple[str, int], ...]
    duplicates: int
    campaigns: tuple[SkanReportRow, ...]
    meanings: tuple[SkanReportRow, ...]
    by_day: tuple[SkanReportRow, ...]
    chart: DaysChart

    @property
    def title(self) -> str:
        """Name the days."""
        first, last = self.days[0], self.days[-1]
        return day_name(last) if first == last else f"{day_name(first)} to {day_name(last)}"

    @property
    def is_empty(self) -> bool:
        """Tell whether no copy came at all."""
        return not self.states and not self.duplicates


def read_skan_report(wanted: SkanCopySearch, *, now: datetime, zone: ZoneInfo) -> SkanReport:
    """Return what the copies that are asked for add up to, of at most 92 days."""
    days = _days(wanted.span, now, zone)
    since = datetime.combine(days[0], time(), zone)
    if wanted.span.since is not None:
        since = max(since, wanted.span.since)
    rows = wanted.rows(TimeRange(since, wanted.span.until))
    counted = rows.filter(signature_state=SignatureState.VALID, duplicate_of=None)
    by_day = {
        line.name: line
        for line in _lines(counted, lambda it: (it["day"].isoformat(), ""), day=_day(zone))
    }
    tallies = [_of_day(day, by_day) for day in days]
    campaigns = _lines(counted, _campaign, "network_id", "partner__name", *_NUMBERS)
    return SkanReport(
        days=days,
        zone=zone,
        whole=_whole(campaigns),
        states=_states(rows),
        duplicates=rows.filter(duplicate_of__isnull=False).count(),
        campaigns=campaigns[:MOST_LINES],
        meanings=_lines(counted, _meaning, *_VALUES)[:MOST_LINES],
        by_day=tuple(reversed(tallies)),
        chart=days_chart.draw_days("Copies that count", days, [it.tally.copies for it in tallies]),
    )


# Before SKAdNetwork 3.0 nobody but the winner was told.
_WON = Q(did_win=True) | Q(
    did_win=None, protocol=SkanProtocol.SKADNETWORK, version__regex=r"^[12]\."
)
_NUMBERS = ("source_identifier", "campaign_id")
_VALUES = ("event_name",)


def _days(span: TimeRange, now: datetime, zone: ZoneInfo) -> tuple[date, ...]:
    last = (min(span.until, now) if span.until else now).astimezone(zone).date()
    usual = last - timedelta(days=USUAL_DAYS - 1)
    first = span.since.astimezone(zone).date() if span.since else usual
    first = min(max(first, last - timedelta(days=MOST_DAYS - 1)), last)
    return tuple(first + timedelta(days=place) for place in range((last - first).days + 1))


def _day(zone: ZoneInfo) -> TruncDate:
    return TruncDate("received_at", tzinfo=zone)


def _lines(
    counted: "QuerySet[Any]", name: Any, *groups: str, **more: TruncDate
) -> tuple[SkanReportRow, ...]:
    """Return grouped copies, the most first; of each group one row per currency is added up."""
    rows = (
        counted.order_by()
        .values(*groups, "currency", **more)
        .annotate(
            copies=Count("pk"),
            wins=Count("pk", filter=_WON),
            redownloads=Count("pk", filter=Q(redownload=True)),
            decoded=Count("pk", filter=~Q(event_name="")),
            least=Sum("least_revenue"),
            most=Sum(Coalesce("most_revenue", "least_revenue")),
        )
    )
    tallies: dict[tuple[str, str], SkanTally] = {}
    for row in rows:
        tallies.setdefault(name(row), SkanTally()).add(row)
    ordered = sorted(tallies.items(), key=lambda it: (-it[1].copies, it[0]))
    return tuple(SkanReportRow(*names, tally) for names, tally in ordered)


def _campaign(row: dict[str, Any]) -> tuple[str, str]:
    network = row["partner__name"] or row["network_id"] or "unknown network"
    return network, row["source_identifier"] or row["campaign_id"]


def _meaning(row: dict[str, Any]) -> tuple[str, str]:
    return row["event_name"], ""


def _of_day(day: date, by_day: dict[str, SkanReportRow]) -> SkanReportRow:
    line = by_day.get(day.isoformat())
    return SkanReportRow(day_name(day), "", line.tally if line else SkanTally())


def _whole(lines: Iterable[SkanReportRow]) -> SkanTally:
    whole = SkanTally()
    for line in lines:
        whole.copies += line.tally.copies
        whole.wins += line.tally.wins
        whole.redownloads += line.tally.redownloads
        whole.decoded += line.tally.decoded
        for currency, (least, most) in line.tally.revenue.by_currency.items():
            whole.revenue.add(currency, least, most)
    return whole


def _states(rows: "QuerySet[Any]") -> tuple[tuple[str, int], ...]:
    firsts = rows.filter(duplicate_of=None).order_by()
    counts = dict(
        firsts.values("signature_state")
        .annotate(count=Count("pk"))
        .values_list("signature_state", "count")
    )
    return tuple((state.label, counts[state]) for state in SignatureState if state in counts)
