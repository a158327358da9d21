"""② Records touchpoints: each once, with the names by which installs find it.

Nothing is answered before the commit. A touchpoint that comes after its install has that install
looked at again, as long as its credit is not final.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from postbacks.infrastructure.database import prepared
from postbacks.privacy import tombstones
from postbacks.values import identifiers
from postbacks.values.uuid7 import uuid7

_RECORD = """
WITH input AS MATERIALIZED (
    SELECT row.*, date_trunc('milliseconds', now()) AS received_at
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
        public_id uuid, organization_id bigint, app_id bigint, partner_id bigint,
        campaign_id bigint, link_id bigint, kind text, source text, occurred_at timestamptz,
        click_id text, site_id text, ip_address text, user_agent text, os_name text,
        os_version text, device_model text, language text, country text, names jsonb,
        params jsonb, signature text, refused text, digest uuid, keys uuid[], proofs uuid[]
    )
), fresh AS (
    -- In one order for all, so that two that report the same never wait for each other in a ring.
    INSERT INTO touchpoint_seen AS seen (organization_id, digest, public_id, received_at)
    SELECT DISTINCT ON (organization_id, digest) organization_id, digest, public_id, received_at
    FROM input ORDER BY organization_id, digest
    ON CONFLICT (organization_id, digest) DO UPDATE
        SET received_at = excluded.received_at, public_id = excluded.public_id
        WHERE seen.received_at < now() - interval '7 days'
    RETURNING organization_id, digest, public_id
), stored AS (
    INSERT INTO touchpoint (
        organization_id, public_id, app_id, partner_id, campaign_id, link_id, kind, source,
        occurred_at, received_at, click_id, site_id, ip_address, user_agent, os_name, os_version,
        device_model, language, country, names, params, signature, refused
    )
    SELECT organization_id, public_id, app_id, partner_id, campaign_id, link_id, kind, source,
           occurred_at, received_at, click_id, site_id, ip_address, user_agent, os_name,
           os_version, device_model, language, country, names, params, signature, refused
    FROM input JOIN fresh USING (organization_id, digest, public_id)
    RETURNING id, public_id
), keyed AS (
    INSERT INTO touchpoint_key
        (organization_id, app_id, key, kind, occurred_at, received_at, touchpoint_id)
    SELECT organization_id, app_id, key, kind, occurred_at, received_at, stored.id
    FROM stored JOIN input USING (public_id) CROSS JOIN LATERAL unnest(keys) AS key
    ON CONFLICT DO NOTHING
), late AS (
    SELECT install_id FROM unsettled_install
    WHERE install_id IN (
        SELECT install_key.install_id
        FROM stored JOIN input USING (public_id) CROSS JOIN LATERAL unnest(input.proofs) AS key
        JOIN install_key ON install_key.organization_id = input.organization_id
            AND install_key.app_id = input.app_id AND install_key.key = key.key
    )
    ORDER BY install_id FOR UPDATE
), reopened AS (
    UPDATE unsettled_install SET due_at = now() FROM late
    WHERE unsettled_install.install_id = late.install_id
    RETURNING 1
)
SELECT input.public_id, coalesce(fresh.public_id, seen.public_id, input.public_id),
       stored.id IS NOT NULL, (SELECT pg_notify('postbacks_work', '') FROM reopened LIMIT 1)
FROM input
LEFT JOIN fresh USING (organization_id, digest)
LEFT JOIN touchpoint_seen AS seen USING (organization_id, digest)
LEFT JOIN stored ON stored.public_id = input.public_id
"""

_FIRST = """
SELECT seen.organization_id, seen.digest, seen.public_id FROM touchpoint_seen AS seen
JOIN unnest(%(organizations)s::bigint[], %(digests)s::uuid[]) AS wanted (o, d)
  ON seen.organization_id = wanted.o AND seen.digest = wanted.d
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTouchpoint:
    """A touchpoint to be recorded.

    `names` are those of `recognition`, without the touchpoint's own, which is added. `once` is what
    makes it the same as another of its link and kind: the network's click id, or the id that the
    network's server made for it; without it each is its own.
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
    names: frozenset[str] = frozenset()
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


@dataclass(frozen=True, slots=True)
class RecordedTouchpoint:
    """What became of a touchpoint: its id, or the id of the one that it repeats.

    Of one that is `forgotten` nothing is kept, as its device was.
    """

    id: UUID
    is_new: bool
    forgotten: bool = False


def record_touchpoints(touchpoints: Sequence[NewTouchpoint]) -> list[RecordedTouchpoint]:
    """Record touchpoints in the current transaction, and return what became of each, in order.

    Of one whose device was forgotten nothing is kept. All that web may write are those of the
    current organization. Raises Django's database errors, and then nothing was stored.
    """
    if not touchpoints:
        return []
    kept = _without_forgotten(touchpoints)
    rows = msgspec.json.encode([_row(touchpoint) for touchpoint in kept]).decode()
    found = {
        public_id: RecordedTouchpoint(known, is_new)
        for public_id, known, is_new, _ in (prepared.run(_RECORD, {"rows": rows}) if kept else ())
    }
    found |= _first_of([it for it in kept if _has_lost_a_race(found[it.public_id], it)])
    return [
        found.get(
            touchpoint.public_id,
            RecordedTouchpoint(touchpoint.public_id, is_new=False, forgotten=True),
        )
        for touchpoint in touchpoints
    ]


def _has_lost_a_race(recorded: RecordedTouchpoint, it: NewTouchpoint) -> bool:
    """Tell whether the same was recorded by others while our statement waited for them."""
    return not recorded.is_new and recorded.id == it.public_id


def _first_of(repeats: Sequence[NewTouchpoint]) -> dict[UUID, RecordedTouchpoint]:
    """Return what was recorded in place of repeats; a new statement sees it."""
    if not repeats:
        return {}
    wanted = {
        "organizations": [it.organization_id for it in repeats],
        "digests": [str(_digest(it)) for it in repeats],
    }
    known = {(o, digest): id_ for o, digest, id_ in prepared.run(_FIRST, wanted)}
    return {
        it.public_id: RecordedTouchpoint(
            known.get((it.organization_id, _digest(it)), it.public_id), False
        )
        for it in repeats
    }


def _without_forgotten(touchpoints: Sequence[NewTouchpoint]) -> Sequence[NewTouchpoint]:
    by_app: dict[tuple[int, int], set[str]] = {}
    for one in touchpoints:
        by_app.setdefault((one.organization_id, one.app_id), set()).update(one.names)
    gone = {key: tombstones.blocked_identifiers(*key, names) for key, names in by_app.items()}
    if not any(gone.values()):
        return touchpoints
    return [one for one in touchpoints if not one.names & gone[one.organization_id, one.app_id]]


def _row(it: NewTouchpoint) -> dict[str, object]:
    names = sorted(it.names | {identifiers.identifier(identifiers.TOUCH, str(it.public_id))})
    row = {name: getattr(it, name) for name in NewTouchpoint.__slots__ if name != "once"}
    row["names"] = names
    row["keys"] = [str(identifiers.key_of(it.app_id, name)) for name in names]
    # Only a proof changes a credit later: an address would reopen everybody's behind a router.
    proofs = [name for name in names if identifiers.kind_of(name) != identifiers.ADDRESS]
    row["proofs"] = [str(identifiers.key_of(it.app_id, name)) for name in proofs]
    row["digest"] = str(_digest(it))
    return row


def _digest(it: NewTouchpoint) -> UUID:
    owner = f"link:{it.link_id}" if it.link_id else f"{it.partner_id}:{it.campaign_id}"
    text = f"{it.app_id}:{owner}:{it.kind}:{it.once or it.public_id}"
    return UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest())
