"""Follows what replays have queued: counts how each postback ends, or takes it back untried.

A replayed postback has a row until it has ended. A cancelled replay takes back what nobody has
begun, and leaves each postback as it was.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import QuerySet

from apps_registry.tenancy import tenant
from postbacks.delivery.outcome import Outcome
from postbacks.delivery.skipping import SkippedRow, skip_rows
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql, within_days
from postbacks.models import (
    AttemptKind,
    PostbackStatus,
    ReplayedPostback,
    ReplayedState,
    ReplayPart,
)
from postbacks.models.days import whole_days
from postbacks.rulebook.replays import skip_counts

BATCH = 1_000
NEXT_LOOK = timedelta(seconds=1)
_NEXT_LOOK_AT_HELD = timedelta(minutes=1)

_IS_ANY_DUE = "SELECT EXISTS (SELECT FROM replayed_postback WHERE look_at <= now())"
_LOCK_DUE = """
SELECT id, event_received_at FROM replayed_postback WHERE look_at <= %(now)s
ORDER BY look_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""
_FIND_OUTCOMES = load_sql("postbacks.rulebook", "find_replayed_outcomes")
_LOOK_LATER = """
UPDATE replayed_postback SET state = later.state, look_at = later.look_at
FROM unnest(%(ids)s::bigint[], %(states)s::text[], %(moments)s::timestamptz[])
    AS later (id, state, look_at)
WHERE replayed_postback.id = later.id
"""
_RESTORE = f"""
UPDATE postback SET
    status = CASE WHEN delivered_at IS NULL THEN input.status_before ELSE status END,
    reason = CASE WHEN delivered_at IS NULL THEN input.reason_before ELSE '' END,
    next_attempt_at = NULL
FROM unnest(%(ids)s::bigint[], %(moments)s::timestamptz[], %(statuses)s::text[],
            %(reasons)s::text[]) AS input (id, received_at, status_before, reason_before)
WHERE postback.organization_id = %(organization)s AND postback.id = input.id
  AND postback.event_received_at = input.received_at
  AND postback.status IN ('{PostbackStatus.PENDING}', '{PostbackStatus.DELIVERED}')
  AND postback.event_received_at BETWEEN '-infinity' AND 'infinity'
"""  # noqa: S608  # our own words
_DEQUEUE = load_sql("postbacks.rulebook", "dequeue_replayed", AttemptKind)


@dataclass(frozen=True, slots=True)
class ReplayedOutcome:
    """What a replayed postback waits for, or how it ended, as its rows say."""

    id: int
    part_id: int
    organization_id: int
    state: str
    attempts_before: int
    postback_id: int
    status: str | None  # None: its day was dropped
    reason: str | None
    attempts_made: int | None
    tries: int | None  # None: not in the queue
    due_at: datetime | None
    is_claimed: bool
    is_held: bool
    outcome: str | None  # of the last attempt

    @property
    def waits_for(self) -> ReplayedState | None:
        if self.tries is not None:
            return ReplayedState.RETRYING if self.tries else ReplayedState.QUEUED
        return ReplayedState.HELD if self.is_held else None

    @property
    def ended_as(self) -> str:
        """Return `sent`, `failed`, or the reason why it was skipped."""
        if self.status is None:
            return "gone"
        if self.status == PostbackStatus.SKIPPED or self.attempts_made == self.attempts_before:
            return self.reason or "not_sent"
        return "sent" if self.outcome == Outcome.DELIVERED else "failed"

    def next_look(self, now: datetime) -> datetime:
        if self.is_held:
            return now + _NEXT_LOOK_AT_HELD
        if self.due_at is None or self.is_claimed:  # a claimed row's time is its lease's end
            return now + NEXT_LOOK
        return max(now, self.due_at) + NEXT_LOOK


@dataclass(frozen=True, slots=True)
class _TakenBack:
    """A postback that left the queue again, and how it was before the replay."""

    organization_id: int
    postback_id: int
    event_received_at: datetime
    status_before: str
    reason: str
    state: str


def is_any_due() -> bool:
    """Tell whether `follow` has something to look at, for all organizations."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_ANY_DUE)
        return bool(cursor.fetchone()[0])


def follow(now: datetime) -> int:
    """Look how a batch of replayed postbacks is; count those that have ended."""
    with transaction.atomic():
        locked = prepared.run(_LOCK_DUE, {"now": now, "limit": BATCH})
        if not locked:
            return 0
        days = whole_days(received_at for _, received_at in locked)
        outcomes = prepared.fetch(
            ReplayedOutcome,
            within_days(_FIND_OUTCOMES, *days),
            {"ids": [replayed_id for replayed_id, _ in locked]},
        )
        waiting = [outcome for outcome in outcomes if outcome.waits_for]
        ended = [outcome.id for outcome in outcomes if not outcome.waits_for]
        with connection.cursor() as cursor:
            cursor.execute(
                _LOOK_LATER,
                {
                    "ids": [outcome.id for outcome in waiting],
                    "states": [str(outcome.waits_for) for outcome in waiting],
                    "moments": [outcome.next_look(now) for outcome in waiting],
                },
            )
            cursor.execute("DELETE FROM replayed_postback WHERE id = ANY(%s)", [ended])
        for part_id in sorted({outcome.part_id for outcome in outcomes}):
            _count_outcomes([o for o in outcomes if o.part_id == part_id], now)
    return len(locked)


def _count_outcomes(outcomes: Sequence[ReplayedOutcome], now: datetime) -> None:
    """Move a part's counts from what its postbacks waited for to what they are now."""
    with tenant(outcomes[0].organization_id):
        part = ReplayPart.objects.select_for_update().get(pk=outcomes[0].part_id)
        reasons: Counter[str] = Counter()
        for outcome in outcomes:
            before = str(ReplayedState(outcome.state))
            setattr(part, before, max(0, getattr(part, before) - 1))
            if (state := outcome.waits_for) is not None:
                setattr(part, str(state), getattr(part, str(state)) + 1)
            elif outcome.ended_as in {"sent", "failed"}:
                setattr(part, outcome.ended_as, getattr(part, outcome.ended_as) + 1)
            else:
                reasons[outcome.ended_as] += 1
        count_skipped(part, reasons)
        if part.finished_at is None:
            part.due_at = now
        part.save()


def not_begun(part: ReplayPart) -> "QuerySet[ReplayedPostback]":
    """Return what a part has queued, or its rule holds, that may still be taken back."""
    states = (ReplayedState.QUEUED, ReplayedState.HELD)
    return ReplayedPostback.objects.filter(part=part, state__in=states)


def take_back(part: ReplayPart) -> int:
    """Take a batch of a cancelled part from the queue, and leave each postback as it was."""
    chosen = not_begun(part).order_by("pk").select_for_update(skip_locked=True)
    rows = list(chosen.values_list("pk", "event_received_at")[:BATCH])
    if not rows:
        return 0
    days = whole_days(received_at for _, received_at in rows)
    taken = prepared.fetch(
        _TakenBack,
        within_days(_DEQUEUE, *days),
        {"ids": [replayed_id for replayed_id, _ in rows]},
    )
    if not taken:
        return 0
    skip_rows(
        [
            SkippedRow(row.organization_id, row.postback_id, row.event_received_at, row.reason)
            for row in taken
            if row.status_before == PostbackStatus.SKIPPED
        ]
    )
    others = [row for row in taken if row.status_before != PostbackStatus.SKIPPED]
    if others:
        prepared.run(
            within_days(_RESTORE, *whole_days(row.event_received_at for row in others)),
            {
                "organization": part.organization_id,
                "ids": [row.postback_id for row in others],
                "moments": [row.event_received_at for row in others],
                "statuses": [row.status_before for row in others],
                "reasons": [row.reason for row in others],
            },
        )
    for state in (ReplayedState.QUEUED, ReplayedState.HELD):
        left = sum(row.state == state for row in taken)
        setattr(part, str(state), max(0, getattr(part, str(state)) - left))
    part.taken_back += len(taken)
    return len(taken)


def count_skipped(part: ReplayPart, reasons: Mapping[str, int]) -> None:
    """Add to what a part has skipped, by reason."""
    counted = Counter(skip_counts(part.skipped))
    counted.update(reasons)
    part.skipped = dict(+counted)
