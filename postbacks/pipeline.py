"""The way of an event from its arrival to the partner, ② → ⑧, on one page.

    function or caller      stage        module                     does
    the web server          ② intake     intake.events.recording    stores it, answers 202
    decide_events           ② intake     intake.events.queue        dequeues a batch
                            ② intake     intake.claims.meta         reads Meta's install referrer
                            ③ attribute  attribution.installs       finds installs, credits them
                            ② intake     intake.claims.apple_ads    queues questions to Apple
                            ④ decide     callbacks.decisions        matches rules to events
                            ⑥ enqueue    delivery.enqueue           enqueues postbacks
                                                                    and claims some for its pump
    decide_apart            ④ decide                                does so for rules that take long
    delivery.pump           ⑦ send       delivery.claiming          claims other due postbacks
                            ⑤ render     callbacks.rendering        renders their requests
                            ⑦ send       delivery.sending           sends many at once
                            ⑧ log        delivery.finishing         logs each, ends or retries it
    reattribute_installs    ③ attribute  attribution.reattribution  reevaluates credits; a new one
                                                                    goes through ④ and ⑥ again

Stage ⑨, `insights`, reads what these store. `models` holds the tables, `values` the plain objects
that the stages share.

Every step may run twice, and any step may die at any point: the database is the truth, and the
next worker continues from there. The pump calls `work` between its sends; it runs in a task of
django-q2 (`worker.tasks`).
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from django.db import transaction

from postbacks.attribution import reattribution, reattribution_queue
from postbacks.attribution.installs import recognize_installs
from postbacks.callbacks.decisions import (
    Budget,
    Decision,
    OverBudgetError,
    decide_postbacks,
)
from postbacks.callbacks.rules.compiled import mark_expensive
from postbacks.delivery.enqueue import (
    EarlyClaim,
    NewPostback,
    already_notified,
    enqueue_postbacks,
    rules_already_applied,
)
from postbacks.delivery.loads import Loads
from postbacks.infrastructure.database.outages import is_outage
from postbacks.insights.device_identifiers import record_identifiers
from postbacks.insights.figure_changes import count_events
from postbacks.intake.claims import meta
from postbacks.intake.claims.apple_ads import queue_claims
from postbacks.intake.events.queue import (
    BATCH_SECONDS,
    EXPENSIVE_SECONDS,
    OrganizationTurns,
    UndecidedRow,
    clear_failure,
    defer_out_of_order,
    dequeue_event,
    dequeue_events,
    record_failure,
)
from postbacks.models.stored import load_events
from postbacks.values.install_context import install_context

logger = logging.getLogger(__name__)


_Row = TypeVar("_Row")
DecideElsewhere = Callable[[int], None]  # an organization's events
_turns = OrganizationTurns()


def work(
    limit: int = 100,
    *,
    claim: EarlyClaim | None = None,
    decide_elsewhere: DecideElsewhere | None = None,
    loads: Loads | None = None,
) -> int:
    """Decide events and reattribute installs; return how many were processed."""
    decided = decide_events(limit, claim=claim, decide_elsewhere=decide_elsewhere, loads=loads)
    if loads is not None and not loads.serves_busy:
        return decided  # an install's events may take long, and nobody waits for it
    return decided + reattribute_installs()


def decide_events(
    limit: int = 100,
    *,
    claim: EarlyClaim | None = None,
    decide_elsewhere: DecideElsewhere | None = None,
    loads: Loads | None = None,
) -> int:
    """Decide the oldest undecided events of each organization; return how many were processed.

    A pump passes its `claim`, to have at once what it decides, and `decide_elsewhere`, which asks
    another process: events whose rules take long would keep the pump from sending. Its `loads` say
    which organizations it leaves to other pumps.
    A batch is decided in one transaction. If its rules take too long, nothing of it is decided,
    and the next batches are shorter for those who took the time. If an event raises, each is
    decided in a transaction of its own, and the failing one is recorded with its error: it never
    blocks the others. Deferred events are not counted: the worker that decides their predecessors
    picks them up.
    """
    waiting = _turns.waiting(limit)
    if loads is not None:
        waiting = [each for each in waiting if each.organization_id in loads.served]
    if not waiting:
        return 0
    decided = 0
    if shares := _turns.share(waiting, limit):
        decided = _decide_batch(
            shares,
            claim,
            event_seconds=EXPENSIVE_SECONDS if decide_elsewhere else None,
            loads=loads,
        )
    if decide_elsewhere is not None:
        for organization_id in _turns.to_be_decided_apart(waiting):
            decide_elsewhere(organization_id)
        waiting = [each for each in waiting if not _turns.is_apart(each.organization_id)]
    if shares := _turns.share_of_expensive(waiting):
        decided += _decide_batch(shares, claim, loads=loads)
    return decided


def decide_apart(organization_id: int, seconds: float) -> None:
    """Decide an organization's events for about so many seconds of processor time."""
    until = time.thread_time() + seconds
    while time.thread_time() < until and _decide_batch(_turns.share_of_one(organization_id)):
        pass


def reattribute_installs(limit: int = 50) -> int:
    """Reevaluate the installs that are due and return how many there were.

    A batch is reevaluated in one transaction. If an install raises, each is reevaluated in a
    transaction of its own, and the failing one is postponed: it never blocks the others.
    """
    if not reattribution_queue.is_any_due():
        return 0
    dequeued: list[reattribution_queue.QueuedInstall] = []
    try:
        with transaction.atomic():
            dequeued = reattribution_queue.dequeue_installs(limit)
            _reattribute(dequeued)
    except Exception as error:
        if is_outage(error):
            raise  # the database failed, not an install
        if not isinstance(error, OverBudgetError):
            logger.exception("A batch of %d installs could not be reattributed", len(dequeued))
        for install in _for_a_while(dequeued):
            _reattribute_alone(install.install_id)
    return len(dequeued)


def _decide_batch(
    shares: Mapping[int, int],
    claim: EarlyClaim | None = None,
    *,
    event_seconds: float | None = None,
    loads: Loads | None = None,
) -> int:
    """Decide so many events of each organization; return how many were processed."""
    dequeued: list[UndecidedRow] = []
    began_at = time.monotonic()
    budget = Budget(BATCH_SECONDS, event_seconds)
    try:
        with transaction.atomic():
            dequeued = dequeue_events(shares)
            return _decide(dequeued, budget, claim)
    except OverBudgetError:
        return 1  # they are in the queue again, for shorter batches
    except Exception as error:
        if is_outage(error):
            raise  # the database failed, not an event
        logger.exception("A batch of %d events could not be decided together", len(dequeued))
        for row in _for_a_while(dequeued):
            _decide_alone(row, claim)
        return len(dequeued)
    finally:
        _note_costs(budget)
        if loads is not None:
            seconds = time.monotonic() - began_at
            loads.note((row.organization_id for row in dequeued), seconds)


def _for_a_while(rows: Sequence[_Row]) -> Iterator[_Row]:
    """Yield rows for as long as a batch may take; what is left waits for the next one."""
    until = time.monotonic() + 2 * BATCH_SECONDS
    for row in rows:
        yield row
        if time.monotonic() > until:
            return


def _note_costs(budget: Budget) -> None:
    """Remember what each organization's rules took, and mark those that are too expensive."""
    for organization_id, (events, seconds) in budget.spent.items():
        _turns.note(organization_id, events, seconds)
    if budget.aborted_by is not None:
        _turns.set_apart(budget.aborted_by)
        return  # its rules have had less time than they may take
    mark_expensive(budget.expensive_rules(EXPENSIVE_SECONDS))


def _decide_alone(row: UndecidedRow, claim: EarlyClaim | None) -> None:
    try:
        with transaction.atomic():
            if dequeue_event(row):
                _decide([row], Budget(BATCH_SECONDS), claim)
                clear_failure(row)
    except Exception as error:
        if is_outage(error):
            raise
        logger.exception("Event %d could not be decided", row.id)
        with transaction.atomic():
            if dequeue_event(row):
                record_failure(row, f"{type(error).__name__}: {error}")


def _decide(dequeued: Sequence[UndecidedRow], budget: Budget, claim: EarlyClaim | None) -> int:
    if not dequeued:
        return 0
    now = datetime.now(UTC)
    events = load_events((row.id, row.received_at) for row in dequeued)
    events = defer_out_of_order(dequeued, events)
    meta.record_claims(events)
    installs = recognize_installs(events)
    queue_claims([(event, installs.get(event.id)) for event in events])
    contexts = {event.id: install_context(event, installs.get(event.id)) for event in events}
    decisions = decide_postbacks(events, contexts, now=now, budget=budget)
    postbacks = [_new_postback(decision) for decision in decisions]
    enqueue_postbacks(postbacks, claim=claim, events=events)
    count_events(events, contexts)
    record_identifiers(events, installs)
    return len(events)


def _reattribute_alone(install_id: int) -> None:
    try:
        with transaction.atomic():
            _reattribute(reattribution_queue.dequeue_install(install_id))
    except Exception as error:
        if is_outage(error):
            raise
        logger.exception("Install %d could not be reattributed", install_id)
        reattribution_queue.postpone(install_id)


def _reattribute(dequeued: Sequence[reattribution_queue.QueuedInstall]) -> None:
    if not dequeued:
        return
    now = datetime.now(UTC)
    reevaluations = reattribution.reevaluate(dequeued)
    notified = already_notified(
        [(r.event, r.losing_partner_id) for r in reevaluations if r.losing_partner_id is not None]
    )
    changes = reattribution.save_changes(
        reevaluations, dequeued, already_notified=notified, now=now
    )
    _decide_again(changes, now)


def _decide_again(changes: Sequence[reattribution.CreditChange], now: datetime) -> None:
    """Decide the events of newly credited installs for the rules that have not notified yet."""
    events = [change.event for change in changes]
    contexts = {
        change.event.id: install_context(change.event, change.install) for change in changes
    }
    applied = rules_already_applied(events)
    decisions = decide_postbacks(
        events, contexts, now=now, budget=Budget(BATCH_SECONDS), already_applied=applied
    )
    enqueue_postbacks([_new_postback(decision) for decision in decisions])


def _new_postback(decision: Decision) -> NewPostback:
    event, rule = decision.event, decision.rule
    return NewPostback(
        public_id=decision.public_id,
        organization_id=event.organization_id,
        rule_id=rule.rule_id,
        rule_version=rule.version,
        app_id=event.app.id,
        event_id=event.id,
        sdk_event_id=str(event.event_id),
        event_name=event.event_name,
        event_received_at=event.received_at,
        install_id=decision.install.install_id,
        attribution_version=decision.install.attribution_version,
        campaign_ref=decision.install.campaign_id,
        installed_at=decision.install.installed_at,
        delay_seconds=rule.definition.delay_seconds,
        host=rule.lane,
        reason=decision.reason,
        paced=rule.definition.is_paced,
        held=not rule.is_on,
    )
