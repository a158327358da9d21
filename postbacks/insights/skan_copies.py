"""Copies of Apple's postbacks: their log, what they add up to, and the app's settings for them.

They add up by network and campaign, by meaning, and by day. Only valid copies count, each
transaction once; forged copies, tests and duplicates are listed separately.
"""

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, TruncDate

from postbacks.insights import days_chart
from postbacks.insights.days_chart import DaysChart, day_name
from postbacks.insights.keyset import Cursor, KeysetList, KeysetPage
from postbacks.insights.logs import TimeRange
from postbacks.models import SignatureState, SkanPostback
from postbacks.models.skadnetwork import SkanProtocol

DEFAULT_DAYS, MOST_DAYS = 30, 92
MOST_ROWS = 100

_ZERO = Decimal(0)
# Before SKAdNetwork 3.0 only the winner was notified.
_WON = Q(did_win=True) | Q(
    did_win=None, protocol=SkanProtocol.SKADNETWORK, version__regex=r"^[12]\."
)
_CAMPAIGN_NUMBERS = ("source_identifier", "campaign_id")
# Names below these are registered with the country's registry: example.co.uk is one name.
_SECOND_LEVEL = {"ac", "co", "com", "edu", "gov", "net", "ne", "or", "org"}


@dataclass(frozen=True, slots=True)
class SkanCopySearch:
    """A search of the copies. `id` is a copy's own or Apple's id of the transaction.

    `campaign` is a network's number of a campaign: source identifier or campaign id.
    """

    span: TimeRange
    id: UUID | None = None
    app_id: int | None = None
    partner_id: int | None = None
    network_id: str = ""
    campaign: str = ""
    protocol: str = ""
    signature_state: str = ""
    sequence: int | None = None
    did_win: bool | None = None
    duplicate: bool | None = None
    event_name: str = ""

    @property
    def conditions(self) -> list[Q]:
        """Return all conditions except the time."""
        equal: dict[str, object] = {
            "app_id": self.app_id,
            "partner_id": self.partner_id,
            "network_id__iexact": self.network_id,
            "protocol": self.protocol,
            "signature_state": self.signature_state,
            "sequence": self.sequence,
            "did_win": self.did_win,
            "event_name": self.event_name,
        }
        conditions = [
            Q(**{name: value}) for name, value in equal.items() if value not in (None, "")
        ]
        if self.id:
            conditions.append(Q(public_id=self.id) | Q(transaction_id__iexact=str(self.id)))
        if self.campaign:
            conditions.append(Q(source_identifier=self.campaign) | Q(campaign_id=self.campaign))
        if self.duplicate is not None:
            conditions.append(Q(duplicate_of__isnull=not self.duplicate))
        return conditions

    def rows(self, span: TimeRange | None = None) -> "QuerySet[Any]":
        """Return the matching copies; `span` replaces the time that is searched."""
        within = (span or self.span).within(SkanPostback.objects.all(), "received_at")
        return within.filter(*self.conditions)


def skan_copy_log(search: SkanCopySearch, cursor: Cursor) -> KeysetPage[SkanPostback]:
    """Return a page of copies, newest first, with their apps and partners."""
    searched = search.span.within(SkanPostback.objects.all(), "received_at")
    rows = search.rows().defer("body", "signature").prefetch_related("app", "partner")
    return KeysetList(
        rows=rows, time_key="received_at", searched=searched if search.conditions else None
    ).page(cursor)


@dataclass(slots=True)
class RevenueRanges:
    """Revenue by currency, each as a range of the least and the most it can be."""

    by_currency: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)

    def add(self, currency: str, least: Decimal | None, most: Decimal | None) -> None:
        """Add a range; without a currency there is none."""
        if currency:
            low, high = self.by_currency.get(currency, (_ZERO, _ZERO))
            self.by_currency[currency] = low + (least or _ZERO), high + (most or _ZERO)

    def __str__(self) -> str:
        """Return them as people read them: 10.00 to 25.00 USD."""
        return ", ".join(
            f"{least:,.2f} {currency}"
            if least == most
            else f"{least:,.2f} to {most:,.2f} {currency}"
            for currency, (least, most) in sorted(self.by_currency.items())
        )


@dataclass(slots=True)
class SkanTally:
    """The copies that count, and what they say."""

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
    """The whole report; `states` are all copies by signature, without duplicates."""

    days: tuple[date, ...]
    zone: ZoneInfo
    whole: SkanTally
    states: tuple[tuple[str, int], ...]
    duplicates: int
    campaigns: tuple[SkanReportRow, ...]
    meanings: tuple[SkanReportRow, ...]
    by_day: tuple[SkanReportRow, ...]
    chart: DaysChart
    is_whole: bool  # False: the filter asks for more days than a report has

    @property
    def title(self) -> str:
        first, last = self.days[0], self.days[-1]
        return day_name(last) if first == last else f"{day_name(first)} to {day_name(last)}"

    @property
    def is_empty(self) -> bool:
        return not self.states and not self.duplicates


def read_skan_report(search: SkanCopySearch, *, now: datetime, zone: ZoneInfo) -> SkanReport:
    """Return what the matching copies add up to, of at most 92 days."""
    days = _days(search.span, now, zone)
    since = datetime.combine(days[0], time(), zone)
    if search.span.since is not None:
        since = max(since, search.span.since)
    rows = search.rows(TimeRange(since, search.span.until))
    counted = rows.filter(signature_state=SignatureState.VALID, duplicate_of=None)
    tally_by_day = {row.name: row.tally for row in _group(counted, _day, day=_local_day(zone))}
    tallies = [tally_by_day.get(day.isoformat(), SkanTally()) for day in days]
    campaigns = _group(counted, _campaign, "network_id", "partner__name", *_CAMPAIGN_NUMBERS)
    return SkanReport(
        days=days,
        zone=zone,
        whole=_sum(campaigns),
        states=_states(rows),
        duplicates=rows.filter(duplicate_of__isnull=False).count(),
        campaigns=campaigns[:MOST_ROWS],
        meanings=_group(counted, _meaning, "event_name")[:MOST_ROWS],
        by_day=tuple(
            SkanReportRow(day_name(day), "", tally)
            for day, tally in reversed(list(zip(days, tallies, strict=True)))
        ),
        chart=days_chart.draw_days("Valid copies", days, [tally.copies for tally in tallies]),
        is_whole=search.span.since is not None and search.span.since >= since,
    )


def _days(span: TimeRange, now: datetime, zone: ZoneInfo) -> tuple[date, ...]:
    last = (min(span.until, now) if span.until else now).astimezone(zone).date()
    usual = last - timedelta(days=DEFAULT_DAYS - 1)
    first = span.since.astimezone(zone).date() if span.since else usual
    first = min(max(first, last - timedelta(days=MOST_DAYS - 1)), last)
    return tuple(first + timedelta(days=offset) for offset in range((last - first).days + 1))


def _local_day(zone: ZoneInfo) -> TruncDate:
    return TruncDate("received_at", tzinfo=zone)


def _group(
    counted: "QuerySet[Any]",
    names_of: Callable[[dict[str, Any]], tuple[str, str]],
    *groups: str,
    **expressions: TruncDate,
) -> tuple[SkanReportRow, ...]:
    """Return the copies by name and detail, the most first; sums up the rows of all currencies."""
    rows = (
        counted.order_by()
        .values(*groups, "currency", **expressions)
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
        tallies.setdefault(names_of(row), SkanTally()).add(row)
    ordered = sorted(tallies.items(), key=lambda item: (-item[1].copies, item[0]))
    return tuple(SkanReportRow(*names, tally) for names, tally in ordered)


def _campaign(row: dict[str, Any]) -> tuple[str, str]:
    network = row["partner__name"] or row["network_id"] or "unknown network"
    return network, row["source_identifier"] or row["campaign_id"]


def _meaning(row: dict[str, Any]) -> tuple[str, str]:
    return row["event_name"], ""


def _day(row: dict[str, Any]) -> tuple[str, str]:
    return row["day"].isoformat(), ""


def _sum(rows: Iterable[SkanReportRow]) -> SkanTally:
    total = SkanTally()
    for row in rows:
        total.copies += row.tally.copies
        total.wins += row.tally.wins
        total.redownloads += row.tally.redownloads
        total.decoded += row.tally.decoded
        for currency, (least, most) in row.tally.revenue.by_currency.items():
            total.revenue.add(currency, least, most)
    return total


def _states(rows: "QuerySet[Any]") -> tuple[tuple[str, int], ...]:
    firsts = rows.filter(duplicate_of=None).order_by()
    counts = dict(
        firsts.values("signature_state")
        .annotate(count=Count("pk"))
        .values_list("signature_state", "count")
    )
    return tuple((state.label, counts[state]) for state in SignatureState if state in counts)


@dataclass(frozen=True, slots=True)
class SkanSetup:
    """The lines of an app's Info.plist, with the domain to which Apple shortens our host.

    With `is_sub_domain` the copies go to another host than this installation's own.
    """

    host: str
    domain: str

    @property
    def address(self) -> str:
        return f"https://{self.domain}"

    @property
    def is_sub_domain(self) -> bool:
        return self.host != self.domain

    @property
    def lines(self) -> str:
        """Return the lines of Info.plist, to be copied."""
        return "\n".join(
            (
                "<key>NSAdvertisingAttributionReportEndpoint</key>",
                f"<string>{self.address}</string>",
                "<key>AdAttributionKit</key>",
                "<dict>",
                "  <key>AttributionCopyEndpoint</key>",
                f"  <string>{self.address}</string>",
                "</dict>",
            )
        )


def skan_setup(public_url: str) -> SkanSetup:
    """Return the settings for an installation at an address."""
    host = urlsplit(public_url).hostname or "example.com"
    return SkanSetup(host, registrable(host))


def registrable(host: str) -> str:
    """Return the part of a host that can be registered, as far as its shape tells."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.split(".")
        is_country = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
        return ".".join(labels[-3 if is_country else -2 :])
    return host
