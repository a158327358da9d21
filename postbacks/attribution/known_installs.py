"""③ Which installs are known: by the device that an event names, else by any id that it shares."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from postbacks.infrastructure.database import prepared
from postbacks.models import InstallKind
from postbacks.values import identifiers
from postbacks.values.attribution import NOT_CREDITED, AttributionFacts
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import KnownInstall

DeviceKey = tuple[int, int, str]  # organization, app, device
IdentifierKey = tuple[int, int, UUID]  # organization, app, a lasting name's key

_facts = msgspec.json.Decoder(AttributionFacts)


@dataclass(slots=True)
class KnownInstalls:
    """The installs of the devices that a batch of events names."""

    by_device: dict[DeviceKey, list[KnownInstall]] = field(default_factory=dict)
    by_name: dict[IdentifierKey, KnownInstall] = field(default_factory=dict)

    def of(self, event: StoredEvent) -> KnownInstall | None:
        """Return the install that an event belongs to: the newest that had begun when it came."""
        found = self.by_device.get(event.key, ())
        for install in found:  # the newest first
            if install.event_ref <= event.id:
                return install
        if found:
            return found[-1]
        same = [self.by_name[key] for key in identifier_keys(event) if key in self.by_name]
        return max(same, key=lambda install: install.event_ref, default=None)

    def add(self, event: StoredEvent, install: KnownInstall) -> None:
        """Note an install that an event has begun."""
        self.by_device.setdefault(event.key, []).insert(0, install)
        for key in identifier_keys(event):
            self.by_name[key] = install

    def put(self, installs: Mapping[UUID, KnownInstall]) -> None:
        """Put installs in the place of those with their public ids."""
        for key, found in self.by_device.items():
            self.by_device[key] = [installs.get(it.public_id, it) for it in found]
        for name, install in self.by_name.items():
            self.by_name[name] = installs.get(install.public_id, install)

    def take_over(self, others: "KnownInstalls") -> None:
        """Take over what others know of devices that are unknown here."""
        self.by_device = {**others.by_device, **self.by_device}
        self.by_name = {**others.by_name, **self.by_name}


def load_known_installs(events: Sequence[StoredEvent]) -> KnownInstalls:
    """Return the installs of the events' devices."""
    keys = {event.key for event in events if event.device}
    known = KnownInstalls(by_device=_by_device(keys))
    unknown = [event for event in events if event.device and event.key not in known.by_device]
    known.by_name = _by_name({key for event in unknown for key in identifier_keys(event)})
    return known


def identifier_keys(event: StoredEvent) -> Iterator[IdentifierKey]:
    """Yield the keys of the names that last as long as the device, or its app, does."""
    for name in identifiers.identifiers_of(event.fields):
        yield event.organization_id, event.app.id, identifiers.key_of(event.app.id, name)


_INSTALLS = """
    i.id, i.device, i.number, i.kind, i.install_id, i.installed_at, i.last_open_at, i.event_ref,
    i.public_id, i.attribution_version, i.campaign_id, i.link_id, i.touchpoint, a.facts::text
"""

_CREDIT = f"""
LEFT JOIN attribution AS a ON a.organization_id = i.organization_id AND a.install_id = i.id
    AND a.version = i.attribution_version
    AND (i.attribution_type <> 'organic' OR i.kind <> '{InstallKind.INSTALL}')
"""

_BY_DEVICE = f"""
SELECT wanted.o, wanted.a, wanted.d, {_INSTALLS}
FROM jsonb_to_recordset(%(wanted)s::jsonb) AS wanted (o bigint, a bigint, d text)
CROSS JOIN LATERAL (
    SELECT * FROM install
    WHERE organization_id = wanted.o AND app_id = wanted.a AND device = wanted.d
    ORDER BY number DESC LIMIT 5
) AS i {_CREDIT}
ORDER BY i.number DESC
"""  # noqa: S608  # only our own words are put in

_BY_NAME = f"""
SELECT wanted.o, wanted.a, wanted.key, {_INSTALLS}
FROM unnest(%(organizations)s::bigint[], %(apps)s::bigint[], %(keys)s::uuid[])
    AS wanted (o, a, key)
CROSS JOIN LATERAL (
    SELECT install_id FROM install_key
    WHERE organization_id = wanted.o AND app_id = wanted.a AND key = wanted.key AND lasting
    ORDER BY install_id DESC LIMIT 1
) AS named
JOIN install AS i ON i.organization_id = wanted.o AND i.id = named.install_id {_CREDIT}
"""  # noqa: S608  # only our own words are put in


def _by_device(keys: Iterable[DeviceKey]) -> dict[DeviceKey, list[KnownInstall]]:
    wanted = [{"o": o, "a": a, "d": d} for o, a, d in keys]
    if not wanted:
        return {}
    found: dict[DeviceKey, list[KnownInstall]] = {}
    rows = prepared.run(_BY_DEVICE, {"wanted": msgspec.json.encode(wanted).decode()})
    for organization_id, app_id, device, *row in rows:
        found.setdefault((organization_id, app_id, device), []).append(known_install(row))
    return found


def _by_name(keys: set[IdentifierKey]) -> dict[IdentifierKey, KnownInstall]:
    if not keys:
        return {}
    organizations, apps, names = zip(*keys, strict=True)
    rows = prepared.run(
        _BY_NAME, {"organizations": list(organizations), "apps": list(apps), "keys": list(names)}
    )
    return {(row[0], row[1], row[2]): known_install(row[3:]) for row in rows}


def known_install(row: Sequence[Any]) -> KnownInstall:
    """Return an install from its columns, which come in the order of its fields."""
    values = dict(zip(KnownInstall.__slots__, row, strict=True))
    facts = values["facts"]
    return KnownInstall(**{**values, "facts": _facts.decode(facts) if facts else NOT_CREDITED})
