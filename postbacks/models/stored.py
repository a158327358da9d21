"""Loads events for the pipeline: one query for a batch, no model instances."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from apps_registry.models import App
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models.days import whole_days
from postbacks.values.events import StoredApp, StoredEvent

# Numbers in JSON keep all their digits; psycopg's own loader would make floats of them.
_decoder = msgspec.json.Decoder(float_hook=Decimal)

_LOAD = load_sql("postbacks.models", "load_events")


def stored_app(app: App) -> StoredApp:
    """Return an app of the registry as its events carry it."""
    return StoredApp(app.pk, app.public_id, app.name, app.platform, app.store_id, app.store_share)


def load_events(keys: Iterable[tuple[int, datetime]]) -> list[StoredEvent]:
    """Return events by (id, received_at), in the order of their ids.

    The times bound the partitions that are read: without them, each of them is opened.
    """
    return [row.event() for row in load_undecoded_events(keys)]


def load_undecoded_events(keys: Iterable[tuple[int, datetime]]) -> list["UndecodedEvent"]:
    """Return events as `load_events` does, each still to be decoded, which takes memory."""
    pairs = list(keys)
    if not pairs:
        return []
    ids, received = zip(*pairs, strict=True)
    first, last = whole_days(received)
    parameters = {
        "ids": prepared.array_of(ids),
        "received": prepared.array_of(received),
        "first": first,
        "last": last,
    }
    rows = prepared.fetch(UndecodedEvent, _LOAD, parameters)
    return sorted(rows, key=lambda row: row.id)


@dataclass(slots=True)  # not frozen: one is made for each event
class UndecodedEvent:
    """An event as it is stored, in the order of the statement's columns; `event` decodes it."""

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
    customer_user_id: str
    fields_json: str
    params_json: str
    app_id: int
    app_public_id: UUID
    app_name: str
    app_platform: str
    app_store_id: str
    app_store_share: Decimal

    @property
    def money_at(self) -> datetime | None:
        """Return the event's time, if it has a currency."""
        return self.event_time if self.currency else None

    def event(self) -> StoredEvent:
        fields = _decoder.decode(self.fields_json)
        fields["customer_user_id"] = self.customer_user_id or None
        return StoredEvent(
            self.organization_id,
            self.id,
            self.received_at,
            self.event_id,
            self.event_name,
            self.event_time,
            self.source,
            self.platform,
            self.bundle_id,
            self.device,
            self.revenue,
            self.currency,
            fields,
            _decoder.decode(self.params_json),
            StoredApp(
                self.app_id,
                self.app_public_id,
                self.app_name,
                self.app_platform,
                self.app_store_id,
                self.app_store_share,
            ),
        )
