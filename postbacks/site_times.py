"""Looks each night for sites whose times from click to install look invented.

A report, not a judge: nothing is rejected by it. Runs as the role worker; done twice in a night, it
finds the same.
"""

from datetime import UTC, datetime, timedelta

import msgspec
from django.db import transaction

from postbacks import statements
from postbacks.attribution.outliers import BOUNDS, LEAST_INSTALLS, is_outlier
from postbacks.models import Tidying

SPAN = timedelta(days=7)
_NAME = "site times"

_COUNT = """
SELECT i.organization_id, i.app_id, i.partner_id, left(coalesce(a.facts ->> 'site_id', ''), 255),
       width_bucket(
           extract(epoch FROM i.installed_at - i.touched_at)::float8, %(bounds)s::float8[]
       ), count(*)
FROM install AS i
JOIN attribution AS a ON a.organization_id = i.organization_id AND a.install_id = i.id
    AND a.version = i.attribution_version
WHERE i.event_received_at >= %(since)s AND i.event_received_at < %(until)s
  AND i.kind = 'install' AND i.attribution_type = 'click' AND i.partner_id IS NOT NULL
  AND i.touched_at IS NOT NULL
GROUP BY 1, 2, 3, 4, 5
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
        done = Tidying.objects.select_for_update().filter(name=_NAME).first()
        if done is not None and done.through >= until:
            return 0
        found = {site: times for site, times in _times(until).items() if is_outlier(times)}
        _keep(found, until)
        Tidying.objects.update_or_create(name=_NAME, defaults={"through": until})
    return len(found)


def _times(until: datetime) -> dict[Site, tuple[int, ...]]:
    bounds = [bound.total_seconds() for bound in BOUNDS]
    values = {"bounds": bounds, "since": until - SPAN, "until": until}
    counts: dict[Site, list[int]] = {}
    for organization, app, partner, site, bar, count in statements.run(_COUNT, values):
        bars = counts.setdefault((organization, app, partner, site), [0] * (len(BOUNDS) + 1))
        bars[bar] += count
    return {site: tuple(bars) for site, bars in counts.items() if sum(bars) >= LEAST_INSTALLS}


def _keep(found: dict[Site, tuple[int, ...]], night: datetime) -> None:
    names = ("organization_id", "app_id", "partner_id", "site_id")
    rows = [{**dict(zip(names, site, strict=True)), "times": it} for site, it in found.items()]
    if rows:
        statements.run(_KEEP, {"rows": msgspec.json.encode(rows).decode(), "day": night.date()})
