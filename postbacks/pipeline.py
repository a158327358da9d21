"""The whole way of an event, ② → ⑧, on one page.

    intake.recording       ② stores the event and its place in the queue, then answers 202
    here, decide_events       takes events out of that queue, in one transaction:
      meta_claims          ② what Meta's part of a store's referrer claims, as a touchpoint
      attribution.installs ③ is it an install, and thanks to whom
      claims                  what Apple is asked about, which answers later
      callbacks.deciding   ④ which rules want it
      delivery.owing       ⑥ what is owed, with its place in the queue of what is due
    delivery.pump          ⑦ calls us, claims what is due, and
      callbacks.rendering  ⑤ has it rendered,
      delivery.sending     ⑦ sends many at once,
      delivery.logbook     ⑧ logs each attempt and finishes the postback or makes it due again

    here, settle_installs     looks again at installs whose credit a late touchpoint may change:
      attribution.settling ③ after a minute, for each such touchpoint, and a last time after a day;
                              a new credit goes through ④ and ⑥ for those who were not told yet

Each step may run twice and each may die at any point: what was stored is the truth, and the next
worker goes on from there. A pump runs inside a task of django-q2 (tasks.py).
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import OperationalError, transaction

from postbacks.attribution import reattribution, reattribution_queue
from postbacks.attribution.installs import KnownInstall, recognize_installs
from postbacks.callbacks.decisions import Decision, decide_postbacks
from postbacks.delivery.already_sent import already_notified, rules_already_applied
from postbacks.delivery.enqueue import NewPostback, enqueue_postbacks
from postbacks.intake.claims import meta
from postbacks.intake.claims.apple_ads import await_claims
from postbacks.intake.events.ordering import defer_out_of_order
from postbacks.intake.events.queue import (
    UndecidedRow,
    clear_failure,
    dequeue_event,
    dequeue_events,
    is_any_undecided,
    record_failure,
)
from postbacks.models.stored import load_events
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import install_context

logger = logging.getLogger(__name__)


def work(limit: int = 100) -> int:
    """Decide events and settle installs; return how many there were."""
    return decide_events(limit) + reattribute_installs()


def decide_events(limit: int = 100) -> int:
    """Decide the oldest undecided events and return how many there were.

    All of a batch are decided in one transaction. If one raises, each is decided alone, and the
    one that raises is set aside with its error: it never blocks the others. Those are not counted
    that have to wait for what another worker is deciding: it will look for them.
    """
    if not is_any_undecided():
        return 0
    taken: list[UndecidedRow] = []
    try:
        with transaction.atomic():
            taken = dequeue_events(limit)
            return _decide(taken)
    except OperationalError:
        raise  # the database's trouble, not an event's
    except Exception:
        logger.exception("A batch of %d events could not be decided together", len(taken))
        for event in taken:
            _decide_alone(event)
    return len(taken)


def _decide_alone(event: UndecidedRow) -> None:
    try:
        with transaction.atomic():
            if dequeue_event(event):
                _decide([event])
                clear_failure(event)
    except OperationalError:
        raise
    except Exception as error:
        logger.exception("Event %d could not be decided", event.id)
        with transaction.atomic():
            if dequeue_event(event):
                record_failure(event, f"{type(error).__name__}: {error}")


def _decide(taken: Sequence[UndecidedRow]) -> int:
    if not taken:
        return 0
    now = datetime.now(UTC)
    events = load_events((event.id, event.received_at) for event in taken)
    events = defer_out_of_order(taken, events)
    meta.claim_installs(events)
    installs = recognize_installs(events)
    await_claims([(event, installs.get(event.id)) for event in events])
    standings = {event.id: install_context(event, installs.get(event.id)) for event in events}
    decisions = decide_postbacks(events, standings, now=now)
    enqueue_postbacks([_new_postback(decision) for decision in decisions])
    return len(events)


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
        host=decision.host,
        reason=decision.reason,
        paced=rule.definition.is_paced,
    )


def reattribute_installs(limit: int = 50) -> int:
    """Look again at the installs that are due for it, and return how many there were.

    All of a batch are settled in one transaction. If one raises, each is settled alone, and the one
    that raises is put off: it never blocks the others.
    """
    if not reattribution_queue.is_any_due():
        return 0
    taken: list[reattribution_queue.QueuedInstall] = []
    try:
        with transaction.atomic():
            taken = reattribution_queue.dequeue_installs(limit)
            _reattribute(taken)
    except OperationalError:
        raise
    except Exception:
        logger.exception("A batch of %d installs could not be settled together", len(taken))
        for install in taken:
            _reattribute_alone(install.install_id)
    return len(taken)


def _reattribute_alone(install_id: int) -> None:
    try:
        with transaction.atomic():
            _reattribute(reattribution_queue.dequeue_install(install_id))
    except OperationalError:
        raise
    except Exception:
        logger.exception("Install %d could not be settled", install_id)
        reattribution_queue.postpone(install_id)


def _reattribute(taken: Sequence[reattribution_queue.QueuedInstall]) -> None:
    if not taken:
        return
    now = datetime.now(UTC)
    looks = reattribution.reevaluate(taken)
    told = already_notified([(it.event, it.loser) for it in looks if it.loser is not None])
    changes = reattribution.save_changes(looks, told, taken, now=now)
    _decide_again([(change.event, change.install) for change in changes], now)


def _decide_again(credited: Sequence[tuple[StoredEvent, KnownInstall]], now: datetime) -> None:
    """Tell of an install's new credit those who have not been told of the install yet."""
    events = [event for event, _ in credited]
    standings = {event.id: install_context(event, install) for event, install in credited}
    known = rules_already_applied(events)
    decisions = decide_postbacks(events, standings, now=now, already_applied=known)
    enqueue_postbacks([_new_postback(decision) for decision in decisions])
