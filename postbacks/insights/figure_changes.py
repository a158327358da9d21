"""⑨ Appends what decided events add to the figures, and folds all changes into them each minute.

Postbacks, attempts, deliveries and installs are counted by the statements that write them: see
`models.figures`. Events are counted as they are decided, with the credit that they had then.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec
from django.db import connection, transaction

from postbacks.delivery.outcome import Outcome
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import run
from postbacks.models import FigureKind, FigureSpan, FlowState, TotalOf
from postbacks.models.figures import OTHER_EVENTS
from postbacks.values.events import SYSTEM, StoredEvent
from postbacks.values.install_context import InstallContext

MINUTES_KEPT: Final = timedelta(days=3)
QUARTERS_KEPT: Final = timedelta(days=100)
_KEPT: Final = {
    FigureSpan.MINUTE: MINUTES_KEPT,
    FigureSpan.QUARTER: QUARTERS_KEPT,
    FigureSpan.HOUR: QUARTERS_KEPT,
}
HOURS_KEPT: Final = timedelta(hours=30)  # of outcomes
MOST_NAMES: Final = 200  # of events, in a day of an organization
_BATCH: Final = 20_000

_ADD_EVENTS = load_sql("postbacks.insights", "add_event_changes", FigureKind)
_FOLD = load_sql("postbacks.insights", "fold_changes", FigureKind, FlowState, Outcome, TotalOf)
_CUT_DAYS = load_sql("postbacks.insights", "cut_days_anew", FigureKind, TotalOf)

_FIND_OTHER_ZONES = """
SELECT figure_zone.organization_id, organization.time_zone,
       date_trunc('day', %(since)s::timestamptz, figure_zone.time_zone) AS since
FROM figure_zone JOIN organization ON organization.id = figure_zone.organization_id
WHERE figure_zone.time_zone <> organization.time_zone
"""
_DELETE_DAYS = """
WITH figures AS (
    DELETE FROM figure WHERE organization_id = %(organization)s AND span = 1440 AND at >= %(since)s
)
DELETE FROM figure_total
WHERE organization_id = %(organization)s AND span = 1440 AND at >= %(since)s
"""
# Organization by organization, as the key goes.
_DELETE_OLD = """
DELETE FROM figure WHERE ctid = ANY(ARRAY(
    SELECT old.row FROM organization CROSS JOIN LATERAL (
        SELECT ctid AS row FROM figure
        WHERE organization_id = organization.id AND span = %(span)s AND at < %(before)s
        LIMIT %(limit)s
    ) AS old LIMIT %(limit)s
))
"""
_DELETE_OLD_TOTALS = """
DELETE FROM figure_total WHERE ctid = ANY(ARRAY(
    SELECT old.row FROM organization CROSS JOIN unnest(%(totals)s::text[]) AS part (total)
    CROSS JOIN LATERAL (
        SELECT ctid AS row FROM figure_total
        WHERE organization_id = organization.id AND total_of = part.total AND span = %(span)s
          AND at < %(before)s
        LIMIT %(limit)s
    ) AS old LIMIT %(limit)s
))
"""
_DELETE_HOURS = """
DELETE FROM outcome_hour WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM outcome_hour WHERE at < %(before)s LIMIT %(limit)s
))
"""

_encoder = msgspec.json.Encoder(decimal_format="number")


def count_events(events: Sequence[StoredEvent], contexts: Mapping[int, InstallContext]) -> None:
    """Append what decided events add, in the transaction that decides them."""
    if not events:
        return
    sums: dict[tuple[object, ...], list[int | Decimal | None]] = {}
    for event in events:
        context, is_ours = contexts[event.id], event.source == SYSTEM
        revenue = None if is_ours else event.revenue
        key = (
            event.organization_id,
            event.received_at.replace(second=0, microsecond=0),
            event.app.id,
            0 if is_ours else context.attribution.partner_id or 0,
            0 if is_ours else context.campaign_id or 0,
            event.event_name,
            "" if revenue is None else event.currency,
        )
        counted = sums.setdefault(key, [0, None])
        counted[0] = (counted[0] or 0) + 1
        if revenue is not None:
            counted[1] = (counted[1] or 0) + revenue
    names = ("organization_id", "at", "app_ref", "partner_ref", "campaign_ref", "event_name")
    rows = [
        dict(zip((*names, "currency", "count", "amount"), (*key, *counted), strict=True))
        for key, counted in sums.items()
    ]
    prepared.run(_ADD_EVENTS, {"rows": _encoder.encode(rows).decode()})


def fold(seconds: float, *, now: datetime | None = None, batch: int = _BATCH) -> int:
    """Fold changes into the figures for about so long; return how many there were.

    Only one worker folds at a time: see the task that calls this.
    """
    until = time.monotonic() + seconds
    now = now or datetime.now(UTC)
    _follow_zones(now)
    total = 0
    while True:
        folded = _fold_batch(now, batch)
        total += folded
        if folded < batch or time.monotonic() > until:
            return total


def delete_old_figures(limit: int = 20_000) -> int:
    """Delete a batch of minutes, quarters and hours that are past their time; days stay."""
    now = datetime.now(UTC)
    deleted = run(_DELETE_HOURS, {"before": hours_since(now), "limit": limit})
    for span, kept in _KEPT.items():
        values = {"span": span.value, "before": now - kept, "limit": limit}
        deleted += run(_DELETE_OLD, values)
        deleted += run(_DELETE_OLD_TOTALS, {**values, "totals": TotalOf.values})
    return deleted


def hours_since(now: datetime) -> datetime:
    """Return the beginning of the oldest hour whose outcomes are kept."""
    return now.replace(minute=0, second=0, microsecond=0) - HOURS_KEPT


def _fold_batch(now: datetime, batch: int) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _FOLD,
            {
                "limit": batch,
                "most_names": MOST_NAMES,
                "other": OTHER_EVENTS,
                "minutes_since": now - MINUTES_KEPT,
                "quarters_since": now - QUARTERS_KEPT,
                "hours_since": hours_since(now),
            },
        )
        return int(cursor.fetchone()[0])


def _follow_zones(now: datetime) -> None:
    """Cut the days of organizations anew whose time zone was changed, as far as quarters go back.

    Since the beginning of a day in the former zone, so that no count is in two days or in none.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FIND_OTHER_ZONES, {"since": now - QUARTERS_KEPT + timedelta(days=2)})
        changed = cursor.fetchall()
    for organization_id, zone, since in changed:
        with transaction.atomic():
            values = {"organization": organization_id, "zone": zone, "since": since}
            run(_DELETE_DAYS, values)
            run(_CUT_DAYS, values)
            run(
                "UPDATE figure_zone SET time_zone = %(zone)s"
                " WHERE organization_id = %(organization)s",
                values,
            )
