"""⑦ Circuit breakers: a lane that fails again and again is left alone, and probed now and then.

The state of an organization's host and port lies in the database, for all workers together. While
it is open its postbacks wait in the queue: claims leave the lane out (`claim_due.sql`), so that
waiting uses up neither attempts nor time. Only lanes that fail have a row and cost anything.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

import msgspec
from django.db import transaction

from postbacks.delivery.attempt_log import AttemptResult
from postbacks.delivery.claiming import Lane
from postbacks.delivery.http.response import TransportFailure
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import BreakerState
from postbacks.models.heartbeats import wake_pumps
from postbacks.values.outgoing_request import Lease

FAILURES_IN_A_ROW = 10
WINDOW = timedelta(seconds=60)
FEWEST_IN_WINDOW = 20
SHARE_OF_WINDOW = 0.7
FIRST_WAIT_SECONDS = 30
LONGEST_WAIT_SECONDS = 300

_PARTNERS_FAILURES = frozenset(
    {
        TransportFailure.DNS.value,
        TransportFailure.CONNECT.value,
        TransportFailure.TLS.value,
        TransportFailure.TIMEOUT.value,
        TransportFailure.RESET.value,
        TransportFailure.PROTOCOL.value,
    }
)
_TOO_MANY_REQUESTS = 429
_REQUEST_TIMEOUT = 408

_ADD_BREAKERS = load_sql("postbacks.delivery", "add_breakers", BreakerState)
_LOCK_BREAKERS = """
SELECT breaker.organization_id, breaker.host, state, reason, failures, window_started_at,
       window_requests, window_failures, opened_at, next_probe_at, probe_wait_seconds
FROM circuit_breaker AS breaker
JOIN unnest(%(organizations)s::bigint[], %(hosts)s::text[]) AS lane (organization_id, host)
  ON breaker.organization_id = lane.organization_id AND breaker.host = lane.host
ORDER BY breaker.organization_id, breaker.host FOR UPDATE OF breaker
"""
_SAVE_BREAKERS = load_sql("postbacks.delivery", "save_breakers")
_OPEN_LANES = f"""
SELECT organization_id, host FROM circuit_breaker WHERE state <> '{BreakerState.CLOSED}'
"""  # noqa: S608  # our own word
_CLOSE = f"""
UPDATE circuit_breaker
SET state = '{BreakerState.CLOSED}', reason = '', failures = 0, window_started_at = now(),
    window_requests = 0, window_failures = 0, opened_at = NULL, next_probe_at = NULL,
    probe_wait_seconds = 0
WHERE organization_id = %(organization)s AND host = %(host)s AND state <> '{BreakerState.CLOSED}'
RETURNING id
"""  # noqa: S608  # our own words
# If another worker has begun the next one meanwhile, one request more is sent than need be.
_RETURN_PROBES = f"""
UPDATE circuit_breaker AS breaker
SET state = '{BreakerState.OPEN}', next_probe_at = now()
FROM (
    SELECT id FROM circuit_breaker AS breaker
    JOIN unnest(%(organizations)s::bigint[], %(hosts)s::text[]) AS lane (organization_id, host)
      ON breaker.organization_id = lane.organization_id AND breaker.host = lane.host
    WHERE state = '{BreakerState.HALF_OPEN}'
    ORDER BY breaker.organization_id, breaker.host FOR UPDATE OF breaker
) AS unprobed
WHERE breaker.id = unprobed.id
"""  # noqa: S608  # our own words
_DELETE_OLD = """
WITH old AS (
    SELECT id FROM circuit_breaker
    WHERE coalesce(next_probe_at, window_started_at) < now() - interval '7 days'
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
DELETE FROM circuit_breaker USING old WHERE circuit_breaker.id = old.id
RETURNING circuit_breaker.id
"""


@dataclass(frozen=True, slots=True)
class LaneReport:
    """What came of a lane's requests since the last report, in their order."""

    requests: int = 0
    failures: int = 0
    failures_at_end: int = 0  # in a row
    reason: str = ""  # the code of the last failure
    is_probe_well: bool | None = None  # None: none of them was a probe

    def with_result(self, *, failure: str, is_probe: bool) -> "LaneReport":
        """Return the report with one more request; `failure` is a code, empty if it was well."""
        return LaneReport(
            requests=self.requests + 1,
            failures=self.failures + bool(failure),
            failures_at_end=self.failures_at_end + 1 if failure else 0,
            reason=failure or self.reason,
            is_probe_well=not failure if is_probe else self.is_probe_well,
        )


@dataclass(frozen=True, slots=True)
class Breaker:
    """A lane's circuit breaker, as of a moment."""

    organization_id: int
    host: str
    state: BreakerState
    reason: str
    failures: int
    window_started_at: datetime
    window_requests: int
    window_failures: int
    opened_at: datetime | None = None
    next_probe_at: datetime | None = None
    probe_wait_seconds: int = 0

    @property
    def lane(self) -> Lane:
        return self.organization_id, self.host

    @property
    def is_open(self) -> bool:
        return self.state != BreakerState.CLOSED

    @property
    def is_well(self) -> bool:
        """Whether nothing has failed for a while, so that its row can go."""
        return not self.is_open and not self.failures and not self.window_failures

    def after(self, report: LaneReport, now: datetime) -> "Breaker":
        """Return the breaker after a report: opened, closed by a probe, or counting on."""
        if self.is_open:
            return self._after_probe(report, now)
        is_new_window = now - self.window_started_at >= WINDOW
        had_success = report.failures_at_end < report.requests
        counted = replace(
            self,
            reason=report.reason or self.reason,
            failures=report.failures_at_end + (0 if had_success else self.failures),
            window_started_at=now if is_new_window else self.window_started_at,
            window_requests=report.requests + (0 if is_new_window else self.window_requests),
            window_failures=report.failures + (0 if is_new_window else self.window_failures),
        )
        is_storm = (
            counted.window_requests >= FEWEST_IN_WINDOW
            and counted.window_failures >= SHARE_OF_WINDOW * counted.window_requests
        )
        if report.failures and (counted.failures >= FAILURES_IN_A_ROW or is_storm):
            return counted._opened(now, FIRST_WAIT_SECONDS)
        return counted

    def _after_probe(self, report: LaneReport, now: datetime) -> "Breaker":
        if report.is_probe_well is None:
            return self  # of requests that were under way before it opened
        if report.is_probe_well:
            return Breaker(self.organization_id, self.host, BreakerState.CLOSED, "", 0, now, 0, 0)
        failed = replace(self, reason=report.reason, failures=self.failures + report.failures)
        return failed._opened(now, min(2 * self.probe_wait_seconds, LONGEST_WAIT_SECONDS))

    def _opened(self, now: datetime, wait: int) -> "Breaker":
        return replace(
            self,
            state=BreakerState.OPEN,
            opened_at=self.opened_at or now,
            next_probe_at=now + timedelta(seconds=wait),
            probe_wait_seconds=wait,
        )


def failure_of(result: AttemptResult) -> str | None:
    """Return the code of a partner's failure, "" if it answered, None if it was not asked.

    A refusal such as 404 is an answer: the partner is up. What our own guard refuses is not asked.
    """
    if result.error in _PARTNERS_FAILURES:
        return result.error
    if result.status_code is None:
        return None
    is_failure = result.status_code >= 500 or result.status_code in {
        _TOO_MANY_REQUESTS,
        _REQUEST_TIMEOUT,
    }
    return f"http_{result.status_code}" if is_failure else ""


def unused_probes(results: Iterable[tuple[Lease, object]]) -> set[Lane]:
    """Return the lanes whose probe came back without a request that their partner could answer."""
    return {
        lease.lane
        for lease, result in results
        if lease.is_probe and (not isinstance(result, AttemptResult) or failure_of(result) is None)
    }


def reports_of(results: Iterable[tuple[Lease, AttemptResult]]) -> dict[Lane, LaneReport]:
    """Return what came of each lane's requests."""
    reports: dict[Lane, LaneReport] = {}
    for lease, result in results:
        failure = failure_of(result)
        if failure is not None:
            report = reports.get(lease.lane, LaneReport())
            reports[lease.lane] = report.with_result(failure=failure, is_probe=lease.is_probe)
    return reports


def record_reports(reports: Mapping[Lane, LaneReport]) -> dict[Lane, Breaker]:
    """Count what came of lanes' requests; return the breakers that are not well.

    The caller leaves out lanes that are well and were well: they have no row.
    """
    if not reports:
        return {}
    with transaction.atomic():
        prepared.run(
            _ADD_BREAKERS, _parameters(lane for lane, report in reports.items() if report.failures)
        )
        before = prepared.fetch(Breaker, _LOCK_BREAKERS, _parameters(reports))
        if not before:
            return {}
        ((now,),) = prepared.run("SELECT now()", {})  # the database's clock, for all workers
        after = [breaker.after(reports[breaker.lane], now) for breaker in before]
        rows = [{**asdict(breaker), "is_well": breaker.is_well} for breaker in after]
        prepared.run(_SAVE_BREAKERS, {"rows": msgspec.json.encode(rows).decode()})
    return {breaker.lane: breaker for breaker in after if not breaker.is_well}


def return_probes(lanes: Collection[Lane]) -> None:
    """Make the next probe of lanes due now, for theirs came back without an attempt."""
    if lanes:
        prepared.run(_RETURN_PROBES, _parameters(lanes))


def close_after_test(result: AttemptResult, host: str) -> bool:
    """Close the open breaker of a lane whose partner answered a test; tell whether there was one.

    The test has found out what the next probe would.
    """
    if failure_of(result) != "":
        return False
    parameters = {"organization": result.organization_id, "host": host}
    if not prepared.run(_CLOSE, parameters):
        return False
    wake_pumps()
    return True


def open_lanes() -> set[Lane]:
    """Return the lanes that no worker sends to now, their probes aside."""
    return {(organization_id, host) for organization_id, host in prepared.run(_OPEN_LANES, {})}


def delete_old_breakers(limit: int = 5_000) -> int:
    """Forget lanes to which nothing was sent for a week; return how many there were."""
    return len(prepared.run(_DELETE_OLD, {"limit": limit}))


def _parameters(lanes: Iterable[Lane]) -> dict[str, object]:
    chosen = list(lanes)
    return {
        "organizations": [organization_id for organization_id, _ in chosen],
        "hosts": [host for _, host in chosen],
    }
