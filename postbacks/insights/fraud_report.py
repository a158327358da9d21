"""What was rejected as fraud, by partner and reason, and which sites look invented."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from postbacks.attribution import reasons
from postbacks.attribution.outliers import LABELS, share_within_hour
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.insights.outlier_sites import TIDYING_NAME
from postbacks.insights.periods import Period
from postbacks.insights.statements import fetch_rows
from postbacks.models import EventSource, InstallKind, SiteTimes, Tidying

MOST_ROWS = 200

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
