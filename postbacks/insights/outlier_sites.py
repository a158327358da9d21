"""Searches each night for sites whose times from click to install look invented.

A report, not a judge: nothing is rejected by it. Runs as the role worker; a second run in a night
finds the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import msgspec
from django.db import transaction

from postbacks.attribution.outliers import BOUNDS, LEAST_INSTALLS, is_outlier
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import InstallKind, Tidying, TouchpointKind

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
    """Record tonight's outliers, once per UTC day; return how many there are."""
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
