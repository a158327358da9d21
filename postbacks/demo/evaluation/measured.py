"""The measured figures of the demo's day, from the database and from the stand-in's ledger."""

import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from django.db import connection

from apps_registry.tenancy import tenant
from postbacks.demo.networks import NETWORKS, Network
from postbacks.demo.rules import install_path

_COUNTS = """
SELECT
    (SELECT count(*) FROM install
        WHERE organization_id = %(o)s AND kind = 'install') AS installs,
    (SELECT count(*) FROM install WHERE organization_id = %(o)s AND kind = 'install'
        AND attribution_type <> 'organic') AS attributed,
    (SELECT count(*) FROM install
        WHERE organization_id = %(o)s AND kind <> 'install') AS comebacks,
    (SELECT count(*) FROM touchpoint
        WHERE organization_id = %(o)s AND kind = 'click') AS clicks,
    (SELECT count(*) FROM touchpoint
        WHERE organization_id = %(o)s AND kind = 'impression') AS impressions,
    (SELECT count(*) FROM event WHERE organization_id = %(o)s AND source = 'system'
        AND event_name = 'rejected_install') AS rejected_installs,
    (SELECT count(*) FROM event WHERE organization_id = %(o)s AND source = 'system'
        AND event_name = 'skan_postback') AS skan_postbacks,
    count(*) AS postbacks,
    count(*) FILTER (WHERE status = 'delivered') AS delivered,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'skipped') AS skipped
FROM postback WHERE organization_id = %(o)s AND NOT test
"""

# From the acceptance of the event to the response of the first attempt.
_LATENCY = """
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY
    extract(epoch FROM started_at - event_received_at) * 1000 + duration_ms)
FROM delivery_attempt WHERE organization_id = %s AND number = 1 AND kind <> 'test'
"""

_BY_RULE = """
SELECT rule.name, count(*) FROM postback
JOIN callback_rule AS rule ON rule.id = postback.rule_id
WHERE postback.organization_id = %s AND NOT test GROUP BY rule.name
"""

# Installs are due for reattribution after a late touchpoint, and when they become final.
_UNFINISHED = """
SELECT (SELECT count(*) FROM undecided_event WHERE organization_id = %(o)s)
       + (SELECT count(*) FROM unsettled_install
          WHERE organization_id = %(o)s AND due_at <= now()),
       (SELECT count(*) FROM due_postback WHERE organization_id = %(o)s)
"""


@dataclass(frozen=True, slots=True)
class MeasuredOutcome:
    """Figures of one organization. Latencies are in milliseconds."""

    installs: int
    attributed: int
    comebacks: int
    clicks: int
    impressions: int
    rejected_installs: int
    skan_postbacks: int
    postbacks: int
    delivered: int
    failed: int
    skipped: int
    p50_ms: float
    p99_ms: float
    delivered_ids: frozenset[str]
    by_rule: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PartnerReceipts:
    """The requests that the stand-in accepted.

    `times` counts them by Idempotency-Key. `notified` has, by network, the click ids of the
    attributed installs that it was notified of.
    """

    times: Mapping[str, int]
    notified: Mapping[str, frozenset[str]]


def count_unfinished(organization_id: int) -> tuple[int, int]:
    """Return the numbers of undecided events and installs, and of unfinished postbacks."""
    with tenant(organization_id), connection.cursor() as cursor:
        cursor.execute(_UNFINISHED, {"o": organization_id})
        undecided, due = cursor.fetchone()
    return undecided, due


def measure_outcome(organization_id: int) -> MeasuredOutcome:
    """Return an organization's figures from the database."""
    with tenant(organization_id), connection.cursor() as cursor:
        cursor.execute(_COUNTS, {"o": organization_id})
        names = [column.name for column in cursor.description]
        counts = dict(zip(names, cursor.fetchone(), strict=True))
        cursor.execute(_LATENCY, [organization_id])
        (latencies,) = cursor.fetchone()
        cursor.execute(_BY_RULE, [organization_id])
        by_rule = dict(cursor.fetchall())
        cursor.execute(
            "SELECT public_id FROM postback"
            " WHERE organization_id = %s AND status = 'delivered' AND NOT test",
            [organization_id],
        )
        ids = frozenset(str(public_id) for (public_id,) in cursor.fetchall())
    p50, p99 = (round(value, 1) for value in latencies or (0, 0))
    return MeasuredOutcome(**counts, p50_ms=p50, p99_ms=p99, delivered_ids=ids, by_rule=by_rule)


def load_receipts(host: str, port: int) -> PartnerReceipts:
    """Return the requests in the stand-in's ledger."""
    request = http.client.HTTPConnection(host, port, timeout=30)
    try:
        request.request("GET", "/received/keys")
        times: dict[str, int] = json.loads(request.getresponse().read())["keys"]
        request.request("GET", f"/received?limit={sum(times.values())}")
        requests = json.loads(request.getresponse().read())["requests"]
    finally:
        request.close()
    return PartnerReceipts(
        times, {network.name: _notified_click_ids(network, requests) for network in NETWORKS}
    )


def _notified_click_ids(network: Network, requests: Iterable[Mapping[str, str]]) -> frozenset[str]:
    """Return the click ids that a network received, wrong ones included."""
    path = install_path(network)
    queries = [
        parse_qs(request["query"], keep_blank_values=True)
        for request in requests
        if request["path"] == path
    ]
    return frozenset(click_id for query in queries for click_id in query["click_id"])
