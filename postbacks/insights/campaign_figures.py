"""What campaigns brought in a period: one pass over touchpoints and installs each.

A list takes events from figures; a campaign's links and days take a pass over its own events.

Refused clicks and installs that were rejected as fraud are counted separately. An event counts for
the campaign to which its device's install was credited when the event arrived. Revenue is in
one currency by each day's rate; currencies without a rate stay as they came.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from django.db import connection

from apps_registry.models import Campaign
from apps_registry.tenancy import current_organization
from postbacks.callbacks.currency.conversion import USD
from postbacks.infrastructure.database.statements import fetch_rows
from postbacks.insights import figures
from postbacks.insights.figure_parts import Subject
from postbacks.insights.figures import Figures
from postbacks.insights.periods import Period
from postbacks.insights.revenue import AmountOfDay, Revenue, revenue_by_key
from postbacks.models import EventSource, FigureKind, InstallKind, TouchpointKind

T = TypeVar("T")


_OPENINGS = ("install", "open")  # no events that somebody pays for


class GroupBy(StrEnum):
    """What the figures are grouped by."""

    CAMPAIGN = "campaign_id"
    LINK = "link_id"
    DAY = "day"


# `{key}` is the column of a GroupBy; for days an expression, by the time of the statement's table.
_COUNT_TOUCHPOINTS = """
SELECT {key} AS key, kind, refused <> '' AS is_refused, count(*)
FROM touchpoint
WHERE organization_id = %(organization)s AND campaign_id = ANY(%(campaigns)s)
  AND received_at >= %(since)s AND received_at < %(until)s
GROUP BY 1, 2, 3
"""
_COUNT_INSTALLS = """
SELECT {key} AS key, kind = %(first_install)s AS is_new, count(*)
FROM install
WHERE organization_id = %(organization)s AND campaign_id = ANY(%(campaigns)s)
  AND event_received_at >= %(since)s AND event_received_at < %(until)s
GROUP BY 1, 2
"""
# A device that comes back has another install, to which its later events belong.
_SUM_EVENTS = """
WITH credited AS MATERIALIZED (
    SELECT install.app_id, install.device, install.campaign_id, install.link_id,
           install.event_received_at AS since, successor.event_received_at AS until
    FROM install
    LEFT JOIN install AS successor
      ON successor.organization_id = install.organization_id
     AND successor.app_id = install.app_id AND successor.device = install.device
     AND successor.number = install.number + 1
    WHERE install.organization_id = %(organization)s
      AND install.campaign_id = ANY(%(campaigns)s) AND install.event_received_at < %(until)s
)
SELECT {key} AS key, (event_time AT TIME ZONE 'UTC')::date AS day, event.currency, count(*),
       sum(revenue) AS amount
FROM credited
JOIN event ON event.app_id = credited.app_id AND event.device = credited.device
 AND event.received_at >= credited.since
 AND (credited.until IS NULL OR event.received_at < credited.until)
WHERE event.organization_id = %(organization)s AND event.device <> ''
  AND event.received_at >= %(since)s AND event.received_at < %(until)s
  AND event.source <> %(system)s AND event.event_name NOT IN ('install', 'open')
GROUP BY 1, 2, 3
"""
# Postbacks itself reports them, each with the credit that it would have had.
_COUNT_REJECTED = """
SELECT count(DISTINCT device) FROM event
WHERE organization_id = %(organization)s AND app_id = %(app)s AND source = %(system)s
  AND received_at >= %(since)s AND received_at < %(until)s AND event_name = 'rejected_install'
  AND fields -> 'attribution' ->> 'partner_id' = %(partner)s
  AND fields -> 'attribution' ->> 'campaign_name' = %(name)s
"""
_DAY_EXPRESSIONS = {
    _COUNT_TOUCHPOINTS: "(received_at AT TIME ZONE %(zone)s)::date",
    _COUNT_INSTALLS: "(event_received_at AT TIME ZONE %(zone)s)::date",
    _SUM_EVENTS: "(event.received_at AT TIME ZONE %(zone)s)::date",
}


@dataclass(frozen=True, slots=True)
class _TouchpointCount:
    key: Any
    kind: str
    is_refused: bool
    count: int


@dataclass(slots=True)
class CampaignFigures:
    """What a campaign, a link or a day brought."""

    clicks: int = 0
    impressions: int = 0
    refused: int = 0
    installs: int = 0
    returns: int = 0
    events: int = 0
    revenue: Revenue = field(default_factory=Revenue)

    @property
    def rate_percent(self) -> float | None:
        """Return how many of a hundred clicks became installs; None without a click."""
        return 100 * self.installs / self.clicks if self.clicks else None

    def add_touchpoints(self, touchpoints: _TouchpointCount) -> None:
        """Count clicks, impressions or, of both kinds, refused ones."""
        if touchpoints.is_refused:
            self.refused += touchpoints.count
        elif touchpoints.kind == TouchpointKind.CLICK:
            self.clicks += touchpoints.count
        else:
            self.impressions += touchpoints.count


@dataclass(frozen=True, slots=True)
class _InstallCount:
    key: Any
    is_new: bool
    count: int


@dataclass(frozen=True, slots=True)
class _EventSum(AmountOfDay):
    """The events of one key, one UTC day and one currency."""

    count: int


def read_figures(
    campaigns: Collection[int], period: Period, *, by: GroupBy, currency: str = USD
) -> dict[Any, CampaignFigures]:
    """Return figures of the current organization's campaigns, by the key that groups them.

    Where nothing happened there is no key.
    """
    if not campaigns:
        return {}
    by_key: dict[Any, CampaignFigures] = {}

    def of(key: object) -> CampaignFigures:
        return by_key.setdefault(key, CampaignFigures())

    for touchpoints in _fetch(_TouchpointCount, _COUNT_TOUCHPOINTS, campaigns, period, by=by):
        of(touchpoints.key).add_touchpoints(touchpoints)
    for installs in _fetch(_InstallCount, _COUNT_INSTALLS, campaigns, period, by=by):
        of(installs.key).installs += installs.count if installs.is_new else 0
        of(installs.key).returns += 0 if installs.is_new else installs.count
    sums = _sum_events(campaigns, period, by=by)
    for events in sums:
        of(events.key).events += events.count
    for each in by_key.values():
        each.revenue.currency = currency
    for key, revenue in revenue_by_key(sums, now=period.until, currency=currency).items():
        of(key).revenue = revenue
    return by_key


def _sum_events(campaigns: Collection[int], period: Period, *, by: GroupBy) -> Sequence[_EventSum]:
    """Sum events up; of whole campaigns as figures have counted them, for no log is read then."""
    if by is not GroupBy.CAMPAIGN:
        return _fetch(_EventSum, _SUM_EVENTS, campaigns, period, by=by)
    of = figures.period(period.since, period.until, zone=period.zone, now=period.until)
    by_campaign = figures.read_figures(
        of, by=Subject.CAMPAIGN, kinds=(FigureKind.EVENT,), without_names=_OPENINGS
    )
    sums: list[_EventSum] = []
    for key in campaigns:
        part = by_campaign.get((0, str(key)), Figures())
        sums += [_EventSum(key, a.day, a.currency, a.amount, 0) for a in part.amounts]
        if part.events:
            sums.append(_EventSum(key, period.until.date(), "", None, part.events))
    return sums


def count_rejected_installs(campaign: Campaign, period: Period) -> int:
    """Return how many installs a campaign would have earned by touchpoints that were fraud."""
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNT_REJECTED,
            {
                "organization": current_organization(),
                "app": campaign.app_id,
                "partner": str(campaign.partner_id),
                "name": campaign.name,
                "system": EventSource.SYSTEM.value,
                "since": period.since,
                "until": period.until,
            },
        )
        (count,) = cursor.fetchone()
    return int(count)


def sum_figures(parts: Sequence[CampaignFigures]) -> CampaignFigures:
    """Return the sum of several figures."""
    total = CampaignFigures()
    for part in parts:
        for name in ("clicks", "impressions", "refused", "installs", "returns", "events"):
            setattr(total, name, getattr(total, name) + getattr(part, name))
        total.revenue.amount += part.revenue.amount
        total.revenue.currency = part.revenue.currency
        for currency, amount in part.revenue.others.items():
            total.revenue.others[currency] = total.revenue.others.get(currency, 0) + amount
    return total


def _fetch(
    row_type: type[T],
    statement: str,
    campaigns: Collection[int],
    period: Period,
    *,
    by: GroupBy,
) -> list[T]:
    key = _DAY_EXPRESSIONS[statement] if by is GroupBy.DAY else by.value
    return fetch_rows(
        row_type,
        statement.format(key=key),
        campaigns=list(campaigns),
        since=period.since,
        until=period.until,
        zone=period.zone.key,
        first_install=InstallKind.INSTALL.value,
        system=EventSource.SYSTEM.value,
    )
