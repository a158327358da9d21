"""③ Which installs are known: by the event's device, else by any lasting identifier it shares."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import InstallKind
from postbacks.values import identifiers
from postbacks.values.attribution import NOT_CREDITED, AttributionFacts
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import KnownInstall

DeviceKey = tuple[int, int, str]  # organization, app, device
IdentifierKey = tuple[int, int, UUID]  # organization, app, a lasting identifier's key

_FIND_BY_DEVICE = load_sql("postbacks.attribution", "find_installs_by_device", InstallKind)
_FIND_BY_IDENTIFIER = load_sql("postbacks.attribution", "find_installs_by_identifier", InstallKind)

_TEXTS = frozenset({str, type(None)})
_facts = msgspec.json.Decoder(AttributionFacts)


@dataclass(slots=True)
class KnownInstalls:
    """The installs of the devices that a batch of events names."""

    by_device: dict[DeviceKey, list[KnownInstall]] = field(default_factory=dict)
    by_identifier: dict[IdentifierKey, KnownInstall] = field(default_factory=dict)
    _keys: dict[object, tuple[IdentifierKey, ...]] = field(default_factory=dict)

    def of(self, event: StoredEvent) -> KnownInstall | None:
        """Return the install that an event belongs to: the newest that had begun when it came."""
        newest_first = self.by_device.get(event.key, ())
        for install in newest_first:
            if install.event_ref <= event.id:
                return install
        if newest_first:
            return newest_first[-1]
        if not self.by_identifier:
            return None
        identified = [
            self.by_identifier[key] for key in self.keys_of(event) if key in self.by_identifier
        ]
        return max(identified, key=lambda install: install.event_ref, default=None)

    def keys_of(self, event: StoredEvent) -> tuple[IdentifierKey, ...]:
        """Return an event's `identifier_keys`, which a device's events of a batch have in common.

        They are made once for all of these: hashing takes most of the time of an unknown device.
        """
        ids = tuple(map(event.fields.get, identifiers.LASTING_IDS))
        owner: object = (event.organization_id, event.app.id, ids)
        if identifiers.AS_WRITTEN in event.fields or not _TEXTS.issuperset(map(type, ids)):
            owner = id(event)
        keys = self._keys.get(owner)
        if keys is None:
            keys = self._keys[owner] = tuple(identifier_keys(event))
        return keys

    def add(self, event: StoredEvent, install: KnownInstall) -> None:
        """Add the install that an event has begun."""
        self.by_device.setdefault(event.key, []).insert(0, install)
        for key in self.keys_of(event):
            self.by_identifier[key] = install

    def replace(self, installs: Mapping[UUID, KnownInstall]) -> None:
        """Replace installs by those with the same public id."""
        for device, installs_of_device in self.by_device.items():
            self.by_device[device] = [installs.get(i.public_id, i) for i in installs_of_device]
        for key, install in self.by_identifier.items():
            self.by_identifier[key] = installs.get(install.public_id, install)

    def add_missing(self, others: "KnownInstalls") -> None:
        """Add what `others` know of devices and identifiers that are unknown here."""
        self.by_device = {**others.by_device, **self.by_device}
        self.by_identifier = {**others.by_identifier, **self.by_identifier}


def load_known_installs(events: Sequence[StoredEvent]) -> KnownInstalls:
    """Return the installs of the events' devices."""
    devices = {
        event.key: identifiers.device_spellings(event.device, event.fields)
        for event in events
        if event.device
    }
    known_installs = KnownInstalls(by_device=_find_by_device(devices))
    unknown = [
        event for event in events if event.device and event.key not in known_installs.by_device
    ]
    keys = set().union(*{id(keys): keys for keys in map(known_installs.keys_of, unknown)}.values())
    known_installs.by_identifier = _find_by_identifier(keys)
    return known_installs


def identifier_keys(event: StoredEvent) -> Iterator[IdentifierKey]:
    """Yield the keys of the identifiers that last as long as the device, or its app, does."""
    for identifier in identifiers.identifiers_of(event.fields):
        for spelling in identifiers.spellings(identifier):
            yield event.organization_id, event.app.id, identifiers.key_of(event.app.id, spelling)
    for written in identifiers.written_identifiers(event.fields):
        yield event.organization_id, event.app.id, identifiers.key_of(event.app.id, written)


def known_install(*, facts: str | None, **columns: Any) -> KnownInstall:
    """Return an install from its columns; without facts it is credited to nobody."""
    return KnownInstall(**columns, facts=_facts.decode(facts) if facts else NOT_CREDITED)


def _find_by_device(
    devices: Mapping[DeviceKey, Sequence[str]],
) -> dict[DeviceKey, list[KnownInstall]]:
    searched = [
        {
            "organization_id": organization_id,
            "app_id": app_id,
            "device": device,
            "spellings": spellings,
        }
        for (organization_id, app_id, device), spellings in devices.items()
    ]
    if not searched:
        return {}
    by_device: dict[DeviceKey, list[KnownInstall]] = {}
    parameters = {"devices": msgspec.json.encode(searched).decode()}
    for key, install in prepared.fetch(_with_device_key, _FIND_BY_DEVICE, parameters):
        by_device.setdefault(key, []).append(install)
    return by_device


def _find_by_identifier(searched: set[IdentifierKey]) -> dict[IdentifierKey, KnownInstall]:
    if not searched:
        return {}
    organizations, apps, keys = map(list, zip(*searched, strict=True))
    parameters = {"organizations": organizations, "apps": apps, "keys": keys}
    return dict(prepared.fetch(_with_identifier_key, _FIND_BY_IDENTIFIER, parameters))


def _with_device_key(
    *, organization_id: int, app_id: int, searched_device: str, **columns: Any
) -> tuple[DeviceKey, KnownInstall]:
    return (organization_id, app_id, searched_device), known_install(**columns)


def _with_identifier_key(
    *, organization_id: int, app_id: int, key: UUID, **columns: Any
) -> tuple[IdentifierKey, KnownInstall]:
    return (organization_id, app_id, key), known_install(**columns)
