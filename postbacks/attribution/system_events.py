"""③ Emits events that no SDK can send, so that rules may be triggered by them.

Each holds the credit that it reports in its field `attribution`: the fraud's for
`rejected_install`, the winner's for `reengagement`, the new one for `attribution_updated`. Ids are
derived from the report, so that nothing is emitted twice.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from uuid import UUID, uuid5

from postbacks.attribution.credited import CreditedOpening, attribution_facts
from postbacks.attribution.evidence import Candidate, Credit
from postbacks.models.system_events import NewSystemEvent, add_system_events
from postbacks.values.attribution import AttributionFacts, known_facts
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import KnownInstall

REJECTED_INSTALL = "rejected_install"
REENGAGEMENT = "reengagement"
ATTRIBUTION_UPDATED = "attribution_updated"

_NAMESPACE = UUID("0d9f5f6e-6d0b-5a57-9f0e-3c1d8a1f7b42")


def emit_install_events(
    begun: Iterable[CreditedOpening], reengaged: Iterable[CreditedOpening]
) -> None:
    """Emit the frauds that would have earned new installs, and the reengagements."""
    add_system_events([*_rejections(begun), *(_reengagement(credited) for credited in reengaged)])


def emit_rejections(openings: Iterable[CreditedOpening]) -> None:
    """Emit the frauds that would have earned installs; each once, however often it is called."""
    add_system_events(list(_rejections(openings)))


def attribution_updated(
    event: StoredEvent,
    install: KnownInstall,
    *,
    before: AttributionFacts,
    at: datetime,
) -> NewSystemEvent:
    """Return the event that reports an install's new credit and the one before."""
    previous = {
        "previous_ad_network": before.partner_name or before.type,
        "previous_campaign_name": before.campaign_name,
        "previous_tracker_id": before.tracker_id,
        "previous_tracker_name": before.tracker_name,
    }
    return _system_event(
        ATTRIBUTION_UPDATED,
        event,
        reported=f"{install.public_id}:{install.version}",
        at=at,
        attribution=install.facts,
        fields={name: value for name, value in previous.items() if value},
    )


def _rejections(openings: Iterable[CreditedOpening]) -> Iterator[NewSystemEvent]:
    for credited in openings:
        for fraud in credited.verdict.rejections:
            yield _rejection(credited, fraud)


def _rejection(credited: CreditedOpening, fraud: Candidate) -> NewSystemEvent:
    event, touchpoint = credited.opening.event, fraud.touchpoint
    credit = Credit(touchpoint.kind, fraud.method, touchpoint)
    return _system_event(
        REJECTED_INSTALL,
        event,
        reported=f"{credited.opening.install.public_id}:{touchpoint.id}",
        at=event.event_time,
        attribution=attribution_facts(credit, credited.details[touchpoint.id]),
        fields={"is_rejected": True, "reject_reason": fraud.reason, **_figure(fraud)},
    )


def _figure(fraud: Candidate) -> dict[str, str]:
    """Return the figure behind a rejection, as partners write it: 1.4s."""
    if fraud.missed is None:
        return {}
    measured, _ = fraud.missed.texts()
    return {"reject_value": measured.replace(" ", "")}


def _reengagement(credited: CreditedOpening) -> NewSystemEvent:
    event = credited.opening.event
    return _system_event(
        REENGAGEMENT,
        event,
        reported=str(event.event_id),
        at=event.event_time,
        attribution=attribution_facts(credited.verdict.credit, credited.winner),
        fields={},
    )


def _system_event(
    name: str,
    event: StoredEvent,
    *,
    reported: str,
    at: datetime,
    attribution: AttributionFacts,
    fields: Mapping[str, object],
) -> NewSystemEvent:
    """Return an event with the device and the consent of an SDK's event."""
    customer_user_id = event.fields.get("customer_user_id")
    copied = {key: value for key, value in event.fields.items() if key != "customer_user_id"}
    return NewSystemEvent(
        organization_id=event.organization_id,
        app_id=event.app.id,
        event_id=uuid5(_NAMESPACE, f"{event.app.public_id}:{name}:{reported}"),
        event_name=name,
        event_time=at,
        platform=event.platform,
        bundle_id=event.bundle_id,
        device=event.device,
        customer_user_id=customer_user_id if isinstance(customer_user_id, str) else "",
        fields={**copied, **fields, "attribution": known_facts(attribution)},
    )
