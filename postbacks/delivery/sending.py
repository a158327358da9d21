"""⑦ Sends claimed postbacks: begins their attempts as their lanes have room, and takes their ends.

Attempts end in the transport's thread, which then begins others. The pump only logs what came back.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from django.conf import settings

from postbacks.delivery.attempt import Attempt, begin, internal_failure
from postbacks.delivery.attempt_log import AttemptResult
from postbacks.delivery.claiming import Lane
from postbacks.delivery.dead_pumps import BegunRequests
from postbacks.delivery.finishing import FinishedClaims, Untried
from postbacks.delivery.http.response import Reply, TransportFailure
from postbacks.delivery.http.transport import Transport
from postbacks.delivery.lanes import Job, Lanes
from postbacks.delivery.shares import Shares, Speeds

logger = logging.getLogger(__name__)

_BROKEN = "The attempt of postback %s broke"


@dataclass(slots=True)
class Sending:
    """What a pump sends: jobs that wait for room in their lanes, and open requests.

    `notify` tells the pump that something has come back, and whether that must be logged at once.
    """

    transport: Transport
    finished: FinishedClaims
    journal: BegunRequests
    notify: Callable[[bool], None]
    speeds: Speeds = field(default_factory=dict)  # of lanes, as pumps before have found them
    clock: Callable[[], float] = time.monotonic
    lanes: Lanes = field(init=False)
    _ended: deque[tuple[Job, AttemptResult, bool]] = field(default_factory=deque)  # by a timeout?
    _is_stopping: bool = False

    def __post_init__(self) -> None:
        shares = Shares(self.transport.capacity, self.speeds, clock=self.clock)
        self.lanes = Lanes(self._begin, shares)
        self.transport.after_replies = self._take_ended

    def add_all(self, jobs: Sequence[Job]) -> None:
        """Send postbacks as soon as their lanes and the transport have room."""
        self.lanes.add_all(jobs)

    def stop(self) -> None:
        """Begin nothing more: jobs that have not begun go back untried."""
        self._is_stopping = True
        self.withdraw(None)

    def withdraw(self, lanes: Collection[Lane] | None) -> None:
        """Give back what waits for some lanes or for all; of some, probes stay."""
        for job in self.lanes.withdraw(lanes):
            self.finished.put(job.lease, Untried.LATE)

    def _begin(self, job: Job) -> bool:
        """Begin an attempt, unless it is too late for the lease or for the pump.

        Nor does one begin once the rule's partner has just answered that it is gone: the answer is
        logged first, so that what comes back untried is held.
        """
        begun: Attempt | AttemptResult | Untried = Untried.LATE
        try:
            if self._is_suspended(job):
                begun = Untried.RULE_OFF
            elif not self._is_stopping and (
                self.clock() - job.claimed_at < settings.LEASE_SECONDS / 2
            ):
                begun = begin(job.lease, job.rendered)
            if isinstance(begun, Attempt):
                self.journal.add(job.lease.postback.id)
                job.lease.is_begun = True
                self.transport.start(
                    begun.request, timeout=begun.timeout, done=partial(self._end, job, begun)
                )
                return True
        except Exception:
            logger.exception(_BROKEN, job.lease.postback.public_id)
            begun = internal_failure(job.lease, job.rendered)
        self.finished.put(job.lease, begun)
        self.notify(not self.lanes.is_behind(job.lease.lane))
        return False

    def _is_suspended(self, job: Job) -> bool:
        postback = job.lease.postback
        version = job.rendered.rule_version or postback.rule_version
        return self.finished.is_suspended(postback.rule_id, version, since=job.claimed_at)

    def _end(self, job: Job, begun: Attempt, reply: Reply) -> None:
        """Take an attempt's reply, in a thread of the transport's."""
        try:
            result = begun.result(reply)
        except Exception:
            logger.exception(_BROKEN, job.lease.postback.public_id)
            result = internal_failure(job.lease, job.rendered)
        if result.suspend_rule:
            self.finished.note_suspension(result)
        self._ended.append((job, result, reply.error is TransportFailure.TIMEOUT))

    def _take_ended(self) -> None:
        """Take over the attempts that have ended, and begin others, in the transport's thread."""
        ended: list[tuple[Job, AttemptResult, bool]] = []
        with suppress(IndexError):
            while True:
                ended.append(self._ended.popleft())
        if not ended:
            return
        for job, result, _ in ended:
            self.finished.put(job.lease, result)
        self.notify(
            any(
                result.suspend_rule or not self.lanes.is_behind(job.lease.lane)
                for job, result, _ in ended
            )
        )
        self.lanes.end_all([(job, is_timeout) for job, _, is_timeout in ended])
