"""⑥ Writes postbacks and queues those that are to be sent; finds those that exist already."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction

from postbacks.delivery.claiming import Lane
from postbacks.delivery.outcome import Outcome
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import AttemptKind, HeldReason, PostbackStatus, QueueClass, RuleStatus
from postbacks.models.days import whole_days
from postbacks.values.events import StoredEvent
from postbacks.values.outgoing_request import ClaimedPostback, Lease
from postbacks.values.rule_choices import AttributionScope

_ENQUEUE = load_sql(
    "postbacks.delivery", "enqueue_postbacks", AttemptKind, HeldReason, PostbackStatus, RuleStatus
)
_NOTIFIED_EVENTS = load_sql(
    "postbacks.delivery", "find_notified_events", AttributionScope, Outcome, PostbackStatus
)
_APPLIED_RULES = load_sql("postbacks.delivery", "find_applied_rules", PostbackStatus)


@dataclass(slots=True)  # not frozen: it is made and filled for each postback
class NewPostback:
    """A postback to be written. With a `reason` it is skipped, otherwise due after a delay.

    One that is `held` is held if its rule is still suspended when the postback is written.
    """

    public_id: str
    organization_id: int
    rule_id: int
    rule_version: int
    app_id: int
    event_id: int
    sdk_event_id: str
    event_name: str
    event_received_at: datetime
    install_id: int | None
    attribution_version: int
    campaign_ref: int | None
    installed_at: datetime | None
    delay_seconds: int
    host: str
    reason: str
    paced: bool = False  # the rule limits how fast it sends
    held: bool = False
    claimed: bool = False  # by the pump that decides it, if its lane is free

    @property
    def lane(self) -> Lane:
        return self.organization_id, self.host

    @property
    def is_due_at_once(self) -> bool:
        return not (self.reason or self.delay_seconds or self.paced or self.held)


@dataclass(slots=True)
class EarlyClaim:
    """What a pump claims of the postbacks that it decides, in the statement that writes them.

    They are spared a second claim and being loaded. A postback is left in the queue, for every
    pump, where its lane has no room, where others of its lane are due before it, and where its lane
    has a circuit breaker. `leases` and `events` are of transactions that are committed. If one
    fails, only the database knows what it had: once `is_used`, the claim is to be returned.
    """

    claim_id: uuid.UUID
    limit: int
    room_of: Callable[[Lane], int]
    leases: list[Lease] = field(default_factory=list)
    events: dict[int, StoredEvent] = field(default_factory=dict)
    is_used: bool = False

    def mark(self, postbacks: Sequence[NewPostback]) -> None:
        """Mark the postbacks that may be claimed, of each lane its share of what may be in all."""
        free = [postback for postback in postbacks if postback.is_due_at_once]
        lanes = {postback.lane for postback in free}
        if not lanes:
            return
        taken = Counter(lease.lane for lease in self.leases)
        share = max(1, (self.limit - len(self.leases)) // len(lanes))
        left = self.limit - len(self.leases)
        rooms = {lane: min(share, self.room_of(lane) - taken[lane]) for lane in lanes}
        for postback in free:
            if left > 0 and rooms[postback.lane] > 0:
                postback.claimed = self.is_used = True
                rooms[postback.lane] -= 1
                left -= 1

    def add(self, leases: Iterable[Lease], events: Iterable[StoredEvent]) -> None:
        self.leases.extend(leases)
        self.events.update((event.id, event) for event in events)


def enqueue_postbacks(
    postbacks: Sequence[NewPostback],
    *,
    claim: EarlyClaim | None = None,
    events: Iterable[StoredEvent] = (),
) -> int:
    """Write postbacks and return how many were new: an event decided twice adds none.

    With a `claim`, what it may have is claimed for it, and added to it with the `events` that these
    postbacks are rendered from as soon as the transaction is committed.
    """
    if not postbacks:
        return 0
    if claim is not None:
        claim.mark(postbacks)
    parameters = {
        "rows": msgspec.json.encode(postbacks).decode(),
        "suspended": sorted({postback.rule_id for postback in postbacks if postback.held}),
        "classes": [queue_class.value for queue_class in QueueClass],
        "claim": claim.claim_id if claim else None,
        "lease": settings.LEASE_SECONDS,
    }
    rows = prepared.run(_ENQUEUE, parameters)
    if claim is not None:
        leases = _leases(postbacks, rows, claim.claim_id)
        transaction.on_commit(partial(claim.add, leases, events))
    return int(rows[0][0])


def _leases(
    postbacks: Sequence[NewPostback], rows: Sequence[tuple[Any, ...]], claim_id: uuid.UUID
) -> list[Lease]:
    """Return the leases of the postbacks that were claimed as they were written."""
    by_event_and_rule = {(postback.event_id, postback.rule_id): postback for postback in postbacks}
    leases = []
    for _, id_, public_id, event_id, rule_id, created_at, installed_at in rows:
        if id_ is None:
            continue  # nothing was claimed
        postback = by_event_and_rule[event_id, rule_id]
        claimed = ClaimedPostback(
            organization_id=postback.organization_id,
            id=id_,
            public_id=public_id,
            rule_id=rule_id,
            rule_version=postback.rule_version,
            event_id=event_id,
            event_received_at=postback.event_received_at,
            installed_at=installed_at,
            created_at=created_at,
            attempts_made=0,
            fingerprint="",
            install_id=postback.install_id,
            attribution_version=postback.attribution_version,
        )
        leases.append(Lease(claim_id, postback.host, AttemptKind.AUTO.value, 0, claimed))
    return leases


def already_notified(earned: Sequence[tuple[StoredEvent, int]]) -> set[int]:
    """Return the ids of the events that their partner was already notified of.

    Only rules that are scoped to the partner claim that. A pending postback counts as notified.
    """
    if not earned:
        return set()
    partners = {"partners": [partner_id for _, partner_id in earned]}
    parameters = {**_event_keys(event for event, _ in earned), **partners}
    return {event_id for (event_id,) in prepared.run(_NOTIFIED_EVENTS, parameters)}


def rules_already_applied(events: Sequence[StoredEvent]) -> dict[tuple[int, int], bool]:
    """Return event and rule of each existing postback; False where it was only skipped."""
    if not events:
        return {}
    rows = prepared.run(_APPLIED_RULES, _event_keys(events))
    return {(event_id, rule_id): is_sent for event_id, rule_id, is_sent in rows}


def _event_keys(events: Iterable[StoredEvent]) -> dict[str, object]:
    events = list(events)
    first, last = whole_days(event.received_at for event in events)
    return {
        "events": [event.id for event in events],
        "organizations": [event.organization_id for event in events],
        "uuids": [event.event_id for event in events],
        "moments": [event.received_at for event in events],
        "first": first,
        "last": last,
    }
