"""② Records Meta's claims, which it puts into an install's referrer; the waterfall ranks them.

Only where a partner is Meta, by its template or its name, and only for apps with a referrer key.
A referrer that can't be decrypted claims nothing; the install is accepted all the same.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models.referrer_keys import open_referrer_key
from postbacks.infrastructure.database import prepared
from postbacks.intake.claims.meta_referrer import CONTENT, SealedReferrer, decrypt, find_sealed
from postbacks.intake.touchpoints.recording import NewTouchpoint, record_touchpoints
from postbacks.models import TouchpointKind, TouchpointSource
from postbacks.values import identifiers, play_referrer
from postbacks.values.events import StoredEvent
from postbacks.values.timestamps import parse_timestamp

logger = logging.getLogger(__name__)

PARTNERS = ("meta", "facebook", "meta ads", "facebook ads")
CLAIMED_BY = "meta"

_KEYS = """
SELECT k.organization_id, k.app_id, k.sealed, min(p.id)
FROM unnest(%(organizations)s::bigint[], %(apps)s::bigint[]) AS a (organization_id, app_id)
JOIN referrer_key AS k ON k.organization_id = a.organization_id AND k.app_id = a.app_id
JOIN partner AS p ON p.organization_id = k.organization_id AND p.status = 'active'
    AND (p.template = 'meta' OR lower(p.name) = ANY(%(partners)s))
GROUP BY k.organization_id, k.app_id, k.sealed
"""


@dataclass(frozen=True, slots=True)
class _AppKey:
    """An app's key in Meta's dashboard, and the partner that its claims credit."""

    key: str
    partner_id: int


def record_claims(events: Sequence[StoredEvent]) -> None:
    """Record Meta's claims among events that may open installs, in the current transaction."""
    sealed = [(event, referrer) for event in events if (referrer := _sealed_referrer(event))]
    if not sealed:
        return
    keys = _keys(sorted({(event.organization_id, event.app.id) for event, _ in sealed}))
    claims = [
        claim
        for event, referrer in sealed
        if (app_key := keys.get((event.organization_id, event.app.id)))
        and (claim := _claim(event, referrer, app_key))
    ]
    record_touchpoints(claims)


def _sealed_referrer(event: StoredEvent) -> SealedReferrer | None:
    referrer = event.fields.get("install_referrer")
    if not isinstance(referrer, str) or CONTENT not in referrer or "nonce" not in referrer:
        return None
    return find_sealed(play_referrer.parse(referrer))


def _keys(apps: Sequence[tuple[int, int]]) -> dict[tuple[int, int], _AppKey]:
    organization_ids, app_ids = zip(*apps, strict=True)
    parameters = {
        "organizations": list(organization_ids),
        "apps": list(app_ids),
        "partners": list(PARTNERS),
    }
    keys = {}
    for organization_id, app_id, sealed, partner_id in prepared.run(_KEYS, parameters):
        try:
            key = open_referrer_key(organization_id, app_id, sealed)
        except SecretUnreadableError as error:
            logger.error("Meta's key of app %d: %s", app_id, error)  # noqa: TRY400  # no trace: the sentence is all
            continue
        keys[organization_id, app_id] = _AppKey(key, partner_id)
    return keys


def _claim(event: StoredEvent, sealed: SealedReferrer, app_key: _AppKey) -> NewTouchpoint | None:
    ad = decrypt(sealed, app_key.key)
    if ad is None:
        logger.warning("Meta's referrer of event %s can't be opened with its key", event.event_id)
        return None
    just_before = event.event_time - timedelta(milliseconds=1)
    clicked_at = (
        parse_timestamp(event.fields.get("referrer_click_time_server"))
        or parse_timestamp(event.fields.get("referrer_click_time"))
        or sealed.clicked_at
        or just_before
    )
    return NewTouchpoint(
        organization_id=event.organization_id,
        app_id=event.app.id,
        partner_id=app_key.partner_id,
        kind=TouchpointKind.CLICK,
        source=TouchpointSource.CLAIM,
        occurred_at=clicked_at,
        identifiers=identifiers.installation_identifiers(event.fields),
        once=f"{CLAIMED_BY}:{event.device}:{sealed.nonce.hex()}",
        params={**ad, "claimed_by": CLAIMED_BY},
    )
