"""What came of the demo's day, by our database and by the stand-in's own book."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection

from apps_registry.tenancy import tenant

_COUNTS = """
SELECT
    (SELECT count(*) FROM install WHERE organization_id = %(o)s),
    (SELECT count(*) FROM install WHERE organization_id = %(o)s AND attribution_type <> 'organic'),
    count(*),
    count(*) FILTER (WHERE status = 'delivered'),
    count(*) FILTER (WHERE status = 'failed'),
    count(*) FILTER (WHERE status = 'skipped')
FROM postback WHERE organization_id = %(o)s AND NOT test
"""

# From the moment the event was accepted to the first attempt's answer.
_LATENCY = """
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY
    extract(epoch FROM started_at - event_received_at) * 1000 + duration_ms)
FROM delivery_attempt WHERE organization_id = %s AND number = 1 AND kind <> 'test'
"""

_WAITING = """
SELECT (SELECT count(*) FROM undecided_event WHERE organization_id = %(o)s),
       (SELECT count(*) FROM due_postback WHERE organization_id = %(o)s)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Figures of one organization. Latencies are in milliseconds."""

    installs: int
    attributed: int
    postbacks: int
    delivered: int
    failed: int
    skipped: int
    p50_ms: float
    p99_ms: float
    delivered_ids: frozenset[str]


def waiting(organization_id: int) -> tuple[int, int]:
    """Return how many events are undecided and how many postbacks have not ended."""
    with tenant(organization_id), connection.cursor() as cursor:
        cursor.execute(_WAITING, {"o": organization_id})
        undecided, due = cursor.fetchone()
    return undecided, due


def outcome(organization_id: int) -> Outcome:
    """Return what the database says."""
    with tenant(organization_id), connection.cursor() as cursor:
        cursor.execute(_COUNTS, {"o": organization_id})
        installs, attributed, postbacks, delivered, failed, skipped = cursor.fetchone()
        cursor.execute(_LATENCY, [organization_id])
        (latencies,) = cursor.fetchone()
        cursor.execute(
            "SELECT public_id FROM postback"
            " WHERE organization_id = %s AND status = 'delivered' AND NOT test",
            [organization_id],
        )
        ids = frozenset(str(public_id) for (public_id,) in cursor.fetchall())
    p50, p99 = (round(value, 1) for value in latencies or (0, 0))
    return Outcome(
        installs, attributed, postbacks, delivered, failed, skipped, p50, p99, delivered_ids=ids
    )


def accepted_by_partner(host: str, port: int) -> Mapping[str, int]:
    """Return how often the stand-in accepted each Idempotency-Key, by its own book."""
    request = http.client.HTTPConnection(host, port, timeout=30)
    try:
        request.request("GET", "/received/keys")
        keys: dict[str, int] = json.loads(request.getresponse().read())["keys"]
    finally:
        request.close()
    return keys
