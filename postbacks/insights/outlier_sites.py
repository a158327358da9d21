"""Looks each night for sites whose times from click to install look invented.

A report, not a judge: nothing is rejected by it. Runs as the role worker; done twice in a night, it
finds the same.
"""

from datetime import UTC, datetime, timedelta

import msgspec
from django.db import transaction

from postbacks.attribution.outliers import BOUNDS, LEAST_INSTALLS, is_outlier
from postbacks.infrastructure.database import prepared
from postbacks.models import Tidying

SPAN = timedelta(days=7)
NAME = "site times"

# By organization, as the index of installs by time has it. A time on a bound is within it.
_COUNT = """
WITH timed AS (
    SELECT i.organization_id, i.app_id, i.partner_id,
           left(coalesce(a.facts ->> 'site_id', ''), 255) AS site_id,
           width_bucket(
               extract(epoch FROM i.installed_at - i.touched_at)::float8 - 0.0005,
               %(bounds)s::float8[]
           ) AS bar
    FROM organization AS o
    JOIN install AS i ON i.organization_id = o.id
        AND i.event_received_at >= %(since)s AND i.event_received_at < %(until)s
    JOIN attribution AS a ON a.organization_id = i.organization_id AND a.install_id = i.id
        AND a.version = i.attribution_version
    WHERE i.kind = 'install' AND i.attribution_type = 'click' AND i.partner_id IS NOT NULL
      AND i.touched_at IS NOT NULL
)
SELECT organization_id, app_id, partner_id, site_id, ARRAY[
    count(*) FILTER (WHERE bar = 0), count(*) FILTER (WHERE bar = 1),
    count(*) FILTER (WHERE bar = 2), count(*) FILTER (WHERE bar = 3),
    count(*) FILTER (WHERE bar = 4), count(*) FILTER (WHERE bar = 5),
    count(*) FILTER (WHERE bar = 6), count(*) FILTER (WHERE bar = 7)
]
FROM timed GROUP BY 1, 2, 3, 4 HAVING count(*) >= %(least)s
"""
_KEEP = """
INSERT INTO site_times (organization_id, app_id, partner_id, site_id, day, times)
SELECT organization_id, app_id, partner_id, site_id, %(day)s, times
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
    organization_id bigint, app_id bigint, partner_id bigint, site_id text, times integer[]
)
ON CONFLICT DO NOTHING
"""

Site = tuple[int, int, int, str]  # organization, app, partner, site


def look_for_outliers(now: datetime | None = None) -> int:
    """Keep tonight's outliers, once per UTC day; return how many there are."""
    until = (now or datetime.now(UTC)).replace(hour=0, minute=0, second=0, microsecond=0)
    with transaction.atomic():
        done = Tidying.objects.select_for_update().filter(name=NAME).first()
        if done is not None and done.through >= until:
            return 0
        found = {site: times for site, times in _times(until).items() if is_outlier(times)}
        _keep(found, until)
        Tidying.objects.update_or_create(name=NAME, defaults={"through": until})
    return len(found)


def _times(until: datetime) -> dict[Site, tuple[int, ...]]:
    bounds = [bound.total_seconds() for bound in BOUNDS]
    values = {"bounds": bounds, "since": until - SPAN, "until": until, "least": LEAST_INSTALLS}
    return {
        (organization, app, partner, site): tuple(times)
        for organization, app, partner, site, times in prepared.run(_COUNT, values)
    }


def _keep(found: dict[Site, tuple[int, ...]], night: datetime) -> None:
    names = ("organization_id", "app_id", "partner_id", "site_id")
    rows = [{**dict(zip(names, site, strict=True)), "times": it} for site, it in found.items()]
    if rows:
        prepared.run(_KEEP, {"rows": msgspec.json.encode(rows).decode(), "day": night.date()})
