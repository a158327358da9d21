"""③ Recognizes installs: the first open of an app on a device that was not known before."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from postbacks import statements
from postbacks.attribution.evidence import Credit, InstallEvidence, SettingsLadder
from postbacks.attribution.waterfall import attribute
from postbacks.models.stored import StoredEvent

LIFE_CYCLE = frozenset({"install", "open"})

DeviceKey = tuple[int, int, str]  # organization, app, device


@dataclass(frozen=True, slots=True)
class KnownInstall:
    """A device's install of an app: since when, by which of our events, and thanks to whom."""

    installed_at: datetime
    event_ref: int
    credit: Credit
    version: int = 1


def recognize_installs(events: Sequence[StoredEvent]) -> Mapping[int, KnownInstall]:
    """Record the installs among the events and return each event's install, by the event's id.

    An event of a device that never opened the app has none. Two workers may see the same device
    at once: the unique key lets one of them win, and both then read who it was.
    """
    firsts: dict[DeviceKey, StoredEvent] = {}
    for event in events:
        if event.device and event.event_name in LIFE_CYCLE:
            firsts.setdefault(event.key, event)
    _record(firsts.values())
    known = _load({event.key for event in events if event.device})
    return {event.id: known[event.key] for event in events if event.key in known}


def foresee_installs(
    events: Sequence[StoredEvent], seen: dict[DeviceKey, KnownInstall]
) -> Mapping[int, KnownInstall]:
    """Return each event's install as `recognize_installs` would, and record none.

    `seen` keeps from one batch to the next what would have been recorded.
    """
    known = _load({event.key for event in events if event.device})
    for event in events:
        if event.device and event.event_name in LIFE_CYCLE and event.key not in known:
            credit = _credit(event)
            seen.setdefault(event.key, KnownInstall(event.event_time, event.id, credit))
    known = {**seen, **known}
    return {event.id: known[event.key] for event in events if event.key in known}


_RECORD = """
INSERT INTO install (
    organization_id, app_id, device, install_id, installed_at, event_ref, event_received_at,
    attribution_type, attribution_version
)
SELECT organization_id, app_id, device, install_id, installed_at, event_ref, event_received_at,
       attribution_type, attribution_version
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
    organization_id bigint, app_id bigint, device text, install_id text, installed_at timestamptz,
    event_ref bigint, event_received_at timestamptz, attribution_type text,
    attribution_version integer
)
ORDER BY organization_id, app_id, device  -- the same for all workers, so that none waits in a ring
ON CONFLICT DO NOTHING
"""

_LOAD = """
SELECT organization_id, app_id, device, installed_at, event_ref, attribution_type,
       attribution_version
FROM install
JOIN jsonb_to_recordset(%(wanted)s::jsonb) AS wanted (o bigint, a bigint, d text)
  ON organization_id = o AND app_id = a AND device = d
"""


def _record(firsts: Iterable[StoredEvent]) -> None:
    rows = [_row(event) for event in firsts]
    if rows:
        statements.run(_RECORD, {"rows": msgspec.json.encode(rows).decode()})


def _row(event: StoredEvent) -> dict[str, object]:
    credit = _credit(event)
    return {
        "organization_id": event.organization_id,
        "app_id": event.app.id,
        "device": event.device,
        "install_id": event.fields.get("install_id", ""),
        "installed_at": event.event_time,
        "event_ref": event.id,
        "event_received_at": event.received_at,
        "attribution_type": credit.type,
        "attribution_version": 1,
    }


def _credit(event: StoredEvent) -> Credit:
    evidence = InstallEvidence(installed_at=event.event_time, device=event.device)
    return attribute(evidence, (), SettingsLadder()).credit


def _load(keys: set[DeviceKey]) -> dict[DeviceKey, KnownInstall]:
    if not keys:
        return {}
    wanted = [{"o": o, "a": a, "d": d} for o, a, d in keys]
    rows = statements.run(_LOAD, {"wanted": msgspec.json.encode(wanted).decode()})
    return {
        (organization_id, app_id, device): KnownInstall(
            installed_at, event_ref, Credit(type=type_), version
        )
        for organization_id, app_id, device, installed_at, event_ref, type_, version in rows
    }
