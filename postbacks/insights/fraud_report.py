"""What was rejected as fraud, by partner and reason, and which sites look invented."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.db import connection

from apps_registry.tenancy import current_organization
from postbacks.attribution import reasons
from postbacks.attribution.outliers import LABELS, share_within_hour
from postbacks.insights.outlier_sites import NAME
from postbacks.insights.periods import Period
from postbacks.models import SiteTimes, Tidying

MOST_LINES = 200

_REJECTED = """
WITH rejected AS (
    SELECT coalesce(fields -> 'attribution' ->> 'partner_name', '') AS partner,
           coalesce(fields ->> 'reject_reason', '') AS reason, count(*) AS count
    FROM event
    WHERE organization_id = %(organization)s AND event_name = 'rejected_install'
      AND source = 'system' AND received_at >= %(since)s AND received_at < %(until)s
    GROUP BY 1, 2
), earned AS (
    SELECT p.name AS partner, count(*) AS count
    FROM install AS i JOIN partner AS p
      ON p.organization_id = i.organization_id AND p.id = i.partner_id
    WHERE i.organization_id = %(organization)s AND i.kind = 'install'
      AND i.event_received_at >= %(since)s AND i.event_received_at < %(until)s
    GROUP BY 1
)
SELECT rejected.partner, reason, rejected.count, coalesce(earned.count, 0)
FROM rejected LEFT JOIN earned USING (partner)
ORDER BY rejected.count DESC, rejected.partner, reason LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Rejected:
    """How often one partner's touchpoints were rejected for one reason."""

    partner: str
    reason: str
    sentence: str
    count: int
    earned: int


@dataclass(frozen=True, slots=True)
class RejectionBar:
    """Installs within a stretch of time, and how high the bar is in percent of the highest."""

    label: str
    count: int
    height: int


@dataclass(frozen=True, slots=True)
class Outlier:
    """A site whose clicks look invented."""

    app: str
    partner: str
    site: str
    installs: int
    percent: int
    bars: tuple[RejectionBar, ...]


def rejected(period: Period) -> list[Rejected]:
    """Return what was rejected in a period, the most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(
            _REJECTED,
            {
                "organization": current_organization(),
                "since": period.since,
                "until": period.until,
                "most": MOST_LINES,
            },
        )
        return [
            Rejected(partner, reason, reasons.of_fraud(reason), count, earned)
            for partner, reason, count, earned in cursor.fetchall()
        ]


def newest_outliers() -> tuple[date | None, list[Outlier]]:
    """Return the night that was looked at last, and its outliers, the largest first."""
    looked = Tidying.objects.filter(name=NAME).first()
    if looked is None:
        return None, []
    night = looked.through.date()
    rows = SiteTimes.objects.filter(day=night).select_related("app", "partner")
    found = [
        Outlier(
            str(row.app), str(row.partner), row.site_id, sum(row.times),
            round(share_within_hour(tuple(row.times))), _bars(row.times),
        )
        for row in rows
    ]  # fmt: skip
    return night, sorted(found, key=lambda it: -it.installs)[:MOST_LINES]


def _bars(times: Sequence[int]) -> tuple[RejectionBar, ...]:
    highest = max(*times, 1)
    return tuple(
        RejectionBar(label, count, round(100 * count / highest))
        for label, count in zip(LABELS, times, strict=True)
    )
