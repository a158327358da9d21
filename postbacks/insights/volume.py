"""How much came in, beside the day before, and how much waits to be sent."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from apps_registry.tenancy import current_organization

_READ = """
SELECT
    (SELECT count(*) FROM event WHERE organization_id = %(organization)s
        AND received_at > %(since)s AND received_at <= %(until)s),
    (SELECT count(*) FROM event WHERE organization_id = %(organization)s
        AND received_at > %(before)s AND received_at <= %(since)s),
    recent.installs, recent.attributed,
    (SELECT count(*) FROM install WHERE organization_id = %(organization)s
        AND event_received_at > %(before)s AND event_received_at <= %(since)s),
    waiting.count, waiting.due_at
FROM (
    SELECT count(*), min(due_at) AS due_at FROM due_postback
    WHERE organization_id = %(organization)s
) AS waiting, (
    SELECT count(*) AS installs,
           count(*) FILTER (WHERE attribution_type <> 'organic') AS attributed
    FROM install WHERE organization_id = %(organization)s
        AND event_received_at > %(since)s AND event_received_at <= %(until)s
) AS recent
"""


@dataclass(frozen=True, slots=True)
class Volume:
    """This is what a day brought and the day before it, and what is in the queue right now.

    `oldest_due_at` is when the postback at the head of the queue was or will be due.
    """

    events: int
    events_before: int
    installs: int
    attributed: int
    installs_before: int
    waiting: int
    oldest_due_at: datetime | None


def read_volume(since: datetime, until: datetime) -> Volume:
    """Count for the current organization; the stretch before `since` is as long as that after."""
    with connection.cursor() as cursor:
        cursor.execute(
            _READ,
            {
                "organization": current_organization(),
                "before": since - (until - since),
                "since": since,
                "until": until,
            },
        )
        return Volume(*cursor.fetchone())
