"""⑦ The pump: decides, claims, sends many at once and logs, for as long as its task runs.

One thread talks to the database, the transport to partners. A NOTIFY from the intake, finished
requests and the next due time wake it, and at the latest the next heartbeat. Finished requests are
logged at once while there is little to do, and many together while there is more to send.
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from django.db import connection

from postbacks.delivery.attempt_log import return_all_of_claims
from postbacks.delivery.breaker import open_lanes
from postbacks.delivery.claim_turns import HeavyLanes, Rests, Turns
from postbacks.delivery.claiming import (
    FIRST_PLACE,
    Due,
    Lane,
    QueuePlace,
    claim_paced,
    claim_rooms,
    next_due,
)
from postbacks.delivery.dead_pumps import BegunRequests, ClaimIds
from postbacks.delivery.enqueue import EarlyClaim
from postbacks.delivery.finishing import FinishedClaims, Untried, result_without_attempt
from postbacks.delivery.http.transport import Transport
from postbacks.delivery.lanes import Job
from postbacks.delivery.loads import Loads
from postbacks.delivery.sending import Sending
from postbacks.delivery.shares import Speeds, claimed_together
from postbacks.delivery.wakeups import SharedNotifications, Wakeup
from postbacks.infrastructure.database.outages import is_conflict, is_outage
from postbacks.infrastructure.database.prepared import PlanAge
from postbacks.models.heartbeats import Channel, wake_pumps
from postbacks.values.events import StoredEvent
from postbacks.values.outgoing_request import ClaimedPostback, Lease, RenderedPostback

logger = logging.getLogger(__name__)

MANY = 64  # what is logged together
_IN_HAND = 4 * MANY  # claimed beyond what the transport has open
LINGER_SECONDS = 0.05  # the longest that a finished request waits for others to be logged with it
BEAT_SECONDS = 1.0
_CONTENDED_SECONDS = 0.05  # until the next claim while another pump holds the rows that are due
_LONGEST_WAY = 0.015  # that one step of a backlog gives way to others
_WAY_SECONDS = 0.001
_LONGEST_OVERLAP = 2.0  # of a pump with its successor
_RELIEF_SECONDS = 0.01  # between looks at whether that serves

Prepare = Callable[[Sequence[ClaimedPostback], Mapping[int, StoredEvent]], list[RenderedPostback]]


class Decide(Protocol):
    """Decides waiting events, has some of their postbacks claimed, and says how many there were."""

    def __call__(self, *, claim: EarlyClaim) -> int: ...


@dataclass(slots=True)
class Pump:
    """One pump. `decide` decides waiting events; `beat` writes a heartbeat, False means stop.

    When its time is over, `hand_on` has a successor start before what is in flight is finished;
    False means that none can start now, and the pump goes on.
    """

    transport: Transport
    decide: Decide
    prepare: Prepare
    beat: Callable[[], bool]
    beat_seconds: float = BEAT_SECONDS
    hand_on: Callable[[], bool] = lambda: True
    claim_ids: ClaimIds = field(default_factory=ClaimIds.make)
    journal: BegunRequests = field(default_factory=BegunRequests)
    speeds: Speeds = field(default_factory=dict)  # of lanes, as pumps before have found them
    notifications: SharedNotifications = field(default_factory=SharedNotifications)
    loads: Loads = field(default_factory=Loads)
    clock: Callable[[], float] = time.monotonic
    _sending: Sending = field(init=False)
    _finished: FinishedClaims = field(init=False)
    _in_flight: Counter[Lane] = field(default_factory=Counter)
    _turns: Turns = field(default_factory=Turns)
    _heavy: HeavyLanes = field(default_factory=HeavyLanes)
    _rests: Rests = field(init=False)
    _plans: PlanAge = field(init=False)
    _unsure_claims: list[UUID] = field(default_factory=list)  # of events whose decision failed
    _look_after: QueuePlace = FIRST_PLACE
    _wakeup: Wakeup = field(default_factory=Wakeup)
    _is_stopping: bool = False
    _is_notified: bool = False
    _answers_alone: bool = False  # for a notification, other pumps sleep on
    _listening: object = None
    _next_beat: float = 0.0
    _logged_at: float = 0.0
    _due_in: float | None = None  # seconds, as of the last query

    def __post_init__(self) -> None:
        self._rests = Rests(self.clock)
        self._plans = PlanAge(self.clock)
        self._finished = FinishedClaims(self.journal, self.clock)
        self._sending = Sending(
            self.transport, self._finished, self.journal, self._notify, self.speeds, self.clock
        )

    @property
    def is_asleep(self) -> bool:
        """Tell whether the pump has read all that came, and waits for more."""
        return self._wakeup.is_asleep

    def run(self, seconds: float) -> None:
        """Work for so many seconds or until asked to stop, then finish what is in flight."""
        with self._wakeup:
            while is_time_over := self._work(self.clock() + seconds):
                if self._is_handed_on():
                    break
            if is_time_over:
                self._work_until_relieved()
            self._stop()
            if self._is_notified:  # this pump does not look any more
                self._retrying(self._wake_others)
            while self._in_flight or self._finished.has_unlogged:
                self._retrying(self.beat)  # apart: what fails in it must not keep results back
                self._retrying(self._drain)

    def _work(self, ends_at: float) -> bool:
        """Work until a moment; return False if asked to stop before."""
        while self._retrying(self._should_continue):
            if self.clock() >= ends_at:
                return True
            if not self._retrying(self.run_cycle):
                self._retrying(lambda: self._wait(ends_at))
        return False

    def _work_until_relieved(self) -> None:
        """Go on until the successor serves: nobody else may serve the same organizations."""
        self.loads.leave()
        until = self.clock() + _LONGEST_OVERLAP
        while not self.loads.is_relieved and (now := self.clock()) < until:
            if not self._work(min(until, now + _RELIEF_SECONDS)):
                return

    def _is_handed_on(self) -> bool:
        try:
            return self.hand_on()
        except Exception:
            logger.exception("The pump can't hand on, and goes on")
            return False

    def _retrying(self, step: Callable[[], bool]) -> bool:
        """Run a step. If it fails, wait a moment and return True, as after work.

        Requests in flight would otherwise be lost to the log, and so be sent again.
        """
        try:
            return step()
        except Exception as error:
            if is_conflict(error):
                logger.warning(
                    "Another transaction was in the way; the pump tries again: %s", error
                )
                time.sleep(_CONTENDED_SECONDS)
                return True
            if is_outage(error):
                logger.warning("The database can't be reached; the pump tries again: %s", error)
                connection.close()
            else:
                logger.exception("A step of the pump failed; it tries again")
        time.sleep(1.0)
        return True

    def _should_continue(self) -> bool:
        if self.clock() < self._next_beat:
            return True
        self._next_beat = self.clock() + self.beat_seconds
        self._plans.replan_if_old()
        self._sending.withdraw(open_lanes())  # opened by any worker
        return self.beat()

    def run_cycle(self) -> bool:
        """Log, decide and claim once; tell whether there may be more to do."""
        began_at = self.clock()
        self._listen()
        self._is_notified = False
        self.loads.divide()
        self.loads.begin_work()
        given = self._give_way()
        if self._answers_alone and self.loads.are_divided:
            wake_pumps()  # what it woke for may be another pump's by now
        self._answers_alone = False
        if self._unsure_claims:
            return_all_of_claims(self._unsure_claims)
            self._unsure_claims.clear()
        if self._is_time_to_log():
            self.log_finished()
        decided = self._decide()
        # Most cycles find nothing: this query takes far less than to begin a claim.
        due = next_due(self._look_after).of(self.loads.served)
        self._due_in = 0.0 if due.resume_after != FIRST_PLACE else due.soonest
        claimed: Sequence[Lease] = ()
        if not self._rests.seconds_left:  # else it looks at the same queues again: none is missed
            self._look_after = due.resume_after
            if self._due_in is not None and self._due_in <= 0:
                given += self._give_way()
                claimed = self._claim(due)
                if self.loads.serves_busy:
                    seconds = self.clock() - began_at - 2 * given  # which was no work but rest
                    self._rests.begin(claimed, seconds, is_divided=self.loads.are_divided)
        self._plans.add_rows(decided + len(claimed))
        return bool(decided or claimed)

    def _give_way(self) -> float:
        """Begin no step of a backlog beside a step for others; return how long that took."""
        began_at = self.clock()
        while self.loads.must_give_way() and self.clock() < began_at + _LONGEST_WAY:
            time.sleep(_WAY_SECONDS)
        return self.clock() - began_at

    def _listen(self) -> None:
        connection.ensure_connection()
        raw_connection = connection.connection
        if raw_connection is not self._listening:
            raw_connection.add_notify_handler(self._note_notification)
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {Channel.WORK.value}")
            self._listening = raw_connection

    def _note_notification(self, _notification: object) -> None:
        # Called while any statement runs: a notification from then no longer shows on the socket.
        # It is not taken from other pumps, for this one is busy.
        self._is_notified = True

    @property
    def _together(self) -> int:
        """How many postbacks are claimed together: fewer while others wait for each step."""
        return MANY if self._has_neighbors else claimed_together(self.transport.capacity)

    @property
    def _has_neighbors(self) -> bool:
        return self._rests.has_neighbors or self.loads.are_divided

    @property
    def _room(self) -> int:
        return self.transport.capacity + _IN_HAND - self._in_flight.total()

    def _decide(self) -> int:
        """Decide waiting events, and begin at once what is claimed of their postbacks.

        That is at most half of what this pump may still have: the rest is for those that wait.
        """
        claimed_at = self.clock()
        most = min(self._room // 2, self._together)
        claim = EarlyClaim(self.claim_ids.next(), most, self._early_room)
        try:
            decided = self.decide(claim=claim)
        except Exception:  # only the database knows what was committed before
            if claim.is_used:
                self._unsure_claims.append(claim.claim_id)
            raise
        self._begin_claimed(claim.leases, claimed_at, claim.events)
        return decided

    def _early_room(self, lane: Lane) -> int:
        """Return how many fresh postbacks of a lane may be sent without waiting for a claim."""
        return 0 if self._heavy.is_heavy(lane) else self._sending.lanes.room_of(lane)

    def _claim(self, due: Due) -> Sequence[Lease]:
        room = self._room
        if room <= 0:
            return ()
        most = min(room, self._together)
        claimed_at = self.clock()
        leases: list[Lease] = []
        try:
            if due.is_now(due.plain):
                rooms = self._turns.allot(due.lanes, self._sending.lanes.room_of, most)
                rooms = self._heavy.fitting(rooms, has_neighbors=self._has_neighbors)
                leases += claim_rooms(rooms, most, claim_id=self.claim_ids.next())
            if due.is_now(due.paced):  # more than a lane sends now would leave in one burst later
                leases += claim_paced(
                    most,
                    busy={*self._sending.lanes.full_lanes(), *self._heavy.full_lanes()},
                    served=self.loads.served,
                    claim_id=self.claim_ids.next(),
                )
        except Exception as error:
            if is_outage(error):
                self._return_untried(leases)
            raise
        self._begin_claimed(leases, claimed_at, {})
        self.loads.note((lease.lane[0] for lease in leases), self.clock() - claimed_at)
        return leases

    def _begin_claimed(
        self, leases: Sequence[Lease], claimed_at: float, events: Mapping[int, StoredEvent]
    ) -> None:
        """Render claimed postbacks and begin their attempts, as their lanes have room."""
        if not leases:
            return
        self._rests.note_claimed(leases)
        try:
            rendered = self.prepare([lease.postback for lease in leases], events)
        except Exception as error:
            if is_outage(error):  # what else breaks may break again at once: it waits out its lease
                self._return_untried(leases)
            raise
        self._finished.note_claimed(leases)
        jobs: list[Job] = []
        self._in_flight.update(lease.lane for lease in leases)
        for lease, postback in zip(leases, rendered, strict=True):
            self._heavy.add(lease, postback)
            if (result := result_without_attempt(lease, postback)) is not None:
                self._finished.put(lease, result)
            else:
                jobs.append(Job(lease, postback, claimed_at))
        self._sending.add_all(jobs)

    def _return_untried(self, leases: Sequence[Lease]) -> None:
        self._in_flight.update(lease.lane for lease in leases)
        for lease in leases:
            self._finished.put(lease, Untried.LATE)

    def _notify(self, is_urgent: bool) -> None:
        self._wakeup.notify(is_urgent=is_urgent, is_batch_full=self._finished.waiting >= MANY)

    def _is_time_to_log(self) -> bool:
        lingered = self.clock() - self._logged_at >= LINGER_SECONDS
        return self._wakeup.is_urgent or self._finished.waiting >= (1 if lingered else MANY)

    def _stop(self) -> None:
        self._is_stopping = True
        self._sending.stop()

    def log_finished(self) -> int:
        """Log what has come back: a little of it while others wait for each step."""
        self._wakeup.clear()
        self._logged_at = self.clock()
        most = 2 * MANY if self._has_neighbors else sys.maxsize
        self._release(self._finished.collect(most))
        leases, opened = self._finished.log()
        self._sending.withdraw(opened)
        if leases:
            organizations = (lease.lane[0] for lease in leases)
            self.loads.note(organizations, self.clock() - self._logged_at)
        return len(leases)

    def _release(self, leases: Sequence[Lease]) -> None:
        self._heavy.release_all(leases)
        for lane, count in Counter(lease.lane for lease in leases).items():
            self._in_flight[lane] -= count
            if not self._in_flight[lane]:
                del self._in_flight[lane]

    def _wait(self, ends_at: float) -> bool:
        limits = [self.beat_seconds, ends_at - self.clock()]
        if self._due_in is not None:
            limits.append(max(self._due_in, self._rests.seconds_left or _CONTENDED_SECONDS))
        if not self._is_notified:  # that may have changed by the last query
            self._sleep(max(0.0, min(limits)))
        return True

    def _wake_others(self) -> bool:
        wake_pumps()
        return True

    def _drain(self) -> bool:
        if not self.log_finished():
            self._sleep(self.beat_seconds)
        return True

    def _sleep(self, seconds: float) -> None:
        """Sleep until a notification, or until finished requests have lingered long enough.

        A notification for one pump of this host is left to another one that was first to wake.
        """
        self.loads.end_work()
        ends_at = self.clock() + seconds
        sockets = []
        if connection.connection is not None:
            sockets.append(connection.connection.fileno())
        with self._wakeup.sleeping():
            while (left := ends_at - self.clock()) > 0 and not self._is_time_to_log():
                limit = min(left, LINGER_SECONDS) if self._in_flight else left
                if self._wakeup.wait(limit, *sockets) and sockets and self._takes_notification():
                    self._is_notified = True
                    break

    def _takes_notification(self) -> bool:
        """Read what has come since the last statement; tell whether this pump answers any of it."""
        session = connection.connection.pgconn
        with connection.wrap_database_errors:
            session.consume_input()
            payloads = [notification.extra for notification in iter(session.notifies, None)]
        if self._is_stopping:
            return False
        self.loads.divide()
        if self.loads.are_divided:  # only some of the pumps serve the organization
            return bool(payloads)
        taken = [payload for payload in payloads if self.notifications.take(payload)]
        self._answers_alone = self._answers_alone or bool(taken)
        return bool(taken)
