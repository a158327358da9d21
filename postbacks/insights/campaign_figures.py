"""What campaigns brought in a period: one pass over touchpoints, installs and events each.

Clicks that were refused, and installs that were rejected as fraud, stand apart. An event counts
for the campaign to which its device's install was credited when the event arrived.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db import connection

from apps_registry.models import Campaign
from apps_registry.tenancy import current_organization
from postbacks.insights.periods import Period
from postbacks.insights.revenue import Revenue, Takings, in_dollars


class By(StrEnum):
    """What the figures are told apart by."""

    CAMPAIGN = "campaign_id"
    LINK = "link_id"
    DAY = "day"


@dataclass(slots=True)
class Figures:
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


_TOUCHPOINTS = """
SELECT {key}, kind, refused <> '', count(*)
FROM touchpoint
WHERE organization_id = %(organization)s AND campaign_id = ANY(%(campaigns)s)
  AND received_at >= %(since)s AND received_at < %(until)s
GROUP BY 1, 2, 3
"""
_INSTALLS = """
SELECT {key}, kind = 'install', count(*)
FROM install
WHERE organization_id = %(organization)s AND campaign_id = ANY(%(campaigns)s)
  AND event_received_at >= %(since)s AND event_received_at < %(until)s
GROUP BY 1, 2
"""
# A device that comes back has another install, to which its later events belong.
_EVENTS = """
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
SELECT {key}, (event_time AT TIME ZONE 'UTC')::date, event.currency, count(*), sum(revenue)
FROM credited
JOIN event ON event.app_id = credited.app_id AND event.device = credited.device
 AND event.received_at >= credited.since
 AND (credited.until IS NULL OR event.received_at < credited.until)
WHERE event.organization_id = %(organization)s AND event.device <> ''
  AND event.received_at >= %(since)s AND event.received_at < %(until)s
  AND event.source <> 'system' AND event.event_name NOT IN ('install', 'open')
GROUP BY 1, 2, 3
"""
# We ourselves report them, each with the credit that it would have had.
_REJECTED = """
SELECT count(DISTINCT device) FROM event
WHERE organization_id = %(organization)s AND app_id = %(app)s AND source = 'system'
  AND received_at >= %(since)s AND received_at < %(until)s AND event_name = 'rejected_install'
  AND fields -> 'attribution' ->> 'partner_id' = %(partner)s
  AND fields -> 'attribution' ->> 'campaign_name' = %(name)s
"""
_DAYS = {
    _TOUCHPOINTS: "(received_at AT TIME ZONE %(zone)s)::date",
    _INSTALLS: "(event_received_at AT TIME ZONE %(zone)s)::date",
    _EVENTS: "(event.received_at AT TIME ZONE %(zone)s)::date",
}


def read_figures(campaigns: Collection[int], period: Period, *, by: By) -> dict[Any, Figures]:
    """Return figures of the current organization's campaigns, by what they are told apart by.

    Where nothing happened there is no key.
    """
    if not campaigns:
        return {}
    found: dict[Any, Figures] = {}

    def of(key: object) -> Figures:
        return found.setdefault(key, Figures())

    for key, kind, is_refused, count in _run(_TOUCHPOINTS, campaigns, period, by):
        name = "refused" if is_refused else f"{kind}s"
        setattr(of(key), name, getattr(of(key), name) + count)
    for key, is_new, count in _run(_INSTALLS, campaigns, period, by):
        of(key).installs += count if is_new else 0
        of(key).returns += 0 if is_new else count
    takings = []
    for key, day, currency, count, amount in _run(_EVENTS, campaigns, period, by):
        of(key).events += count
        if amount is not None:
            takings.append(Takings(key, day, currency, amount))
    for key, revenue in in_dollars(takings, now=period.until).items():
        of(key).revenue = revenue
    return found


def rejected_installs(campaign: Campaign, period: Period) -> int:
    """Return how many installs a campaign would have earned by touchpoints that were fraud."""
    with connection.cursor() as cursor:
        cursor.execute(
            _REJECTED,
            {
                "organization": current_organization(),
                "app": campaign.app_id,
                "partner": str(campaign.partner_id),
                "name": campaign.name,
                "since": period.since,
                "until": period.until,
            },
        )
        (count,) = cursor.fetchone()
    return int(count)


def total(figures: Sequence[Figures]) -> Figures:
    """Return several figures as one."""
    whole = Figures()
    for one in figures:
        for name in ("clicks", "impressions", "refused", "installs", "returns", "events"):
            setattr(whole, name, getattr(whole, name) + getattr(one, name))
        whole.revenue.usd += one.revenue.usd
        for currency, amount in one.revenue.others.items():
            whole.revenue.others[currency] = whole.revenue.others.get(currency, 0) + amount
    return whole


def _run(
    statement: str, campaigns: Collection[int], period: Period, by: By
) -> Iterator[tuple[Any, ...]]:
    key = _DAYS[statement] if by is By.DAY else by.value
    with connection.cursor() as cursor:
        cursor.execute(
            statement.format(key=key),
            {
                "organization": current_organization(),
                "campaigns": list(campaigns),
                "since": period.since,
                "until": period.until,
                "zone": period.zone.key,
            },
        )
        yield from cursor.fetchall()
