"""③ Writes installs down: row, first credit, names, and a place among those looked at again."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from postbacks.attribution.crediting import Credited
from postbacks.infrastructure.database import prepared
from postbacks.values import identifiers
from postbacks.values.attribution import AttributionFacts, known_facts
from postbacks.values.events import StoredEvent

SOON = timedelta(seconds=60)  # until claims of networks are there
PROVISIONAL = timedelta(hours=24)  # after which a credit is final

# What lasts as long as the device or its app does, and finds the device when it comes back.
_LASTING = frozenset({"advertising", *identifiers.VENDOR_IDS, *identifiers.OWN_IDS})
_PRIVACY = (
    "limit_ad_tracking", "att_status", "gdpr_applies", "tcf_string", "eea", "ad_user_data",
    "ad_personalization", "us_privacy", "sharing_opt_out",
)  # fmt: skip

_CREDIT = ("partner_id", "campaign_id", "link_id", "touchpoint", "touched_at", "window_seconds")

_encoder = msgspec.json.Encoder(decimal_format="number")

_RECORD = """
WITH input AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
        public_id uuid, organization_id bigint, app_id bigint, device text, number integer,
        before_id bigint, kind text, install_id text, platform text, installed_at timestamptz,
        install_begin_at timestamptz, last_open_at timestamptz, event_ref bigint,
        event_received_at timestamptz, attribution_type text, method text, partner_id bigint,
        campaign_id bigint, link_id bigint, touchpoint uuid, touched_at timestamptz,
        window_seconds integer, consent jsonb, facts jsonb, candidates jsonb, rejections jsonb,
        remarks jsonb, lasting uuid[], late uuid[], due_at timestamptz, final_at timestamptz
    )
), begun AS (
    INSERT INTO install (
        public_id, organization_id, app_id, device, number, before_id, kind, state, install_id,
        platform, installed_at, install_begin_at, last_open_at, event_ref, event_received_at,
        attribution_type, attribution_version, method, partner_id, campaign_id, link_id,
        touchpoint, touched_at, consent
    )
    SELECT public_id, organization_id, app_id, device, number, before_id, kind, 'provisional',
           install_id, platform, installed_at, install_begin_at, last_open_at, event_ref,
           event_received_at, attribution_type, 1, method, partner_id, campaign_id, link_id,
           touchpoint, touched_at, consent
    FROM input
    -- The same order for all workers, so that none waits in a ring.
    ORDER BY organization_id, app_id, device, number
    ON CONFLICT DO NOTHING
    RETURNING id, public_id
), credited AS (
    INSERT INTO attribution (
        organization_id, install_id, version, decided_at, cause, type, method, partner_id,
        campaign_id, link_id, touchpoint, touched_at, window_seconds, facts, candidates,
        rejections, remarks
    )
    SELECT organization_id, begun.id, 1, now(), kind, attribution_type, method, partner_id,
           campaign_id, link_id, touchpoint, touched_at, window_seconds, facts, candidates,
           rejections, remarks
    FROM begun JOIN input USING (public_id)
), named AS (
    INSERT INTO install_key (organization_id, app_id, key, install_id, lasting)
    SELECT organization_id, app_id, key, begun.id, true
    FROM begun JOIN input USING (public_id) CROSS JOIN LATERAL unnest(lasting) AS key
    UNION ALL
    SELECT organization_id, app_id, key, begun.id, false
    FROM begun JOIN input USING (public_id) CROSS JOIN LATERAL unnest(late) AS key
), queued AS (
    INSERT INTO unsettled_install (install_id, organization_id, due_at, final_at)
    SELECT begun.id, organization_id, due_at, final_at FROM begun JOIN input USING (public_id)
)
SELECT public_id, id FROM begun
"""

_NOTE_OPENS = """
WITH opened AS (
    SELECT id, last.at
    FROM unnest(%(installs)s::uuid[], %(organizations)s::bigint[], %(moments)s::timestamptz[])
        AS last (public_id, o, at)
    JOIN install ON organization_id = last.o AND install.public_id = last.public_id
    ORDER BY id FOR NO KEY UPDATE OF install
)
UPDATE install SET last_open_at = greatest(last_open_at, opened.at)
FROM opened WHERE install.id = opened.id
"""


def record(
    credited: Sequence[Credited], last_opens: Mapping[UUID, datetime], *, now: datetime
) -> dict[UUID, int]:
    """Write installs down and return ours of them by public id: another worker has the others.

    Where a device installs and comes back within one batch, the install is written before.
    """
    ids: dict[UUID, int] = {}
    waiting = list(credited)
    while waiting:
        ready = [it for it in waiting if _before(it, ids) is not None or not it.opening.before]
        if not ready:  # what they come after is another worker's
            break
        rows = [_row(it, _before(it, ids), last_opens, now) for it in ready]
        ids.update(prepared.run(_RECORD, {"rows": _encoder.encode(rows).decode()}))
        waiting = [it for it in waiting if it not in ready]
    return ids


def _before(it: Credited, ids: Mapping[UUID, int]) -> int | None:
    before = it.opening.before
    return (before.id or ids.get(before.public_id)) if before else None


def note_opens(opens: Iterable[tuple[int, UUID, datetime]]) -> None:
    """Note when apps were opened last: organization, install's public id, and the moment."""
    rows = list(opens)
    if rows:
        organizations, installs, moments = map(list, zip(*rows, strict=True))
        prepared.run(
            _NOTE_OPENS,
            {"organizations": organizations, "installs": installs, "moments": moments},
        )


def credit_columns(it: Credited, facts: AttributionFacts) -> dict[str, object]:
    """Return the columns that a credit has on the install and on its version alike."""
    touch = it.verdict.credit.touch
    shared: dict[str, object] = {"attribution_type": facts.type, "method": facts.method or ""}
    if touch is None:
        before = it.opening.before
        if before is None or facts.acquired_at is None:
            return {**shared, **dict.fromkeys(_CREDIT)}
        return {  # a return that is credited as before
            **shared,
            "partner_id": before.facts.partner_id,
            "campaign_id": before.campaign_id,
            "link_id": before.link_id,
            "touchpoint": before.touchpoint,
            "touched_at": before.facts.touched_at,
            "window_seconds": None,
        }
    window = it.verdict.credit.window
    return {
        **shared,
        "partner_id": touch.partner_id,
        "campaign_id": touch.campaign_id,
        "link_id": touch.link_id,
        "touchpoint": touch.id,
        "touched_at": touch.occurred_at,
        "window_seconds": int(window.total_seconds()) if window else None,
    }


def _row(
    it: Credited, before_id: int | None, last_opens: Mapping[UUID, datetime], now: datetime
) -> dict[str, object]:
    event, install, facts = it.opening.event, it.opening.install, it.facts()
    return {
        **credit_columns(it, facts),
        "public_id": install.public_id,
        "organization_id": event.organization_id,
        "app_id": event.app.id,
        "device": install.device,
        "number": install.number,
        "before_id": before_id,
        "kind": it.kind,
        "install_id": install.install_id,
        "platform": it.evidence.platform,
        "installed_at": install.installed_at,
        "install_begin_at": it.evidence.install_begin_at,
        "last_open_at": last_opens.get(install.public_id, install.installed_at),
        "event_ref": event.id,
        "event_received_at": event.received_at,
        "consent": _consent(event),
        "facts": known_facts(facts),
        "candidates": it.candidates(),
        "rejections": it.rejections(),
        "remarks": it.verdict.remarks,
        **_keys(it),
        "due_at": now + SOON,
        # After the look in between, also where the install was told late.
        "final_at": max(install.installed_at + PROVISIONAL, now + SOON + timedelta(seconds=1)),
    }


def _keys(it: Credited) -> dict[str, object]:
    """Return the keys that last, and those that only find touchpoints that come late."""
    names = identifiers.keys_of(it.opening.event.app.id, it.evidence.names)
    lasting = [key for key, name in names.items() if identifiers.kind_of(name) in _LASTING]
    return {"lasting": lasting, "late": sorted(names.keys() - set(lasting))}


def _consent(event: StoredEvent) -> dict[str, object]:
    return {name: event.fields[name] for name in _PRIVACY if name in event.fields}
