"""Finds everything that belongs to one device of an app, starting from any of its ids.

A device has many names: what its SDK made, what its platform gives, what a server calls it. Each
row that is found may name more of them, until nothing new is found. An id that many installs share
is no device's own, such as those of emulators: it is not followed, unless somebody named it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Self

import msgspec

from postbacks.models import ErasureReach
from postbacks.models.events import ERASED
from postbacks.privacy import tombstones
from postbacks.privacy.statements import rows
from postbacks.privacy.tombstones import CUSTOMER, ID_KINDS
from postbacks.values import identifiers

MOST_INSTALLS = 20  # of one device; an id that more share is not followed
Id = tuple[str, str]  # kind and value, as the SDK API has them

_IN_FIELDS = tuple(kind for kind in ID_KINDS if kind != CUSTOMER)
_IDS = ", ".join([f"fields ->> '{kind}'" for kind in _IN_FIELDS] + ["customer_user_id"])
_CLICK_ID = "fields ->> 'click_id'"


@dataclass(slots=True)
class DeviceRows:
    """What is known of a device: its ids, its names in our logs, and the touchpoints it used.

    `named` are the ids that somebody asked for; `crowded` those that are nobody's own.
    """

    organization_id: int
    app_id: int
    reach: str
    named: set[Id]
    ids: set[Id] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)
    touches: set[str] = field(default_factory=set)
    clicks: set[str] = field(default_factory=set)
    crowded: set[Id] = field(default_factory=set)
    settled: bool = False  # it was emptied once, and is looked at once more

    @classmethod
    def named_by(cls, organization_id: int, app_id: int, reach: str, ids: Iterable[Id]) -> Self:
        """Return a device of which nothing is known but what somebody calls it."""
        return cls(organization_id, app_id, reach, set(ids))

    def packed(self) -> str:
        """Return all of it as text, to be sealed."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def unpacked(cls, text: str) -> Self:
        """Return what `packed` made a text of."""
        return msgspec.json.decode(text, type=cls)

    @property
    def own_ids(self) -> set[Id]:
        """Return the ids that lead to nobody else's data."""
        if self.reach == ErasureReach.INSTALL:
            return self.named
        return self.named | {one for one in self.ids - self.crowded if one[0] != CUSTOMER}

    def keys(self) -> list[str]:
        """Return the keys by which its touchpoints are found."""
        every = self.named | (self.ids - self.crowded)
        names = {name for kind, value in every for name in _names(kind, value)}
        names |= {identifiers.identifier(identifiers.CLICK_ID, one) for one in self.clicks}
        names |= {identifiers.identifier(identifiers.TOUCH, one) for one in self.touches}
        return self.keys_of(names)

    def keys_of(self, names: Iterable[str]) -> list[str]:
        """Return names as the database keeps them."""
        return [str(identifiers.key_of(self.app_id, name)) for name in names]

    @property
    def place(self) -> dict[str, object]:
        """Return what every statement asks for."""
        return {"organization": self.organization_id, "app": self.app_id}


def look_up(device: DeviceRows) -> None:
    """Add what indexes lead to, until nothing new is found."""
    looked_at: set[str] = set()
    while True:
        device.devices |= {one for kind, value in device.own_ids for one in _devices(kind, value)}
        _add_installs(device)
        fresh = device.devices - looked_at
        if not fresh:
            return
        looked_at |= fresh
        _add_events(device, "device = ANY(%(devices)s)", {"devices": sorted(fresh)})
        _find_crowded(device)


def look_through(device: DeviceRows, day: date) -> bool:
    """Add what a day's events say of the device that no index knows; tell if they name new ids."""
    before = len(device.own_ids), len(device.devices)
    conditions, values = _carrying(device.own_ids)
    condition = f"received_at >= %(day)s AND received_at < %(day)s::date + 1 AND ({conditions})"
    found = _add_events(device, condition, {**values, "day": day})
    device.devices |= {one for one in found if one}
    _find_crowded(device)
    return (len(device.own_ids), len(device.devices)) != before


def _carrying(ids: Iterable[Id]) -> tuple[str, dict[str, object]]:
    """Return the condition that an event carries one of some ids, and its values."""
    by_kind: dict[str, set[str]] = {}
    for kind, value in ids:
        alike = identifiers.ADVERTISING_IDS if kind in identifiers.ADVERTISING_IDS else (kind,)
        for one in alike:
            by_kind.setdefault(one, set()).update({value.strip(), value.strip().lower()})
    conditions = [f"{_column(kind)} = ANY(%(v_{kind})s)" for kind in by_kind]
    values: dict[str, object] = {f"v_{kind}": sorted(those) for kind, those in by_kind.items()}
    return " OR ".join(conditions), values


def _column(kind: str) -> str:
    if kind == CUSTOMER:
        return CUSTOMER
    return f"fields ->> '{kind}'" if kind in identifiers.OWN_IDS else f"lower(fields ->> '{kind}')"


def _add_events(device: DeviceRows, condition: str, values: Mapping[str, object]) -> set[str]:
    """Add the ids in the events that a condition finds; return what our log calls their devices."""
    found = rows(
        f"SELECT DISTINCT device, {_CLICK_ID}, {_IDS} FROM event "  # noqa: S608  # our own words
        f"WHERE organization_id = %(organization)s AND app_id = %(app)s "
        f"AND device NOT LIKE '{ERASED}%%' AND {condition}",
        {**device.place, **values},
    )
    for _name, click_id, *ids in found:
        device.ids |= {
            (kind, value)
            for kind, value in zip((*_IN_FIELDS, CUSTOMER), ids, strict=True)
            if value and _is_somebodys(kind, value)
        }
        if click_id and not identifiers.is_placeholder(click_id):
            device.clicks.add(click_id)
    return {row[0] for row in found}


def _is_somebodys(kind: str, value: str) -> bool:
    """Tell whether an id can be one device's: what everybody sends would lead to everybody."""
    is_one = not identifiers.is_placeholder(value)
    return is_one and not identifiers.is_malformed(kind, value)


def _add_installs(device: DeviceRows) -> None:
    """Add the installs that its names lead to, and the touchpoints that these used."""
    keys = device.keys_of(name for one in device.own_ids for name in _names(*one))
    found = rows(_INSTALLS, {**device.place, "devices": sorted(device.devices), "keys": keys})
    for name, install_id, touch, credited in found:
        device.devices.add(name)
        device.touches |= {str(one) for one in (touch, credited) if one}
        if install_id:
            device.ids.add(("install_id", install_id))


_INSTALLS = f"""
SELECT DISTINCT install.device, install.install_id, install.touchpoint, attribution.touchpoint
FROM install LEFT JOIN attribution
    ON attribution.organization_id = install.organization_id
    AND attribution.install_id = install.id
WHERE install.organization_id = %(organization)s AND install.app_id = %(app)s
  AND install.device NOT LIKE '{ERASED}%%'
  AND (install.device = ANY(%(devices)s) OR install.id IN (
      SELECT install_id FROM install_key
      WHERE organization_id = %(organization)s AND app_id = %(app)s AND key = ANY(%(keys)s::uuid[])
  ))
"""  # noqa: S608  # our own word


def _find_crowded(device: DeviceRows) -> None:
    """Note the ids that too many installs share to be this device's own."""
    by_key = {
        identifiers.key_of(device.app_id, name): one
        for one in device.ids - device.named - device.crowded
        for name in _names(*one)
    }
    found = rows(
        "SELECT key FROM install_key WHERE organization_id = %(organization)s "
        "AND app_id = %(app)s AND key = ANY(%(keys)s) "
        "GROUP BY key HAVING count(DISTINCT install_id) > %(most)s",
        {**device.place, "keys": list(by_key), "most": MOST_INSTALLS},
    )
    device.crowded |= {by_key[key] for (key,) in found}


def _names(kind: str, value: str) -> Iterator[str]:
    """Return the names under which touchpoints and installs may know an id."""
    yield tombstones.id_name(kind, value)
    yield from identifiers.identifiers_of({kind: value})
    yield from identifiers.hashed_identifiers({kind: value})


def _devices(kind: str, value: str) -> set[str]:
    """Return what our logs may call a device of which this is the best id."""
    # The kind itself too: until 0.1 an OAID had a kind of its own here.
    return {
        f"{named}:{spelling}"
        for named in (identifiers.shared_kind(kind), kind)
        for spelling in _cases(kind, value)
    }


def _cases(kind: str, value: str) -> set[str]:
    """Return the spellings of an id that mean the same."""
    if kind in {*identifiers.OWN_IDS, CUSTOMER}:
        return {value, value.strip()}
    return {value, value.strip(), value.strip().lower(), value.strip().upper()}
