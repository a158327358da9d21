"""③ Reads the evidence of an install from the event that opens it, and marks test devices'.

The fraud checks leave the installs of test devices alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from postbacks.attribution import fraud
from postbacks.attribution.evidence import InstallEvidence
from postbacks.infrastructure.database import prepared
from postbacks.privacy.device_marks import mark_keys
from postbacks.values import play_referrer
from postbacks.values.anonymous_networks import is_anonymous
from postbacks.values.events import StoredEvent
from postbacks.values.identifiers import (
    ADVERTISING_IDS,
    CLICK_ID,
    address_identifier,
    former_identifiers,
    hashed_identifiers,
    identifiers_of,
    is_malformed,
)
from postbacks.values.timestamps import parse_timestamp

_GOOGLE_CLICKS = ("gclid", "gbraid", "wbraid")
_LOAD_TEST_DEVICES = """
SELECT organization_id, key, created_at, ends_at FROM test_device
WHERE organization_id = ANY(%(organizations)s::bigint[]) AND key = ANY(%(keys)s::uuid[])
"""


def read_install(
    event: StoredEvent, *, is_return: bool = False, was_downloaded: bool = True
) -> InstallEvidence:
    """Return the evidence of an install, a reinstall, or an open after a long time.

    The Play referrer describes the last download: it is no evidence where the app stayed on the
    device and is only opened again (`was_downloaded=False`). Nothing that an SDK sends raises.
    """
    fields = event.fields
    store = fields if was_downloaded else {}
    referrer = play_referrer.parse(store.get("install_referrer"))
    referrer_identifiers = frozenset(play_referrer.click_identifiers(referrer))
    server_begin = parse_timestamp(store.get("install_begin_time_server"))
    address = _text(fields, "ip_address")
    return InstallEvidence(
        installed_at=event.event_time,
        device=event.device,
        platform=event.platform or event.app.platform,
        identifiers=frozenset(_identifiers(fields)) | referrer_identifiers,
        referrer=referrer,
        referrer_identifiers=referrer_identifiers,
        install_begin_at=server_begin or parse_timestamp(store.get("install_begin_time")),
        has_server_begin_time=server_begin is not None,
        referrer_click_at=parse_timestamp(store.get("referrer_click_time_server"))
        or parse_timestamp(store.get("referrer_click_time")),
        os_name=_text(fields, "os_name"),
        os_version=_text(fields, "os_version"),
        device_model=_text(fields, "device_model"),
        language=_text(fields, "locale") or _text(fields, "language"),
        user_agent=_text(fields, "user_agent"),
        is_return=is_return,
        is_anonymous=is_anonymous(address),
        adservices_token=_text(fields, "adservices_token"),
        remarks=tuple(_remarks(fields)),
        former_identifiers=frozenset(former_identifiers(fields)),
    )


def _identifiers(fields: Mapping[str, object]) -> Iterator[str]:
    yield from identifiers_of(fields)
    yield from hashed_identifiers(fields)
    if address := address_identifier(_text(fields, "ip_address")):
        yield address
    for kind in (CLICK_ID, *_GOOGLE_CLICKS):
        yield from play_referrer.network_click(_text(fields, kind))
    yield from play_referrer.own_click(_text(fields, CLICK_ID))


def _remarks(fields: Mapping[str, object]) -> Iterator[str]:
    if any(is_malformed(kind, _text(fields, kind)) for kind in ADVERTISING_IDS):
        yield fraud.MALFORMED_ADVERTISING_ID


def _text(fields: Mapping[str, object], field: str) -> str:
    value = fields.get(field)
    return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class _MarkedDevice:
    """A key of a test device, and how long its mark holds."""

    organization_id: int
    key: UUID
    created_at: datetime
    ends_at: datetime


def mark_evidences(
    events: Sequence[StoredEvent],
    evidences: Sequence[InstallEvidence],
    organizations: set[int],
) -> list[InstallEvidence]:
    """Return the evidence of each event, marked where a test device sent it.

    `organizations` are those that have test devices; without any the database is not asked. An
    event counts by when it came: that it is judged again after the mark's end changes nothing.
    """
    keys = {
        event.id: mark_keys(event.fields)
        for event in events
        if event.organization_id in organizations
    }
    if not any(keys.values()):
        return list(evidences)
    searched = sorted({str(key) for of_event in keys.values() for key in of_event})
    parameters = {"organizations": sorted(organizations), "keys": searched}
    devices = {
        (device.organization_id, device.key): device
        for device in prepared.fetch(_MarkedDevice, _LOAD_TEST_DEVICES, parameters)
    }
    return [
        replace(evidence, is_test_device=True)
        if _is_marked(event, keys.get(event.id, set()), devices)
        else evidence
        for event, evidence in zip(events, evidences, strict=True)
    ]


def _is_marked(
    event: StoredEvent, keys: set[UUID], devices: Mapping[tuple[int, UUID], _MarkedDevice]
) -> bool:
    marked = (devices.get((event.organization_id, key)) for key in keys)
    return any(d and d.created_at <= event.received_at < d.ends_at for d in marked)
