"""An event as the hot path reads it: one query for a batch, no model instances."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

import msgspec

from apps_registry.models import App
from postbacks.infrastructure.database import prepared
from postbacks.models.days import whole_days

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


@dataclass(frozen=True, slots=True)
class StoredApp:
    """The app of an event, as far as macros speak of it."""

    id: int
    public_id: UUID
    name: str
    platform: str
    store_id: str
    store_share: Decimal

    @classmethod
    def of(cls, app: App) -> Self:
        """Return an app of the registry in this form."""
        return cls(app.pk, app.public_id, app.name, app.platform, app.store_id, app.store_share)

    @classmethod
    def unknown(cls) -> Self:
        """Return what stands for the app in a preview for all apps."""
        return cls(0, UUID(int=0), "", "", "", Decimal("0.3"))


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event row with its app. `id` is ours, `event_id` the SDK's."""

    organization_id: int
    id: int
    received_at: datetime
    event_id: UUID
    event_name: str
    event_time: datetime
    source: str
    platform: str
    bundle_id: str
    device: str
    revenue: Decimal | None
    currency: str
    fields: Mapping[str, object]
    params: Mapping[str, object]
    app: StoredApp

    @classmethod
    def from_checked(cls, row: Mapping[str, Any], *, app: StoredApp, received_at: datetime) -> Self:
        """Return a checked event as it would be read once stored; for previews."""
        return cls(
            organization_id=0,
            id=0,
            received_at=received_at,
            event_id=UUID(row["event_id"]),
            event_name=row["event_name"],
            event_time=datetime.fromisoformat(row["event_time"]),
            source="sdk",
            platform=row["platform"],
            bundle_id=row["bundle_id"],
            device=row["device"],
            revenue=row["revenue"],
            currency=row["currency"],
            fields={**row["fields"], "customer_user_id": row["customer_user_id"] or None},
            params=row["params"],
            app=app,
        )

    @property
    def has_money(self) -> bool:
        """Tell whether the event speaks of money, which may have to be converted."""
        return bool(self.currency)

    @property
    def key(self) -> tuple[int, int, str]:
        """Return what identifies the event's device: organization, app and device."""
        return self.organization_id, self.app.id, self.device


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
