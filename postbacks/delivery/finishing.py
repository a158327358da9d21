"""⑧ Ends the claims that have come back: logs attempts, and gives back what was not sent."""

import math
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from queue import Empty, SimpleQueue
from typing import NamedTuple
from uuid import UUID

from postbacks.delivery.attempt_log import (
    AttemptResult,
    Move,
    log_attempts,
    move_claims,
    return_claims,
)
from postbacks.delivery.attempt_reports import report_attempts
from postbacks.delivery.breaker import record_reports, reports_of, return_probes, unused_probes
from postbacks.delivery.claiming import Lane
from postbacks.delivery.dead_pumps import BegunRequests
from postbacks.delivery.holding import hold_claims, hold_queued
from postbacks.delivery.outcome import Outcome
from postbacks.delivery.skipping import skip_claims
from postbacks.values.outgoing_request import Lease, RenderedPostback

_POSTPONED_SECONDS = 60.0  # how soon a postback that could not be rendered is claimed again


class Untried(Enum):
    """Why a claimed postback comes back without an attempt."""

    RULE_OFF = "its rule is suspended or switched off"
    POSTPONED = "its rule could not be read, or not be rendered"
    LATE = "its lease or the pump's time is nearly over"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A claimed postback that may not be sent any more, with the code of the reason."""

    reason: str


ClaimResult = AttemptResult | Untried | Skipped | Move


def result_without_attempt(
    lease: Lease, rendered: RenderedPostback
) -> Untried | Skipped | Move | None:
    """Return what keeps a claimed postback from being sent in the lane that it was claimed in."""
    if rendered.held:
        return Untried.RULE_OFF
    if rendered.postponed:
        return Untried.POSTPONED
    if rendered.over_budget:
        return Untried.LATE
    if rendered.skipped:
        return Skipped(rendered.skipped)
    if rendered.lane is None:
        return None
    # Its rule was saved, or a credential's host, since it was queued: the limits of another lane
    # and pace hold for it. One that is paced without need loses nothing.
    is_unpaced = rendered.is_paced and not lease.is_paced
    if rendered.lane != lease.host or is_unpaced:
        return Move(rendered.lane, rendered.is_paced)
    return None


class LoggedClaims(NamedTuple):
    """Claims that have left a pump's hands, and lanes whose circuit breaker is open now."""

    leases: Sequence[Lease] = ()
    open_lanes: Sequence[Lane] = ()


@dataclass(slots=True)
class FinishedClaims:
    """A pump's claims that have come back, until each has its row or is in the queue again.

    Any thread may put some in and note a suspension; all else is the pump's thread's.
    """

    journal: BegunRequests
    clock: Callable[[], float] = time.monotonic
    _came_back: SimpleQueue[tuple[Lease, ClaimResult]] = field(default_factory=SimpleQueue)
    _unlogged: list[tuple[Lease, ClaimResult]] = field(default_factory=list)
    _failing: set[Lane] = field(default_factory=set)  # lanes that have a circuit breaker's row
    # When an answer last suspended a version of a rule: what was claimed before is not sent to it.
    _suspended_at: dict[tuple[int, int], float] = field(default_factory=dict)

    def put(self, lease: Lease, result: ClaimResult) -> None:
        self._came_back.put((lease, result))

    @property
    def waiting(self) -> int:
        """Return how many have come back since the last look."""
        return self._came_back.qsize()

    @property
    def has_unlogged(self) -> bool:
        """Tell whether some that were collected are not logged yet: the database failed."""
        return bool(self._unlogged)

    def note_claimed(self, leases: Sequence[Lease]) -> None:
        """Note which lanes fail: of these, successes count too."""
        self._failing.update(lease.lane for lease in leases if lease.is_failing)

    def note_suspension(self, result: AttemptResult) -> None:
        """Note, in any thread, that an answer suspends its rule as soon as it is logged."""
        # Until then, whatever is claimed was claimed before the rule was suspended.
        self._suspended_at[result.rule_id, result.rule_version] = math.inf

    def is_suspended(self, rule_id: int, rule_version: int, *, since: float) -> bool:
        """Tell whether an answer has suspended a version of a rule since a moment."""
        return since <= self._suspended_at.get((rule_id, rule_version), 0.0)

    def collect(self, most: int = sys.maxsize) -> list[Lease]:
        """Take over what has come back, for `log`, and return its leases."""
        before = len(self._unlogged)
        with suppress(Empty):
            while len(self._unlogged) < most:
                self._unlogged.append(self._came_back.get_nowait())
        return [lease for lease, _ in self._unlogged[before:]]

    def log(self) -> LoggedClaims:
        """Log what was collected. What can't be written now is kept for the next time."""
        if not self._unlogged:
            return LoggedClaims()
        made = [(lease, r) for lease, r in self._unlogged if isinstance(r, AttemptResult)]
        batch = log_attempts([result for _, result in made])
        self._forget_begun([lease for lease, _ in made], batch.unlogged)
        if len(made) < len(self._unlogged):
            self._return_unmade()
        for rule_id in batch.suspended:
            hold_queued(rule_id)  # a job holds what is more than a batch
        for _, result in made:
            if result.suspend_rule:
                self._suspended_at[result.rule_id, result.rule_version] = self.clock()
        # Only after they have left the front of the queue: the next probe is another postback.
        return_probes(unused_probes(self._unlogged))
        open_lanes = self._report_lanes(made)
        report_attempts(made)
        leases = [lease for lease, _ in self._unlogged]
        self._unlogged.clear()
        return LoggedClaims(leases, open_lanes)

    def _return_unmade(self) -> None:
        """Skip, move or return what was claimed without an attempt."""
        unlogged = self._unlogged
        skip_claims([(lease, r.reason) for lease, r in unlogged if isinstance(r, Skipped)])
        move_claims([(lease, r) for lease, r in unlogged if isinstance(r, Move)])
        hold_claims(self._untried(Untried.RULE_OFF))
        return_claims(self._untried(Untried.POSTPONED), seconds=_POSTPONED_SECONDS)
        # A rule that was switched on before its postbacks could be held sends them at once.
        return_claims(self._untried(Untried.LATE, Untried.RULE_OFF), seconds=0.0)

    def _untried(self, *reasons: Untried) -> list[Lease]:
        return [lease for lease, result in self._unlogged if result in reasons]

    def _forget_begun(
        self, leases: Sequence[Lease], unlogged: Collection[tuple[int, UUID]]
    ) -> None:
        """Forget requests that have their row.

        One that has none stays noted: a person had its postback sent again as its lease had ended,
        and whoever claims that next logs that this request was sent too.
        """
        for lease in leases:
            if lease.is_begun and (
                not unlogged or (lease.postback.id, lease.claim_id) not in unlogged
            ):
                lease.is_begun = False
                self.journal.discard(lease.postback.id)

    def _report_lanes(self, made: Sequence[tuple[Lease, AttemptResult]]) -> Sequence[Lane]:
        """Count failures for the circuit breakers, and return the lanes where one is open.

        A lane that is well costs nothing.
        """
        delivered = Outcome.DELIVERED  # an enum's words are slow to look up
        if not self._failing and all(r.outcome == delivered for _, r in made):
            return ()
        reports = {
            lane: report
            for lane, report in reports_of(made).items()
            if report.failures or lane in self._failing
        }
        breakers = record_reports(reports)
        self._failing -= reports.keys()
        self._failing |= breakers.keys()
        return [lane for lane, each in breakers.items() if each.is_open]
