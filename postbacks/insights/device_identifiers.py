"""⑨ Remembers the ids that devices have had, for searches by an id or by a digest of it.

An install knows the ids that its first event had. What a later event brings, and what a network
hashed otherwise than we expect, is found here. A device's ids are written once: each process
remembers those of the devices that it has just seen.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet

from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import run
from postbacks.models import DeviceDigest, DeviceIdentifier, Event
from postbacks.models.events import ERASED
from postbacks.privacy.tombstones import CUSTOMER, id_identifier
from postbacks.values import identifiers
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import KnownInstall
from postbacks.values.placeholders import is_placeholder

MOST_DEVICES: Final = 20
_MOST_REMEMBERED: Final = 20_000  # devices
_REMEMBERED_SECONDS: Final = 1_800.0
_KINDS: Final = (*identifiers.ADVERTISING_IDS, *identifiers.VENDOR_IDS, CUSTOMER)
_KEPT_LONGER: Final = 8  # days, for `seen_on` may be a week old

_ADD = load_sql("postbacks.insights", "add_device_identifiers")
_DELETE_OLD = """
WITH old AS (
    DELETE FROM device_identifier WHERE id = ANY(ARRAY(
        SELECT id FROM device_identifier
        WHERE seen_on < current_date - %(days)s ORDER BY seen_on LIMIT %(limit)s
    )) AND seen_on < current_date - %(days)s
    RETURNING organization_id, id, digests
), digests AS (
    DELETE FROM device_digest USING old CROSS JOIN LATERAL unnest(digests) AS gone
    WHERE device_digest.organization_id = old.organization_id
      AND device_digest.digest = gone AND device_digest.identifier_ref = old.id
)
SELECT FROM old
"""

_Device = tuple[object, ...]


class _Remembered:
    """The devices whose ids this process has written or found written, for an hour at most."""

    def __init__(self) -> None:
        self._recent: set[_Device] = set()
        self._older: set[_Device] = set()
        self._turned_at = time.monotonic()

    def __contains__(self, device: _Device) -> bool:
        return device in self._recent or device in self._older

    def add(self, devices: Sequence[_Device]) -> None:
        now = time.monotonic()
        is_full = len(self._recent) + len(devices) > _MOST_REMEMBERED
        if is_full or now - self._turned_at > _REMEMBERED_SECONDS:
            self._older, self._recent, self._turned_at = self._recent, set(), now
        self._recent.update(devices)

    def clear(self) -> None:
        self._recent, self._older = set(), set()


remembered = _Remembered()


def record_identifiers(events: Sequence[StoredEvent], installs: Mapping[int, KnownInstall]) -> None:
    """Write the ids of the events' devices that are not known yet.

    It is the last of what a batch writes: who waits here for another worker holds nothing up that
    this one still needs.
    """
    fresh: dict[_Device, StoredEvent] = {}
    for event in events:
        if not event.device or event.device.startswith(ERASED):
            continue
        install = installs.get(event.id)
        ids = tuple(map(event.fields.get, _KINDS))
        device = (event.organization_id, event.app.id, event.device, install and install.id, ids)
        if any(ids) and device not in remembered and device not in fresh:
            fresh[device] = event
    if not fresh:
        return
    rows = {
        (row.organization_id, row.app_id, row.key, row.device): row
        for device, event in fresh.items()
        for row in _rows(event, device[3] or None)
    }
    if rows:
        text = msgspec.json.encode([msgspec.structs.asdict(row) for row in rows.values()])
        prepared.run(_ADD, {"rows": text.decode()})
    transaction.on_commit(lambda: remembered.add(list(fresh)))


class _IdentifierRow(msgspec.Struct):
    organization_id: int
    app_id: int
    kind: str
    key: UUID
    device: str
    install_ref: object
    digests: list[int]


def _rows(event: StoredEvent, install_id: object) -> list[_IdentifierRow]:
    rows = []
    for kind, value in _ids_of(event.fields):
        key = identifiers.key_of(event.app.id, id_identifier(kind, value))
        digests = identifiers.search_digests(kind, value)
        rows.append(
            _IdentifierRow(
                event.organization_id,
                event.app.id,
                identifiers.shared_kind(kind),
                key,
                event.device,
                install_id,
                digests,
            )
        )
    return rows


def _ids_of(fields: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return a device's ids by kind, each that may be of one device."""
    ids: dict[tuple[str, str], tuple[str, str]] = {}
    for kind in _KINDS:
        value = fields.get(kind)
        if not isinstance(value, str) or not value or is_placeholder(value):
            continue
        if not identifiers.is_malformed(kind, value):
            ids.setdefault((identifiers.shared_kind(kind), value.lower()), (kind, value))
    return list(ids.values())


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device that has had the id that was searched: by `matched`, a kind of id or of digest."""

    app_id: int
    device: str
    install_id: int | None
    matched: str


def find_devices(text: str) -> list[FoundDevice]:
    """Return the devices of the organization that have had an id, newest first.

    `text` is the id in any spelling, or its MD5, SHA-1 or SHA-256.
    """
    numbers = identifiers.searched_numbers(text)
    digests = DeviceDigest.objects.filter(digest__in=numbers)[: MOST_DEVICES * 2]
    algorithms = {row.identifier_ref: numbers[row.digest] for row in digests}
    rows = DeviceIdentifier.objects.filter(pk__in=algorithms).order_by("-seen_on", "-pk")
    return [
        FoundDevice(row.app_id, row.device, row.install_ref, algorithms[row.pk] or row.kind)
        for row in rows[:MOST_DEVICES]
    ]


def ids_behind(text: str, devices: Sequence[FoundDevice]) -> list[str]:
    """Return the ids whose digest a text is, as an event of a device that had them says."""
    numbers = identifiers.searched_numbers(text).keys()
    for device in devices[:3]:
        events = Event.objects.filter(app_id=device.app_id, device=device.device)
        for event in newest_of_devices(events, MOST_DEVICES):
            fields = {**event.fields, CUSTOMER: event.customer_user_id}
            ids = [
                value
                for kind, value in _ids_of(fields)
                if not numbers.isdisjoint(identifiers.search_digests(kind, value))
            ]
            if ids:
                return ids
    return []


def newest_of_devices(events: "QuerySet[Event]", most: int) -> "QuerySet[Event]":
    """Return the newest of some devices' events, which an index finds by the device.

    In the order of the log's own key PostgreSQL would read the log backward until it has enough,
    and all of it for a device with fewer events.
    """
    return events.order_by((F("received_at") + timedelta(0)).desc(), "-pk")[:most]


def delete_old_identifiers(limit: int = 5_000) -> int:
    """Delete a batch of ids whose events were all dropped, with their digests; return how many."""
    if not settings.RETENTION_DAYS_EVENTS:
        return 0
    days = settings.RETENTION_DAYS_EVENTS + _KEPT_LONGER
    return run(_DELETE_OLD, {"days": days, "limit": limit})
