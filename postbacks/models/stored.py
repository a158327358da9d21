"""An event as the hot path reads it: one query for a batch, no model instances."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from apps_registry.models import App
from postbacks.infrastructure.database import prepared
from postbacks.models.days import whole_days
from postbacks.values.events import StoredApp, StoredEvent

# Numbers in JSON keep all their digits; psycopg's own loader would make floats of them.
_decoder = msgspec.json.Decoder(float_hook=Decimal)

_COLUMNS = (
    "organization_id", "id", "received_at", "event_id", "event_name", "event_time", "source",
    "platform", "bundle_id", "device", "revenue", "currency", "customer_user_id",
    "fields", "params",
    "app_id", "app_public_id", "app_name", "app_platform", "app_store_id", "app_store_share",
)  # fmt: skip

_LOAD = """
SELECT e.organization_id, e.id, e.received_at, e.event_id, e.event_name, e.event_time, e.source,
       e.platform, e.bundle_id, e.device, e.revenue, e.currency, e.customer_user_id,
       e.fields::text, e.params::text,
       a.id, a.public_id, a.name, a.platform, a.store_id, a.store_share
FROM unnest(%(ids)s::bigint[], %(moments)s::timestamptz[]) AS wanted (id, received_at)
CROSS JOIN LATERAL (  -- one by one: each is found by its key, whatever the statistics say
    SELECT * FROM event
    WHERE id = wanted.id AND received_at = wanted.received_at
      AND received_at BETWEEN %(first)s AND %(last)s
    LIMIT 1
) AS e
JOIN app AS a ON a.organization_id = e.organization_id AND a.id = e.app_id
"""


def stored_app(app: App) -> StoredApp:
    """Return an app of the registry as its events carry it."""
    return StoredApp(app.pk, app.public_id, app.name, app.platform, app.store_id, app.store_share)


def load_events(keys: Iterable[tuple[int, datetime]]) -> list[StoredEvent]:
    """Return events by (id, received_at), in the order of their ids.

    The times bound the partitions that are looked at: without them, each of them is opened.
    """
    pairs = list(keys)
    if not pairs:
        return []
    ids, moments = zip(*pairs, strict=True)
    first, last = whole_days(moments)
    rows = prepared.run(
        _LOAD, {"ids": list(ids), "moments": list(moments), "first": first, "last": last}
    )
    return sorted((_event(row) for row in rows), key=lambda event: event.id)


def _event(row: Sequence[Any]) -> StoredEvent:
    values = dict(zip(_COLUMNS, row, strict=True))
    fields = {
        **_decoder.decode(values.pop("fields")),
        "customer_user_id": values.pop("customer_user_id") or None,
    }
    app = StoredApp(**{name: values.pop(f"app_{name}") for name in StoredApp.__slots__})
    params = _decoder.decode(values.pop("params"))
    return StoredEvent(**values, fields=fields, params=params, app=app)
