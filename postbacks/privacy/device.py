"""Finds every row of one device of an app, starting from any of its ids.

A device has many ids: its SDK's, its platform's, a server's. Each row may name more of them, and
the search goes on until none is new. An id that many installs share, such as an emulator's, is not
the device's own: it is not followed, unless the request names it.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Self
from urllib.parse import quote

import msgspec
from msgspec import field

from postbacks.infrastructure.database.statements import rows
from postbacks.models import ErasureReach
from postbacks.models.events import ERASED
from postbacks.privacy import tombstones
from postbacks.privacy.tombstones import CUSTOMER, ID_KINDS
from postbacks.values import identifiers
from postbacks.values.placeholders import is_placeholder

_SHORTEST_IN_TEXT = 6
MOST_INSTALLS = 20  # of one device; an id that more share is not followed
Id = tuple[str, str]  # kind and value, as the SDK API has them

_IN_FIELDS = tuple(kind for kind in ID_KINDS if kind != CUSTOMER)
_ID_COLUMNS = ", ".join([f"fields ->> '{kind}'" for kind in _IN_FIELDS] + ["customer_user_id"])
_CLICK_ID = "fields ->> 'click_id'"


class DeviceRows(msgspec.Struct):
    """The ids of a device, its keys in our logs, and its touchpoints and clicks.

    `named` are the ids of the request; `shared_ids` are those that too many installs share. The
    names of these fields are stored with unfinished requests.
    """

    organization_id: int
    app_id: int
    reach: str
    named: set[Id]
    ids: set[Id] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)
    touches: set[str] = field(default_factory=set)
    clicks: set[str] = field(default_factory=set)
    shared_ids: set[Id] = field(default_factory=set, name="crowded")
    settled: bool = False  # emptied once; a last pass follows

    @classmethod
    def named_by(cls, organization_id: int, app_id: int, reach: str, ids: Iterable[Id]) -> Self:
        """Return a device known only by the ids of a request."""
        return cls(organization_id, app_id, reach, set(ids))

    def packed(self) -> str:
        """Return all fields as text, to be sealed; `unpacked` reads it."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def unpacked(cls, text: str) -> Self:
        return msgspec.json.decode(text, type=cls)

    @property
    def own_ids(self) -> set[Id]:
        """Return the ids that lead to this device's data only."""
        if self.reach == ErasureReach.INSTALL:
            return self.named
        own = self.ids - self.shared_ids
        return self.named | {(kind, value) for kind, value in own if kind != CUSTOMER}

    def keys(self) -> list[str]:
        """Return the keys by which its touchpoints are found."""
        ids = self.named | (self.ids - self.shared_ids)
        every = {identifier for id_ in ids for identifier in _identifiers(*id_)}
        every |= {identifiers.identifier(identifiers.CLICK_ID, click) for click in self.clicks}
        every |= {identifiers.identifier(identifiers.TOUCH, touch) for touch in self.touches}
        return self.keys_of(every)

    def keys_of(self, of: Iterable[str]) -> list[str]:
        """Return the database's keys of identifiers."""
        return [str(identifiers.key_of(self.app_id, identifier)) for identifier in of]

    def texts(self) -> list[str]:
        """Return what texts may have of its ids, in small letters: spelled, encoded, hashed.

        Short ids are left out: they stand in any text by chance.
        """
        spelled = {form for id_ in self.own_ids for form in _spellings(*id_)}
        spelled = {form for form in spelled if len(form) >= _SHORTEST_IN_TEXT}
        hashed = {
            hashlib.new(name, form.encode(), usedforsecurity=False).hexdigest()
            for form in spelled
            for name in ("md5", "sha1", "sha256")
        }
        encoded = {quote(form, safe="") for form in spelled} | {
            json.dumps(form, ensure_ascii=is_ascii)[1:-1]
            for form in spelled
            for is_ascii in (True, False)
        }
        return sorted({form.lower() for form in spelled | hashed | encoded})

    @property
    def app_parameters(self) -> dict[str, object]:
        """Return the parameters of every statement."""
        return {"organization": self.organization_id, "app": self.app_id}


def find_by_index(device: DeviceRows) -> None:
    """Add what indexes lead to, until nothing is new."""
    searched: set[str] = set()
    while True:
        device.devices |= {key for id_ in device.own_ids for key in _device_keys(*id_)}
        _add_installs(device)
        fresh = device.devices - searched
        if not fresh:
            return
        searched |= fresh
        _add_events(device, "device = ANY(%(devices)s)", {"devices": sorted(fresh)})
        _find_shared_ids(device)


def find_in_day(device: DeviceRows, day: date) -> bool:
    """Add a day's events that no index leads to; tell whether they name new ids."""
    before = len(device.own_ids), len(device.devices)
    conditions, values = _carrying(device.own_ids)
    condition = f"received_at >= %(day)s AND received_at < %(day)s::date + 1 AND ({conditions})"
    device.devices |= _add_events(device, condition, {**values, "day": day}) - {""}
    _find_shared_ids(device)
    return (len(device.own_ids), len(device.devices)) != before


def _carrying(ids: Iterable[Id]) -> tuple[str, dict[str, object]]:
    """Return the condition that an event has one of some ids, and its parameters."""
    by_kind: dict[str, set[str]] = {}
    for kind, value in ids:
        is_advertising = kind in identifiers.ADVERTISING_IDS
        for alike in identifiers.ADVERTISING_IDS if is_advertising else (kind,):
            by_kind.setdefault(alike, set()).update(_spellings(kind, value))
    conditions = [f"{_column(kind)} = ANY(%(v_{kind})s)" for kind in by_kind]
    values: dict[str, object] = {f"v_{kind}": sorted(texts) for kind, texts in by_kind.items()}
    return " OR ".join(conditions), values


def _column(kind: str) -> str:
    if kind == CUSTOMER:
        return CUSTOMER
    return f"fields ->> '{kind}'" if kind in identifiers.OWN_IDS else f"lower(fields ->> '{kind}')"


def _add_events(device: DeviceRows, condition: str, values: Mapping[str, object]) -> set[str]:
    """Add the ids of the events that meet a condition; return their device keys."""
    events = rows(
        f"SELECT DISTINCT device, {_CLICK_ID}, {_ID_COLUMNS} FROM event "  # noqa: S608  # our own words
        f"WHERE organization_id = %(organization)s AND app_id = %(app)s "
        f"AND device NOT LIKE '{ERASED}%%' AND {condition}",
        {**device.app_parameters, **values},
    )
    device_keys: set[str] = set()
    for device_key, click_id, *ids in events:
        device_keys.add(device_key)
        device.ids |= {
            (kind, value)
            for kind, value in zip((*_IN_FIELDS, CUSTOMER), ids, strict=True)
            if value and _can_be_one_device(kind, value)
        }
        if click_id and not is_placeholder(click_id):
            device.clicks.add(click_id)
    return device_keys


def _can_be_one_device(kind: str, value: str) -> bool:
    """Tell whether an id may be of one device: a value that all devices send leads to all."""
    return not (is_placeholder(value) or identifiers.is_malformed(kind, value))


def _add_installs(device: DeviceRows) -> None:
    """Add the installs that its identifiers lead to, and their touchpoints."""
    keys = device.keys_of(identifier for id_ in device.own_ids for identifier in _identifiers(*id_))
    parameters = {**device.app_parameters, "devices": sorted(device.devices), "keys": keys}
    for device_key, install_id, *touchpoints in rows(_FIND_INSTALLS, parameters):
        device.devices.add(device_key)
        device.touches |= {str(touchpoint) for touchpoint in touchpoints if touchpoint}
        if install_id:
            device.ids.add(("install_id", install_id))


_FIND_INSTALLS = f"""
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


def _find_shared_ids(device: DeviceRows) -> None:
    """Add the ids that too many installs share to be this device's own."""
    by_key = {
        identifiers.key_of(device.app_id, identifier): id_
        for id_ in device.ids - device.named - device.shared_ids
        for identifier in _identifiers(*id_)
    }
    shared_keys = rows(
        "SELECT key FROM install_key WHERE organization_id = %(organization)s "
        "AND app_id = %(app)s AND key = ANY(%(keys)s) "
        "GROUP BY key HAVING count(DISTINCT install_id) > %(most)s",
        {**device.app_parameters, "keys": list(by_key), "most": MOST_INSTALLS},
    )
    device.shared_ids |= {by_key[key] for (key,) in shared_keys}


def _identifiers(kind: str, value: str) -> Iterator[str]:
    """Yield every identifier that touchpoints and installs may have of an id."""
    yield tombstones.id_identifier(kind, value)
    yield from identifiers.identifiers_of({kind: value})
    yield from identifiers.hashed_identifiers({kind: value})
    yield from identifiers.former_identifiers({kind: value})


def _device_keys(kind: str, value: str) -> set[str]:
    """Return every `device` that events may have whose best id is this one."""
    # The kind itself too: until 0.1 an OAID had a kind of its own here.
    return {
        f"{either_kind}:{spelling}"
        for either_kind in (identifiers.shared_kind(kind), kind)
        for spelling in _spellings(kind, value)
    }


def _spellings(kind: str, value: str) -> set[str]:
    """Return the spellings in which fields may have an id: as named, as now, as in older rows."""
    text = value.strip()
    key = identifiers.device_key(kind, value)
    devices = {*identifiers.device_spellings(key), *identifiers.spellings(key)}
    spellings = {value, text, *(device.partition(":")[2] for device in devices)}
    if kind in {*identifiers.OWN_IDS, CUSTOMER}:
        return spellings
    return {form for each in spellings for form in (each, each.lower(), each.upper())}
