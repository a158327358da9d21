"""② The queue between intake and the pipeline: events that are stored and not yet decided.

Several workers decide at once, but each device's events in order: what a purchase means depends on
the install before it. A worker that decides the purchase while another is still at the install
would find a device that never opened the app.

Organizations take turns: the events of one never wait for the backlog, or the rules, of another.
"""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import connection

from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.values.events import StoredEvent

MOST_ORGANIZATIONS: Final = 64  # that share one batch
BATCH_SECONDS: Final = 0.5  # of processor time that the rules of a batch may take
EXPENSIVE_SECONDS: Final = 0.05  # ... and those of one event, before its organization waits apart
_NOTABLE_SECONDS: Final = 0.002  # of one event; less is not remembered
_REST: Final = 9  # times what a turn took, for an organization with expensive rules
_LONGEST_REST: Final = 5.0
_APART_SECONDS: Final = 60.0  # until an organization that was too slow is tried with others again
_ASK_SECONDS: Final = 4.0  # between two asks to decide its events apart
_NEIGHBOR_SECONDS: Final = 60.0  # as long as others' events are this fresh, their turns matter
_MOST_REMEMBERED: Final = 10_000

_FIND_WAITING = load_sql("postbacks.intake.events", "find_waiting_organizations")
_DEQUEUE = load_sql("postbacks.intake.events", "dequeue_events")

# An organization's older events that are still queued are locked by other workers: these are few.
_EARLIER_OPENS = """
SELECT queued.id, opening.organization_id, opening.app_id, opening.device
FROM unnest(%(organizations)s::bigint[], %(lasts)s::bigint[]) AS share (organization_id, last)
JOIN undecided_event AS queued
  ON queued.organization_id = share.organization_id AND queued.id < share.last
CROSS JOIN LATERAL (
    SELECT organization_id, app_id, device, event_name FROM event
    WHERE event.id = queued.id AND event.received_at = queued.received_at LIMIT 1
) AS opening
WHERE opening.event_name IN ('install', 'open') AND opening.device <> ''
"""

_REQUEUE = """
INSERT INTO undecided_event (id, organization_id, received_at)
SELECT * FROM unnest(%(ids)s::bigint[], %(organizations)s::bigint[], %(received)s::timestamptz[])
"""

# A failed decision is tried again after 10 s, 20 s, 40 s … at most an hour.
_RECORD_FAILURE = """
INSERT INTO decision_failure (id, organization_id, received_at, error, next_try_at)
VALUES (%(id)s, %(organization)s, %(received)s, %(error)s, now() + interval '10 seconds')
ON CONFLICT (id) DO UPDATE SET
    error = excluded.error, tries = decision_failure.tries + 1,
    next_try_at = now() + least(3600, 10 * 2 ^ least(decision_failure.tries, 9)) * interval '1 s'
"""

_REQUEUE_FAILED = """
INSERT INTO undecided_event (id, organization_id, received_at)
SELECT id, organization_id, received_at FROM decision_failure
WHERE next_try_at <= now() ORDER BY next_try_at LIMIT %s
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class UndecidedRow:
    """An undecided event: our id and its partition's time."""

    id: int
    organization_id: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class WaitingOrganization:
    """An organization with undecided events; another worker may be deciding some of them."""

    organization_id: int
    events: int  # counted up to a batch


@dataclass(slots=True)
class OrganizationTurns:
    """Shares batches among organizations: each has its part, however much another has queued.

    What an organization's rules took is remembered. One with expensive rules has batches of its
    own, short ones, and rests after each while others have events: it waits for its own rules.
    """

    clock: Callable[[], float] = time.monotonic
    _after: int = 0
    _seconds: dict[int, float] = field(default_factory=dict)  # for one event, of notable ones
    _rests_until: dict[int, float] = field(default_factory=dict)
    _served_at: dict[int, float] = field(default_factory=dict)
    _apart_until: dict[int, float] = field(default_factory=dict)
    _asked_at: dict[int, float] = field(default_factory=dict)

    def waiting(self, limit: int) -> list[WaitingOrganization]:
        """Return organizations with undecided events, many of them by turns."""
        organizations = self._walk(limit)
        if not organizations and self._after:
            self._after = 0
            organizations = self._walk(limit)
        self._after = (
            organizations[-1].organization_id if len(organizations) == MOST_ORGANIZATIONS else 0
        )
        return organizations

    def share(self, waiting: Sequence[WaitingOrganization], limit: int) -> dict[int, int]:
        """Return how many events of each organization the next batch takes, as far as it has time.

        Those whose rules are quick come first, with few events before many, so that the rest is
        shared among those with more; the others follow, who was served longest ago before others.
        """
        shares: dict[int, int] = {}
        seconds_left = BATCH_SECONDS / 2
        usual = [each for each in waiting if not self._is_expensive(each.organization_id)]
        if len(usual) > 1:
            usual.sort(key=self._place)
        for place, each in enumerate(usual):
            if seconds_left <= 0 or limit <= 0:
                break
            count = min(each.events, max(1, limit // (len(usual) - place)))
            if seconds := self._seconds.get(each.organization_id):
                count = min(count, max(1, int(seconds_left / seconds)))
                seconds_left -= count * seconds
            limit -= count
            shares[each.organization_id] = count
        return shares

    def share_of_expensive(self, waiting: Sequence[WaitingOrganization]) -> dict[int, int]:
        """Return the turn of one organization with expensive rules, if one has rested."""
        now = self.clock()
        rested = [
            each.organization_id
            for each in waiting
            if self._is_expensive(each.organization_id)
            and self._rests_until.get(each.organization_id, 0.0) <= now
        ]
        if not rested:
            return {}
        first = min(rested, key=lambda each: self._served_at.get(each, 0.0))
        return self.share_of_one(first)

    def share_of_one(self, organization_id: int) -> dict[int, int]:
        """Return the share of one organization that has a batch for itself."""
        seconds = self._seconds.get(organization_id, EXPENSIVE_SECONDS)
        return {organization_id: max(1, int(BATCH_SECONDS / 4 / seconds))}

    def to_be_decided_apart(self, waiting: Sequence[WaitingOrganization]) -> list[int]:
        """Return those with expensive rules whose events another process is to be asked for now.

        They are in a random order: that process drops all but the first, and none is always last.
        """
        now = self.clock()
        due = [
            each.organization_id
            for each in waiting
            if self.is_apart(each.organization_id)
            and self._asked_at.get(each.organization_id, -_ASK_SECONDS) <= now - _ASK_SECONDS
        ]
        random.shuffle(due)
        self._asked_at.update(dict.fromkeys(due, now))
        for organization_id in due:
            # What the other process finds out is not known here: rules may be quick again.
            self._apart_until.setdefault(organization_id, now + _APART_SECONDS)
        return due

    def is_apart(self, organization_id: int) -> bool:
        """Tell whether an organization has expensive rules and others would wait for them."""
        return self._is_expensive(organization_id) and self._has_neighbors(
            organization_id, self.clock()
        )

    def set_apart(self, organization_id: int) -> None:
        """Keep an organization out of others' batches for a while: an event took too long."""
        if len(self._apart_until) > _MOST_REMEMBERED:
            self._apart_until.clear()
            self._asked_at.clear()
        self._apart_until[organization_id] = self.clock() + _APART_SECONDS
        known = self._seconds.get(organization_id, 0.0)
        self._seconds[organization_id] = max(known, 2 * EXPENSIVE_SECONDS)

    def note(self, organization_id: int, events: int, seconds: float) -> None:
        """Remember what the rules of an organization took for some events."""
        now = self.clock()
        if len(self._served_at) > _MOST_REMEMBERED:
            self._served_at.clear()
        self._served_at[organization_id] = now
        self._apart_until.pop(organization_id, None)
        if seconds < events * _NOTABLE_SECONDS:
            self._seconds.pop(organization_id, None)
            self._rests_until.pop(organization_id, None)
            return
        self._seconds[organization_id] = seconds / events
        if self._is_expensive(organization_id) and self._has_neighbors(organization_id, now):
            self._rests_until[organization_id] = now + min(_LONGEST_REST, _REST * seconds)

    def _place(self, waiting: WaitingOrganization) -> tuple[bool, float]:
        if waiting.organization_id in self._seconds:
            return True, self._served_at.get(waiting.organization_id, 0.0)
        return False, waiting.events

    def _walk(self, limit: int) -> list[WaitingOrganization]:
        return prepared.fetch(
            WaitingOrganization,
            _FIND_WAITING,
            {"after": self._after, "most": MOST_ORGANIZATIONS, "counted": limit},
        )

    def _is_expensive(self, organization_id: int) -> bool:
        if self._apart_until.get(organization_id, math.inf) < self.clock():
            return False
        return self._seconds.get(organization_id, 0.0) > EXPENSIVE_SECONDS

    def _has_neighbors(self, organization_id: int, now: float) -> bool:
        return any(
            served_at > now - _NEIGHBOR_SECONDS
            for each, served_at in self._served_at.items()
            if each != organization_id
        )


def dequeue_events(shares: Mapping[int, int]) -> list[UndecidedRow]:
    """Take the oldest undecided events out of the queue, within the caller's transaction.

    `shares` says how many of each organization. A rollback, or the death of this process, puts
    them back, and the notes on earlier failures.
    """
    rows = prepared.fetch(
        UndecidedRow, _DEQUEUE, {"organizations": list(shares), "counts": list(shares.values())}
    )
    return sorted(rows, key=lambda row: row.id)


def defer_out_of_order(
    dequeued: Sequence[UndecidedRow], events: Sequence[StoredEvent]
) -> list[StoredEvent]:
    """Return the events that may be decided now, and put the others back into the queue.

    Events whose device has an earlier, undecided open are deferred.
    """
    lasts = {row.organization_id: row.id for row in dequeued}  # they are in the order of ids
    opens = prepared.run(
        _EARLIER_OPENS, {"organizations": list(lasts), "lasts": list(lasts.values())}
    )
    first_open: dict[tuple[int, int, str], int] = {}
    for event_id, organization_id, app_id, device in opens:
        key = (organization_id, app_id, device)
        first_open[key] = min(event_id, first_open.get(key, event_id))
    deferred = {event.id for event in events if event.id > first_open.get(event.key, event.id)}
    if deferred:
        _requeue([row for row in dequeued if row.id in deferred])
    return [event for event in events if event.id not in deferred]


def dequeue_event(row: UndecidedRow) -> bool:
    """Take one event out of the queue; False if another worker has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM undecided_event WHERE (organization_id, id) = ("
            "SELECT organization_id, id FROM undecided_event"
            " WHERE organization_id = %s AND id = %s FOR UPDATE SKIP LOCKED)",
            [row.organization_id, row.id],
        )
        return bool(cursor.rowcount == 1)


def record_failure(row: UndecidedRow, error: str) -> None:
    """Note why an event could not be decided, for the operator and for another try."""
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD_FAILURE,
            {
                "id": row.id,
                "organization": row.organization_id,
                "received": row.received_at,
                "error": error.replace("\x00", " ")[:2000],
            },
        )


def clear_failure(row: UndecidedRow) -> None:
    """Remove the note on an event that has been decided after all."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM decision_failure WHERE id = %s", [row.id])


def requeue_failed(limit: int = 100) -> int:
    """Queue events again whose decision failed and whose next try is due; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_REQUEUE_FAILED, [limit])
        return int(cursor.rowcount)


def _requeue(rows: Sequence[UndecidedRow]) -> None:
    prepared.run(
        _REQUEUE,
        {
            "ids": [row.id for row in rows],
            "organizations": [row.organization_id for row in rows],
            "received": [row.received_at for row in rows],
        },
    )
