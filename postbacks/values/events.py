"""An event as the stages read it: plain data with its app, no model instance."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Self
from uuid import UUID

# The SDK's life-cycle events.
INSTALL: Final = "install"
OPEN: Final = "open"
LIFE_CYCLE: Final = frozenset({INSTALL, OPEN})

ANY_EVENT: Final = "*"  # the trigger that every event fires
SYSTEM: Final = "system"  # the source of events that Postbacks itself emits


@dataclass(slots=True)  # not frozen: one is made for each event
class StoredApp:
    """The app of an event, as far as macros read it."""

    id: int
    public_id: UUID
    name: str
    platform: str
    store_id: str
    store_share: Decimal

    @classmethod
    def unknown(cls) -> Self:
        """Return a stand-in for a preview that is for all apps."""
        return cls(0, UUID(int=0), "", "", "", Decimal("0.3"))


@dataclass(slots=True)  # not frozen, likewise
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
        """Return a checked event as it would be loaded once stored; for previews."""
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
        return bool(self.currency)

    @property
    def key(self) -> tuple[int, int, str]:
        """Return the key of the event's device: organization, app and device."""
        return self.organization_id, self.app.id, self.device
