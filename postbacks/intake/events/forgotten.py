"""Refuses what forgotten devices send: each such event by itself, the others are taken."""

from collections.abc import Mapping, Sequence

from apps_registry.tenancy import tenant
from postbacks.intake.events.faults import FieldError
from postbacks.intake.events.validation import CheckedEvent, Reporter
from postbacks.privacy import tombstones

REFUSED = "The device with this ID was forgotten on request; nothing is kept of it any more."


def refuse_forgotten(events: Sequence[CheckedEvent], reporter: Reporter) -> None:
    """Add a fault to each event that names a forgotten device, at the id by which it does."""
    names = {name for event in events if not event.faults for name in _ids(event).values()}
    if not names:
        return
    with tenant(reporter.organization_id):
        gone = tombstones.blocked_identifiers(reporter.organization_id, reporter.app_id, names)
    if not gone:
        return
    for event in events:
        if not event.faults:
            event.faults += [
                FieldError(f"/{kind}", REFUSED)
                for kind, name in _ids(event).items()
                if name in gone
            ]


def _ids(event: CheckedEvent) -> dict[str, str]:
    """Return the names of an event's ids by their fields."""
    fields = event.row.get("fields")
    ids = dict(fields) if isinstance(fields, Mapping) else {}
    ids[tombstones.CUSTOMER] = event.row.get("customer_user_id") or None
    return tombstones.names_by_kind(ids)
