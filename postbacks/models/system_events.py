"""Events that we ourselves report, so that rules can be triggered by what we find out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from postbacks.infrastructure.database import prepared

# As intake stores an SDK's events; the same facts make the same id, so that nothing counts twice.
_ADD = """
WITH input AS MATERIALIZED (
    SELECT nextval('event_key_id_seq') AS id, row.*
    FROM jsonb_to_recordset(%(events)s::jsonb) AS row (
        organization_id bigint, app_id bigint, event_id uuid, event_name text,
        event_time timestamptz, platform text, bundle_id text, device text,
        customer_user_id text, revenue numeric, currency text, fields jsonb, params jsonb
    )
), fresh AS (
    INSERT INTO event_key (id, organization_id, app_id, event_id, received_at)
    SELECT id, organization_id, app_id, event_id, date_trunc('milliseconds', now())
    FROM input ORDER BY organization_id, app_id, event_id
    ON CONFLICT DO NOTHING
    RETURNING id, received_at
), stored AS (
    INSERT INTO event (
        id, organization_id, app_id, event_id, event_name, event_time, received_at, source,
        platform, bundle_id, device, customer_user_id, revenue, currency, fields, params
    )
    SELECT id, organization_id, app_id, event_id, event_name, event_time, received_at, 'system',
           platform, bundle_id, device, customer_user_id, revenue, currency, fields, params
    FROM fresh JOIN input USING (id)
), queued AS (
    INSERT INTO undecided_event (id, organization_id, received_at)
    SELECT id, organization_id, received_at FROM fresh JOIN input USING (id)
)
SELECT (SELECT count(*) FROM fresh), pg_notify('postbacks_work', '')
"""

_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSystemEvent:
    """An event of ours. `event_id` is made of what it tells of, with `uuid.uuid5`."""

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
    """Store events in the current transaction, to be decided; return how many were new."""
    if not events:
        return 0
    ((added, _notified),) = prepared.run(_ADD, {"events": _encoder.encode(events).decode()})
    return int(added)
