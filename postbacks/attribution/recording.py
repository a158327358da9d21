"""③ Records installs: row, first credit, identifiers, and a place in the reattribution queue."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from postbacks.attribution.credited import CreditedOpening
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models.figures import FigureKind
from postbacks.models.installs import InstallState
from postbacks.values import identifiers
from postbacks.values.attribution import AttributionFacts, known_facts
from postbacks.values.events import StoredEvent

SOON = timedelta(seconds=60)  # until claims of networks have arrived
PROVISIONAL = timedelta(hours=24)  # after which a credit is final

# These last as long as the device or its app does, and find the device when it comes back.
_LASTING_KINDS = frozenset({"advertising", *identifiers.VENDOR_IDS, *identifiers.OWN_IDS})
_CONSENT_FIELDS = (
    "limit_ad_tracking",
    "att_status",
    "gdpr_applies",
    "tcf_string",
    "eea",
    "ad_user_data",
    "ad_personalization",
    "us_privacy",
    "sharing_opt_out",
)
_TOUCHPOINT_COLUMNS = (
    "partner_id",
    "campaign_id",
    "link_id",
    "touchpoint",
    "touched_at",
    "window_seconds",
)

_encoder = msgspec.json.Encoder(decimal_format="number")

_RECORD = load_sql("postbacks.attribution", "record_installs", FigureKind, InstallState)

_SAVE_OPENS = """
WITH opened AS (
    SELECT id, last.opened_at
    FROM unnest(%(installs)s::uuid[], %(organizations)s::bigint[], %(opened)s::timestamptz[])
        AS last (public_id, organization_id, opened_at)
    JOIN install
        ON install.organization_id = last.organization_id AND install.public_id = last.public_id
    ORDER BY id FOR NO KEY UPDATE OF install
)
UPDATE install SET last_open_at = greatest(last_open_at, opened.opened_at)
FROM opened WHERE install.id = opened.id
"""


def record_installs(
    begun: Sequence[CreditedOpening], last_opens: Mapping[UUID, datetime], *, now: datetime
) -> dict[UUID, int]:
    """Write installs and return our ids by public id; another worker has recorded the missing ones.

    Where a device installs and comes back within one batch, the earlier install is written first.
    """
    ids: dict[UUID, int] = {}
    waiting = list(begun)
    while waiting:
        ready = [c for c in waiting if _before_id(c, ids) is not None or not c.opening.before]
        if not ready:  # the installs before them are another worker's
            break
        rows = [_row(c, _before_id(c, ids), last_opens, now) for c in ready]
        ids.update(prepared.run(_RECORD, {"rows": _encoder.encode(rows).decode()}))
        waiting = [c for c in waiting if c not in ready]
    return ids


def save_last_opens(opens: Iterable[tuple[int, UUID, datetime]]) -> None:
    """Save when apps were opened last: organization, install's public id, and the time."""
    rows = list(opens)
    if rows:
        organizations, installs, opened = map(list, zip(*rows, strict=True))
        prepared.run(
            _SAVE_OPENS, {"organizations": organizations, "installs": installs, "opened": opened}
        )


def credit_columns(credited: CreditedOpening, facts: AttributionFacts) -> dict[str, Any]:
    """Return the columns of a credit, which are the same on the install and on its version."""
    credit = credited.verdict.credit
    columns: dict[str, Any] = {"attribution_type": facts.type, "method": facts.method or ""}
    if credit.touchpoint is not None:
        return {
            **columns,
            "partner_id": credit.touchpoint.partner_id,
            "campaign_id": credit.touchpoint.campaign_id,
            "link_id": credit.touchpoint.link_id,
            "touchpoint": credit.touchpoint.id,
            "touched_at": credit.touchpoint.occurred_at,
            "window_seconds": int(credit.window.total_seconds()) if credit.window else None,
        }
    before = credited.opening.before
    if before is None or facts.acquired_at is None:
        return {**columns, **dict.fromkeys(_TOUCHPOINT_COLUMNS)}
    return {  # a reinstall continues the credit of the install before
        **columns,
        "partner_id": before.facts.partner_id,
        "campaign_id": before.campaign_id,
        "link_id": before.link_id,
        "touchpoint": before.touchpoint,
        "touched_at": before.facts.touched_at,
        "window_seconds": None,
    }


def _before_id(credited: CreditedOpening, ids: Mapping[UUID, int]) -> int | None:
    before = credited.opening.before
    return (before.id or ids.get(before.public_id)) if before else None


def _row(
    credited: CreditedOpening,
    before_id: int | None,
    last_opens: Mapping[UUID, datetime],
    now: datetime,
) -> dict[str, object]:
    event, install, facts = credited.opening.event, credited.opening.install, credited.facts()
    return {
        **credit_columns(credited, facts),
        "public_id": install.public_id,
        "organization_id": event.organization_id,
        "app_id": event.app.id,
        "device": install.device,
        "number": install.number,
        "before_id": before_id,
        "kind": credited.kind,
        "install_id": install.install_id,
        "platform": credited.evidence.platform,
        "installed_at": install.installed_at,
        "install_begin_at": credited.evidence.install_begin_at,
        "last_open_at": last_opens.get(install.public_id, install.installed_at),
        "event_ref": event.id,
        "event_received_at": event.received_at,
        "consent": _consent(event),
        "facts": known_facts(facts),
        "candidates": credited.candidate_rows(),
        "rejections": credited.rejection_rows(),
        "remarks": credited.verdict.remarks,
        **_identifier_keys(credited),
        "due_at": now + SOON,
        # After the reevaluation in between, also where the install was reported late.
        "final_at": max(install.installed_at + PROVISIONAL, now + SOON + timedelta(seconds=1)),
    }


def _identifier_keys(credited: CreditedOpening) -> dict[str, object]:
    """Return the lasting keys, and those that only find touchpoints that come late."""
    keys = identifiers.keys_of(credited.opening.event.app.id, credited.evidence.identifiers)
    lasting = [
        key for key, identifier in keys.items() if identifiers.kind_of(identifier) in _LASTING_KINDS
    ]
    return {"lasting": lasting, "late": sorted(keys.keys() - set(lasting))}


def _consent(event: StoredEvent) -> dict[str, object]:
    return {name: event.fields[name] for name in _CONSENT_FIELDS if name in event.fields}
