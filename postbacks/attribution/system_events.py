"""③ Announces what no SDK can tell, as events of our own that rules may be triggered by.

Each brings the credit that it speaks of, in its field `attribution`: that of the fraud for
`rejected_install`, of the winner for `reengagement`, of now for `attribution_updated`. Their ids
are made of what they tell, so that nothing is told twice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from postbacks.attribution.crediting import Credited, facts_of
from postbacks.attribution.evidence import Candidate, Credit
from postbacks.models.system_events import NewSystemEvent, add_system_events
from postbacks.values.attribution import AttributionFacts, known_facts
from postbacks.values.events import StoredEvent

REJECTED_INSTALL = "rejected_install"
REENGAGEMENT = "reengagement"
ATTRIBUTION_UPDATED = "attribution_updated"

_OURS = UUID("0d9f5f6e-6d0b-5a57-9f0e-3c1d8a1f7b42")


def emit_install_events(begun: Iterable[Credited], won_back: Iterable[Credited]) -> None:
    """Announce the frauds that would have earned new installs, and the people won back."""
    add_system_events([*_rejected(begun), *(_reengagement(it) for it in won_back)])


def emit_rejections(credited: Sequence[Credited]) -> None:
    """Announce the frauds that would have earned installs; each once, however often it is asked."""
    add_system_events(list(_rejected(credited)))


def attribution_updated(
    event: StoredEvent,
    install: UUID,
    version: int,
    *,
    now: AttributionFacts,
    before: AttributionFacts,
    at: datetime,
) -> NewSystemEvent:
    """Return the event that tells of an install's new credit and of the one before."""
    told = {
        "previous_ad_network": before.partner_name or before.type,
        "previous_campaign_name": before.campaign_name,
        "previous_tracker_id": before.tracker_id,
        "previous_tracker_name": before.tracker_name,
    }
    return _event(
        ATTRIBUTION_UPDATED, f"{install}:{version}", event, at, known_facts(now),
        {name: value for name, value in told.items() if value},
    )  # fmt: skip


def _rejected(credited: Iterable[Credited]) -> Iterator[NewSystemEvent]:
    for it in credited:
        for fraud in it.verdict.rejections:
            yield _rejection(it, fraud)


def _rejection(it: Credited, fraud: Candidate) -> NewSystemEvent:
    event, touch = it.opening.event, fraud.touch
    facts = facts_of(Credit(touch.kind, fraud.method, touch), it.found[touch.id])
    return _event(
        REJECTED_INSTALL, f"{it.opening.install.public_id}:{touch.id}", event, event.event_time,
        known_facts(facts), {"is_rejected": True, "reject_reason": fraud.reason},
    )  # fmt: skip


def _reengagement(it: Credited) -> NewSystemEvent:
    event = it.opening.event
    facts = facts_of(it.verdict.credit, it.winner)
    return _event(
        REENGAGEMENT, str(event.event_id), event, event.event_time, known_facts(facts), {}
    )


def _event(
    name: str,
    of: str,
    event: StoredEvent,
    at: datetime,
    facts: Mapping[str, object],
    told: Mapping[str, object],
) -> NewSystemEvent:
    """Return an event of ours with the device, and what its person allowed, of an SDK's event."""
    customer_user_id = event.fields.get("customer_user_id")
    fields = {key: value for key, value in event.fields.items() if key != "customer_user_id"}
    return NewSystemEvent(
        organization_id=event.organization_id,
        app_id=event.app.id,
        event_id=uuid5(_OURS, f"{event.app.public_id}:{name}:{of}"),
        event_name=name,
        event_time=at,
        platform=event.platform,
        bundle_id=event.bundle_id,
        device=event.device,
        customer_user_id=customer_user_id if isinstance(customer_user_id, str) else "",
        fields={**fields, **told, "attribution": facts},
    )
