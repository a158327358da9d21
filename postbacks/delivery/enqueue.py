"""⑥ Writes postbacks and queues those that are to be sent; finds those that exist already."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from postbacks.delivery.outcome import Outcome
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import AttemptKind, HeldReason, PostbackStatus, RuleStatus
from postbacks.models.days import whole_days
from postbacks.values.events import StoredEvent
from postbacks.values.rule_choices import AttributionScope

_ENQUEUE = load_sql(
    "postbacks.delivery", "enqueue_postbacks", AttemptKind, HeldReason, PostbackStatus, RuleStatus
)
_NOTIFIED_EVENTS = load_sql(
    "postbacks.delivery", "find_notified_events", AttributionScope, Outcome, PostbackStatus
)
_APPLIED_RULES = load_sql("postbacks.delivery", "find_applied_rules", PostbackStatus)


@dataclass(frozen=True, slots=True)
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
    installed_at: datetime | None
    delay_seconds: int
    host: str
    reason: str
    paced: bool = False  # the rule limits how fast it sends
    held: bool = False


def enqueue_postbacks(postbacks: Sequence[NewPostback]) -> int:
    """Write postbacks and return how many were new: an event decided twice adds none."""
    if not postbacks:
        return 0
    parameters = {
        "rows": msgspec.json.encode(postbacks).decode(),
        "suspended": sorted({postback.rule_id for postback in postbacks if postback.held}),
    }
    ((added,),) = prepared.run(_ENQUEUE, parameters)
    return int(added)


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
