"""② Records touchpoints: each once, with the identifiers by which installs find it.

Nothing is answered before the commit, which concurrent requests share. A touchpoint that comes
after its install has that install reevaluated, as long as its credit is not final.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from apps_registry.tenancy import tenant
from postbacks.infrastructure import known_configuration
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.intake.group_commit import GroupCommit, run_for_organizations
from postbacks.models.heartbeats import Channel
from postbacks.privacy import tombstones
from postbacks.values import identifiers
from postbacks.values.touchpoints import TOO_MANY
from postbacks.values.uuid7 import uuid7

R = TypeVar("R")

_RECORD = load_sql("postbacks.intake.touchpoints", "record_touchpoints", Channel)

_MOST_TRIES: Final = 3

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
    version: int | None = None  # of the configuration by which it was made; None: of now


class ConfigurationChangedError(Exception):
    """Nothing was stored: a link, or what else a touchpoint was made by, may be another by now."""


_COLUMNS = tuple(name for name in NewTouchpoint.__slots__ if name not in {"once", "identifiers"})


@dataclass(frozen=True, slots=True)
class RecordedTouchpoint:
    """A recorded touchpoint: its id, or the id of the one that it repeats.

    If it is `blocked` nothing of it is stored: its device was forgotten.
    """

    id: UUID
    is_new: bool
    blocked: bool = False


def commit_touchpoints(touchpoints: Sequence[NewTouchpoint]) -> list[RecordedTouchpoint]:
    """Record touchpoints of one organization durably; return the results in their order.

    They are committed together with those of concurrent requests. Raises Django's database errors
    and ConfigurationChangedError, and then nothing was stored.
    """
    if not touchpoints:
        return []
    recorded = _commits.commit(touchpoints)
    if not recorded:
        known_configuration.read_again()
        raise ConfigurationChangedError
    return recorded


def retried(record: Callable[[int | None], R]) -> R:
    """Return what `record` makes by a version of the configuration, again if it changes meanwhile.

    None as a version stands for whatever is known, however often it changes.
    """
    for _ in range(_MOST_TRIES - 1):
        with suppress(ConfigurationChangedError):
            return record(known_configuration.known_version())
    return record(None)


def record_touchpoints(touchpoints: Sequence[NewTouchpoint]) -> list[RecordedTouchpoint]:
    """Record touchpoints in the current transaction, and return the results in their order.

    The role `web` may only write those of the current organization. Raises Django's database
    errors, and then nothing was stored.
    """
    recorded: dict[UUID, RecordedTouchpoint] = {}
    left = touchpoints
    while left:
        left = _take_over(left, prepared.run(_RECORD, {"rows": _rows(left)}), recorded)
    recorded |= _find_repeated([new for new in touchpoints if _has_lost_a_race(new, recorded)])
    return [recorded[new.public_id] for new in touchpoints]


def _commit(groups: Sequence[Sequence[NewTouchpoint]]) -> list[list[RecordedTouchpoint]]:
    """Commit the touchpoints of some requests, in one round trip; each of one organization.

    Those that go by another version of the configuration have no results.
    """
    left: dict[int, list[NewTouchpoint]] = {}
    for group in groups:
        left.setdefault(group[0].organization_id, []).extend(group)
    recorded: dict[UUID, RecordedTouchpoint] = {}
    while left:
        answers = run_for_organizations(
            _RECORD, {each: {"rows": _rows(own)} for each, own in left.items()}
        )
        left = {each: _take_over(left[each], rows, recorded) for each, rows in answers.items()}
        left = {each: own for each, own in left.items() if own}
    results: list[list[RecordedTouchpoint]] = []
    for group in groups:
        if any(new.public_id not in recorded for new in group):
            results.append([])
            continue
        if repeats := [new for new in group if _has_lost_a_race(new, recorded)]:
            with tenant(repeats[0].organization_id):
                recorded |= _find_repeated(repeats)
        results.append([recorded[new.public_id] for new in group])
    return results


_commits = GroupCommit(_commit)


def _take_over(
    touchpoints: Sequence[NewTouchpoint],
    rows: Sequence[tuple[Any, ...]],
    recorded: dict[UUID, RecordedTouchpoint],
) -> list[NewTouchpoint]:
    """Add what a statement recorded; return what it did not take without digests."""
    lacking = set()
    for public_id, recorded_id, is_new, is_blocked, lacks_digests, is_stale, _notified in rows:
        if is_stale:
            continue
        if lacks_digests:  # its organization's first device was forgotten meanwhile
            lacking.add(public_id)
        elif is_blocked:
            recorded[public_id] = RecordedTouchpoint(public_id, is_new=False, blocked=True)
        else:
            recorded[public_id] = RecordedTouchpoint(recorded_id, is_new)
    left = [new for new in touchpoints if new.public_id in lacking]
    for organization_id in {new.organization_id for new in left}:
        with tenant(organization_id):
            tombstones.find_key(organization_id)
    return left


def _has_lost_a_race(new: NewTouchpoint, recorded: Mapping[UUID, RecordedTouchpoint]) -> bool:
    """Tell whether another process recorded the same while our statement waited for it."""
    result = recorded[new.public_id]
    return not (result.is_new or result.blocked) and result.id == new.public_id


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


def _rows(touchpoints: Sequence[NewTouchpoint]) -> str:
    return msgspec.json.encode([_row(new) for new in touchpoints]).decode()


def _row(new: NewTouchpoint) -> dict[str, object]:
    own = identifiers.identifier(identifiers.TOUCH, str(new.public_id))
    every = sorted(new.identifiers | {own})
    row = {name: getattr(new, name) for name in _COLUMNS}
    row["names"] = every
    # A flood is found by what names this very click: by the device it would hide honest clicks.
    is_flood = new.refused == TOO_MANY
    keyed = [i for i in every if not is_flood or identifiers.kind_of(i) in identifiers.OF_ONE_CLICK]
    keys = {each: identifiers.key_text(new.app_id, each) for each in keyed}
    row["keys"] = list(keys.values())
    # Only a proof changes a credit later: an address would reopen everybody's behind a router.
    proofs = [
        spelling
        for identifier in keyed
        if identifiers.kind_of(identifier) != identifiers.ADDRESS
        for spelling in identifiers.spellings(identifier)
    ]
    row["proofs"] = [keys.get(each) or identifiers.key_text(new.app_id, each) for each in proofs]
    row["digest"] = str(_digest(new))
    key = tombstones.known_key(new.organization_id)
    row["has_key"] = key is not None
    row["digests"] = list(tombstones.digests(key, new.app_id, new.identifiers)) if key else []
    return row


def _digest(new: NewTouchpoint) -> UUID:
    owner = f"link:{new.link_id}" if new.link_id else f"{new.partner_id}:{new.campaign_id}"
    text = f"{new.app_id}:{owner}:{new.kind}:{new.once or new.public_id}"
    return UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest())
