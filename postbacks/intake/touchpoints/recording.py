"""② Records touchpoints: each once, with the identifiers by which installs find it.

Nothing is answered before the commit. A touchpoint that comes after its install has that install
reevaluated, as long as its credit is not final.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models.heartbeats import Channel
from postbacks.privacy import tombstones
from postbacks.values import identifiers
from postbacks.values.touchpoints import TOO_MANY
from postbacks.values.uuid7 import uuid7

_RECORD = load_sql("postbacks.intake.touchpoints", "record_touchpoints", Channel)

_FIND_REPEATED = """
SELECT seen.organization_id, seen.digest, seen.public_id FROM touchpoint_seen AS seen
JOIN unnest(%(organizations)s::bigint[], %(digests)s::uuid[]) AS repeat (organization_id, digest)
  ON seen.organization_id = repeat.organization_id AND seen.digest = repeat.digest
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTouchpoint:
    """A touchpoint to be recorded.

    `identifiers` are those of the device and the click; the touchpoint's own is added. `once`
    makes it equal to another of its link and kind: the network's click id, or the id that the
    network's server made for it. Without it each touchpoint is new.
    """

    organization_id: int
    app_id: int
    partner_id: int
    kind: str
    source: str
    occurred_at: datetime
    campaign_id: int | None = None
    link_id: int | None = None
    public_id: UUID = field(default_factory=lambda: uuid7(datetime.now(UTC)))
    identifiers: frozenset[str] = frozenset()
    once: str = ""
    click_id: str = ""
    site_id: str = ""
    ip_address: str = ""
    user_agent: str = ""
    os_name: str = ""
    os_version: str = ""
    device_model: str = ""
    language: str = ""
    country: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    signature: str = ""
    refused: str = ""
    sender: str = ""


_COLUMNS = tuple(name for name in NewTouchpoint.__slots__ if name not in {"once", "identifiers"})


@dataclass(frozen=True, slots=True)
class RecordedTouchpoint:
    """A recorded touchpoint: its id, or the id of the one that it repeats.

    If it is `blocked` nothing of it is stored: its device was forgotten.
    """

    id: UUID
    is_new: bool
    blocked: bool = False


def record_touchpoints(touchpoints: Sequence[NewTouchpoint]) -> list[RecordedTouchpoint]:
    """Record touchpoints in the current transaction, and return the results in their order.

    The role `web` may only write those of the current organization. Raises Django's database
    errors, and then nothing was stored.
    """
    if not touchpoints:
        return []
    allowed = _without_blocked(touchpoints)
    rows = msgspec.json.encode([_row(touchpoint) for touchpoint in allowed]).decode()
    recorded = {
        public_id: RecordedTouchpoint(recorded_id, is_new)
        for public_id, recorded_id, is_new, _ in (
            prepared.run(_RECORD, {"rows": rows}) if allowed else ()
        )
    }
    recorded |= _find_repeated([new for new in allowed if _has_lost_a_race(new, recorded)])
    return [
        recorded.get(new.public_id, RecordedTouchpoint(new.public_id, is_new=False, blocked=True))
        for new in touchpoints
    ]


def _has_lost_a_race(new: NewTouchpoint, recorded: Mapping[UUID, RecordedTouchpoint]) -> bool:
    """Tell whether another process recorded the same while our statement waited for it."""
    result = recorded[new.public_id]
    return not result.is_new and result.id == new.public_id


def _find_repeated(repeats: Sequence[NewTouchpoint]) -> dict[UUID, RecordedTouchpoint]:
    """Return the touchpoints that were recorded in place of repeats; a new statement sees them."""
    if not repeats:
        return {}
    keys = {
        "organizations": [repeat.organization_id for repeat in repeats],
        "digests": [str(_digest(repeat)) for repeat in repeats],
    }
    first_ids = {
        (organization_id, digest): public_id
        for organization_id, digest, public_id in prepared.run(_FIND_REPEATED, keys)
    }
    return {
        repeat.public_id: RecordedTouchpoint(
            first_ids.get((repeat.organization_id, _digest(repeat)), repeat.public_id), False
        )
        for repeat in repeats
    }


def _without_blocked(touchpoints: Sequence[NewTouchpoint]) -> Sequence[NewTouchpoint]:
    by_app: dict[tuple[int, int], set[str]] = {}
    for new in touchpoints:
        by_app.setdefault((new.organization_id, new.app_id), set()).update(new.identifiers)
    blocked = {
        app: tombstones.blocked_identifiers(*app, checked) for app, checked in by_app.items()
    }
    if not any(blocked.values()):
        return touchpoints
    return [
        new for new in touchpoints if not new.identifiers & blocked[new.organization_id, new.app_id]
    ]


def _row(new: NewTouchpoint) -> dict[str, object]:
    own = identifiers.identifier(identifiers.TOUCH, str(new.public_id))
    every = sorted(new.identifiers | {own})
    row = {name: getattr(new, name) for name in _COLUMNS}
    row["names"] = every
    # A flood is found by what names this very click: by the device it would hide honest clicks.
    is_flood = new.refused == TOO_MANY
    keyed = [i for i in every if not is_flood or identifiers.kind_of(i) in identifiers.OF_ONE_CLICK]
    row["keys"] = [str(identifiers.key_of(new.app_id, identifier)) for identifier in keyed]
    # Only a proof changes a credit later: an address would reopen everybody's behind a router.
    proofs = [
        spelling
        for identifier in keyed
        if identifiers.kind_of(identifier) != identifiers.ADDRESS
        for spelling in identifiers.spellings(identifier)
    ]
    row["proofs"] = [str(identifiers.key_of(new.app_id, proof)) for proof in proofs]
    row["digest"] = str(_digest(new))
    return row


def _digest(new: NewTouchpoint) -> UUID:
    owner = f"link:{new.link_id}" if new.link_id else f"{new.partner_id}:{new.campaign_id}"
    text = f"{new.app_id}:{owner}:{new.kind}:{new.once or new.public_id}"
    return UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest())
