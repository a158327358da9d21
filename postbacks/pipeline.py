"""The way of an event from its arrival to the partner, ② → ⑧, on one page.

    function or caller      stage        module                     does
    the web server          ② intake     intake.events.recording    stores it, answers 202
    decide_events           ② intake     intake.events.queue        dequeues a batch
                            ② intake     intake.claims.meta         reads Meta's install referrer
                            ③ attribute  attribution.installs       finds installs, credits them
                            ② intake     intake.claims.apple_ads    queues questions to Apple
                            ④ decide     callbacks.decisions        matches rules to events
                            ⑥ enqueue    delivery.enqueue           enqueues postbacks
    delivery.pump           ⑦ send       delivery.claiming          claims due postbacks
                            ⑤ render     callbacks.rendering        renders their requests
                            ⑦ send       delivery.attempt           sends many at once
                            ⑧ log        delivery.attempt_log       logs each, ends or retries it
    reattribute_installs    ③ attribute  attribution.reattribution  reevaluates credits; a new one
                                                                    goes through ④ and ⑥ again

Stage ⑨, `insights`, reads what these store. `models` holds the tables, `values` the plain objects
that the stages share.

Every step may run twice, and any step may die at any point: the database is the truth, and the
next worker continues from there. The pump calls `work` between its sends; it runs in a task of
django-q2 (`worker.tasks`).
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import OperationalError, transaction

from postbacks.attribution import reattribution, reattribution_queue
from postbacks.attribution.installs import recognize_installs
from postbacks.callbacks.decisions import Decision, decide_postbacks
from postbacks.delivery.enqueue import (
    NewPostback,
    already_notified,
    enqueue_postbacks,
    rules_already_applied,
)
from postbacks.intake.claims import meta
from postbacks.intake.claims.apple_ads import queue_claims
from postbacks.intake.events.queue import (
    UndecidedRow,
    clear_failure,
    defer_out_of_order,
    dequeue_event,
    dequeue_events,
    is_any_undecided,
    record_failure,
)
from postbacks.models.stored import load_events
from postbacks.values.install_context import install_context

logger = logging.getLogger(__name__)


def work(limit: int = 100) -> int:
    """Decide events and reattribute installs; return how many were processed."""
    return decide_events(limit) + reattribute_installs()


def decide_events(limit: int = 100) -> int:
    """Decide the oldest undecided events and return how many were processed.

    A batch is decided in one transaction. If an event raises, each is decided in a transaction of
    its own, and the failing one is recorded with its error: it never blocks the others. Deferred
    events are not counted: the worker that decides their predecessors picks them up.
    """
    if not is_any_undecided():
        return 0
    dequeued: list[UndecidedRow] = []
    try:
        with transaction.atomic():
            dequeued = dequeue_events(limit)
            return _decide(dequeued)
    except OperationalError:
        raise  # the database failed, not an event
    except Exception:
        logger.exception("A batch of %d events could not be decided together", len(dequeued))
        for row in dequeued:
            _decide_alone(row)
    return len(dequeued)


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
    except OperationalError:
        raise
    except Exception:
        logger.exception("A batch of %d installs could not be reattributed", len(dequeued))
        for install in dequeued:
            _reattribute_alone(install.install_id)
    return len(dequeued)


def _decide_alone(row: UndecidedRow) -> None:
    try:
        with transaction.atomic():
            if dequeue_event(row):
                _decide([row])
                clear_failure(row)
    except OperationalError:
        raise
    except Exception as error:
        logger.exception("Event %d could not be decided", row.id)
        with transaction.atomic():
            if dequeue_event(row):
                record_failure(row, f"{type(error).__name__}: {error}")


def _decide(dequeued: Sequence[UndecidedRow]) -> int:
    if not dequeued:
        return 0
    now = datetime.now(UTC)
    events = load_events((row.id, row.received_at) for row in dequeued)
    events = defer_out_of_order(dequeued, events)
    meta.record_claims(events)
    installs = recognize_installs(events)
    queue_claims([(event, installs.get(event.id)) for event in events])
    contexts = {event.id: install_context(event, installs.get(event.id)) for event in events}
    decisions = decide_postbacks(events, contexts, now=now)
    enqueue_postbacks([_new_postback(decision) for decision in decisions])
    return len(events)


def _reattribute_alone(install_id: int) -> None:
    try:
        with transaction.atomic():
            _reattribute(reattribution_queue.dequeue_install(install_id))
    except OperationalError:
        raise
    except Exception:
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
    decisions = decide_postbacks(events, contexts, now=now, already_applied=applied)
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
        installed_at=decision.install.installed_at,
        delay_seconds=rule.definition.delay_seconds,
        host=rule.lane,
        reason=decision.reason,
        paced=rule.definition.is_paced,
        held=not rule.is_on,
    )
