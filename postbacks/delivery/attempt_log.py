"""⑧ Logs attempts and finishes postbacks, a batch in one statement.

A row leaves the queue, or gets its next time, only under the claim that leased it, and only such
rows are logged. So a worker whose lease has ended writes nothing.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

import msgspec
from django.db import DatabaseError, connection

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import SYSTEM, ActorKind, Door
from postbacks.delivery.outcome import Outcome
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.outages import is_outage
from postbacks.infrastructure.database.prepared import load_sql, within_days
from postbacks.models import FigureKind, PostbackStatus, RuleStatus
from postbacks.models.days import whole_days
from postbacks.values.outgoing_request import Lease

logger = logging.getLogger(__name__)

_REFUSED = (DatabaseError, ValueError)  # by PostgreSQL, or as JSON
_LOGGED_TOGETHER = 4 * 1024 * 1024  # characters of bodies


@dataclass(slots=True)
class AttemptResult:
    """The result of one attempt. `wait_seconds` is None once the postback has ended."""

    organization_id: int
    postback_id: int
    event_received_at: datetime
    rule_id: int
    claim_id: UUID
    number: int
    rule_version: int
    kind: str
    started_at: datetime
    duration_ms: int
    timings: int | None
    outcome: str
    status: str
    status_code: int | None
    error: str
    detail: str
    request: Mapping[str, object]
    response: Mapping[str, object]
    fingerprint: str
    wait_seconds: float | None
    suspend_rule: bool = False
    uses_up_try: bool = True


@dataclass(frozen=True, slots=True)
class Move:
    """A claimed postback whose rule sends it elsewhere, or at another pace, than its lane says."""

    host: str
    is_paced: bool


@dataclass(frozen=True, slots=True)
class LoggedBatch:
    """The rules that a batch of attempts suspended, and the claims whose attempts have no row."""

    suspended: list[int] = field(default_factory=list)
    unlogged: set[tuple[int, UUID]] = field(default_factory=set)  # postbacks and their claims

    def add(self, other: "LoggedBatch") -> None:
        self.suspended.extend(other.suspended)
        self.unlogged.update(other.unlogged)


_LOG_ATTEMPTS = load_sql(
    "postbacks.delivery",
    "log_attempts",
    Action,
    ActorKind,
    Door,
    FigureKind,
    Outcome,
    PostbackStatus,
    RuleStatus,
)

_MOVE_CLAIMS = """
UPDATE due_postback AS due
SET due_at = now(), claim_id = NULL, host = input.host, paced = input.paced
FROM unnest(%(ids)s::bigint[], %(claims)s::uuid[], %(hosts)s::text[], %(paced)s::boolean[])
    AS input (postback_id, claim_id, host, paced)
WHERE due.postback_id = input.postback_id AND due.claim_id = input.claim_id
"""
_RETURN_CLAIMS = """
UPDATE due_postback SET due_at = now() + make_interval(secs => %(seconds)s), claim_id = NULL
WHERE postback_id = ANY(%(ids)s) AND claim_id = ANY(%(claims)s)
"""


def log_attempts(attempts: Sequence[AttemptResult]) -> LoggedBatch:
    """Log attempts, update their postbacks, and say which rules they suspended.

    If the batch can't be written because of one attempt's data, each is written alone. One that
    is refused again is written without request and answer: its outcome must not be lost.
    """
    batch = LoggedBatch()
    for part in _parts(attempts):
        batch.add(_log_together(part))
    return batch


def _parts(attempts: Sequence[AttemptResult]) -> Iterator[Sequence[AttemptResult]]:
    """Yield attempts in parts whose bodies have a few megabytes: as JSON they grow."""
    start = size = 0
    for place, attempt in enumerate(attempts):
        body = attempt.request.get("body")
        size += len(body) if isinstance(body, str) else 0
        if size > _LOGGED_TOGETHER and place > start:
            yield attempts[start:place]
            start, size = place, len(body) if isinstance(body, str) else 0
    yield attempts[start:]


def _log_together(attempts: Sequence[AttemptResult]) -> LoggedBatch:
    try:
        return _log(attempts)
    except _REFUSED as error:
        if is_outage(error):
            raise
        logger.exception("A batch of %d attempts was refused; each is written alone", len(attempts))
        batch = LoggedBatch()
        for attempt in attempts:
            batch.add(_log_alone(attempt))
        return batch


def _log_alone(attempt: AttemptResult) -> LoggedBatch:
    detail = "The request and the answer could not be stored."
    for candidate in (attempt, replace(attempt, request={}, response={}, detail=detail)):
        try:
            return _log([candidate])
        except _REFUSED as error:
            if is_outage(error):
                raise
            logger.exception("An attempt of postback %d was refused", attempt.postback_id)
    # Its lease will end and it is tried again; the others are safe.
    return LoggedBatch(unlogged={(attempt.postback_id, attempt.claim_id)})


def _log(attempts: Sequence[AttemptResult]) -> LoggedBatch:
    if not attempts:
        return LoggedBatch()
    first, last = whole_days(attempt.event_received_at for attempt in attempts)
    rows = msgspec.json.encode(attempts).decode()
    parameters = {"rows": rows, "actor": SYSTEM.name}
    batch = LoggedBatch()
    for rule_id, postback_id, claim_id in prepared.run(
        within_days(_LOG_ATTEMPTS, first, last), parameters
    ):
        if rule_id is None:
            batch.unlogged.add((postback_id, claim_id))
        else:
            batch.suspended.append(rule_id)
    return batch


def move_claims(moves: Sequence[tuple[Lease, Move]]) -> None:
    """Return claimed postbacks to the queue untried, due now in the lane where they belong."""
    if not moves:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _MOVE_CLAIMS,
            {
                "ids": [lease.postback.id for lease, _ in moves],
                "claims": [lease.claim_id for lease, _ in moves],
                "hosts": [move.host for _, move in moves],
                "paced": [move.is_paced for _, move in moves],
            },
        )


def return_claims(claims: Sequence[Lease], *, seconds: float) -> None:
    """Return claimed postbacks to the queue untried, due again after so many seconds."""
    if not claims:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _RETURN_CLAIMS,
            {
                "seconds": seconds,
                "ids": [claim.postback.id for claim in claims],
                "claims": [claim.claim_id for claim in claims],
            },
        )


def return_all_of_claims(claim_ids: list[UUID]) -> None:
    """Return whatever is claimed under these ids to the queue untried, due now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE due_postback SET due_at = now(), claim_id = NULL WHERE claim_id = ANY(%s)",
            [claim_ids],
        )
