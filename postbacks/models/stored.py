"""Loads events for the pipeline: one query for a batch, no model instances."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
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


class UndecodedEvent:
    """An event as it is stored; `event` decodes it."""

    __slots__ = ("_columns", "id")

    def __init__(self, **columns: Any) -> None:
        self.id: int = columns["id"]
        self._columns = columns

    @property
    def money_at(self) -> datetime | None:
        """Return the event's time, if it has a currency."""
        return self._columns["event_time"] if self._columns["currency"] else None

    def event(self) -> StoredEvent:
        return _stored_event(**self._columns)


def _stored_event(
    *,
    app_id: int,
    app_public_id: UUID,
    app_name: str,
    app_platform: str,
    app_store_id: str,
    app_store_share: Decimal,
    fields_json: str,
    params_json: str,
    customer_user_id: str,
    **columns: Any,
) -> StoredEvent:
    fields = _decoder.decode(fields_json)
    fields["customer_user_id"] = customer_user_id or None
    return StoredEvent(
        **columns,
        fields=fields,
        params=_decoder.decode(params_json),
        app=StoredApp(app_id, app_public_id, app_name, app_platform, app_store_id, app_store_share),
    )
