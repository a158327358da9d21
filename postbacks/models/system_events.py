"""Events that Postbacks itself emits, so that rules can be triggered by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models.events import EventSource
from postbacks.models.heartbeats import Channel

# The same facts have the same id, so that nothing counts twice.
_ADD = load_sql("postbacks.models", "add_system_events", Channel, EventSource)

_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSystemEvent:
    """An event to emit. `event_id` is derived from its content, with `uuid.uuid5`."""

    organization_id: int
    app_id: int
    event_id: UUID
    event_name: str
    event_time: datetime
    platform: str = ""
    bundle_id: str = ""
    device: str = ""
    customer_user_id: str = ""
    revenue: Decimal | None = None
    currency: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    params: Mapping[str, object] = field(default_factory=dict)


def add_system_events(events: Sequence[NewSystemEvent]) -> int:
    """Store and queue events in the current transaction; return how many were new."""
    if not events:
        return 0
    ((added, _notified),) = prepared.run(_ADD, {"events": _encoder.encode(events).decode()})
    return int(added)
