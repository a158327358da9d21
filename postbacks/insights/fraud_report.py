"""The fraud report: what was rejected, and each night's search for sites that look invented.

A report, not a judge: nothing is rejected by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import msgspec
from django.db import transaction

from postbacks.attribution import reasons
from postbacks.attribution.outliers import (
    BOUNDS,
    LABELS,
    LEAST_INSTALLS,
    is_outlier,
    share_within_hour,
)
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import fetch_rows
from postbacks.insights.periods import Period
from postbacks.models import EventSource, InstallKind, SiteTimes, Tidying, TouchpointKind

MOST_ROWS = 200
LOOKBACK = timedelta(days=7)
TIDYING_NAME = "site times"

_COUNT_INSTALLS = load_sql(
    "postbacks.insights", "count_installs_by_site", InstallKind, TouchpointKind
)
_INSERT_OUTLIERS = """
INSERT INTO site_times (organization_id, app_id, partner_id, site_id, day, times)
SELECT organization_id, app_id, partner_id, site_id, %(day)s, times
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
    organization_id bigint, app_id bigint, partner_id bigint, site_id text, times integer[]
)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class _SiteInstalls:
    """A site's installs by the time after the click; `times` has a count for each bar."""

    organization_id: int
    app_id: int
    partner_id: int
    site_id: str
    times: list[int]


def record_outliers(now: datetime | None = None) -> int:
    """Record tonight's outliers, once per UTC day; return how many there are.

    The role must be the worker's.
    """
    until = (now or datetime.now(UTC)).replace(hour=0, minute=0, second=0, microsecond=0)
    with transaction.atomic():
        last_search = Tidying.objects.select_for_update().filter(name=TIDYING_NAME).first()
        if last_search is not None and last_search.through >= until:
            return 0
        outliers = [site for site in _sites(until) if is_outlier(tuple(site.times))]
        _insert(outliers, until.date())
        Tidying.objects.update_or_create(name=TIDYING_NAME, defaults={"through": until})
    return len(outliers)


def _sites(until: datetime) -> list[_SiteInstalls]:
    bounds = [bound.total_seconds() for bound in BOUNDS]
    parameters = {
        "bounds": bounds,
        "since": until - LOOKBACK,
        "until": until,
        "least": LEAST_INSTALLS,
    }
    return prepared.fetch(_SiteInstalls, _COUNT_INSTALLS, parameters)


def _insert(outliers: Sequence[_SiteInstalls], night: date) -> None:
    if outliers:
        rows = msgspec.json.encode(outliers).decode()
        prepared.run(_INSERT_OUTLIERS, {"rows": rows, "day": night})


_COUNT_REJECTIONS = load_sql("postbacks.insights", "count_rejections", EventSource, InstallKind)


@dataclass(frozen=True, slots=True)
class RejectionCount:
    """How often one partner's touchpoints were rejected for one reason.

    `earned` is the number of installs that the partner was credited with in the period.
    """

    partner: str
    reason: str
    count: int
    earned: int

    @property
    def sentence(self) -> str:
        return reasons.of_fraud(self.reason)


@dataclass(frozen=True, slots=True)
class RejectionBar:
    """Installs within a stretch of time, and how high the bar is in percent of the highest."""

    label: str
    count: int
    height: int


@dataclass(frozen=True, slots=True)
class OutlierSite:
    """A site whose clicks look invented."""

    app: str
    partner: str
    site: str
    installs: int
    percent: int
    bars: tuple[RejectionBar, ...]


def count_rejections(period: Period) -> list[RejectionCount]:
    """Return what was rejected in a period, the most frequent first."""
    return fetch_rows(
        RejectionCount,
        _COUNT_REJECTIONS,
        since=period.since,
        until=period.until,
        most=MOST_ROWS,
    )


def read_newest_outliers() -> tuple[date | None, list[OutlierSite]]:
    """Return the last night that was searched, and its outliers, the largest first."""
    last_search = Tidying.objects.filter(name=TIDYING_NAME).first()
    if last_search is None:
        return None, []
    night = last_search.through.date()
    rows = SiteTimes.objects.filter(day=night).select_related("app", "partner")
    outliers = [
        OutlierSite(
            app=str(row.app),
            partner=str(row.partner),
            site=row.site_id,
            installs=sum(row.times),
            percent=round(share_within_hour(tuple(row.times))),
            bars=_bars(row.times),
        )
        for row in rows
    ]
    return night, sorted(outliers, key=lambda outlier: -outlier.installs)[:MOST_ROWS]


def _bars(times: Sequence[int]) -> tuple[RejectionBar, ...]:
    highest = max(*times, 1)
    return tuple(
        RejectionBar(label, count, round(100 * count / highest))
        for label, count in zip(LABELS, times, strict=True)
    )
