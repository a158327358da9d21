"""Records what Meta says in an install's referrer: a claim, which the waterfall ranks.

Only where a partner is Meta, by its template or its name, and only for apps whose key is set.
A referrer that can't be opened claims nothing; the install is taken all the same.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta

from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models.referrer_keys import open_referrer_key
from postbacks.infrastructure.database import prepared
from postbacks.intake.claims.meta_referrer import CONTENT, Sealed, opened, sealed_in
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
FROM unnest(%(organizations)s::bigint[], %(apps)s::bigint[]) AS wanted (o, a)
JOIN referrer_key AS k ON k.organization_id = wanted.o AND k.app_id = wanted.a
JOIN partner AS p ON p.organization_id = k.organization_id AND p.status = 'active'
    AND (p.template = 'meta' OR lower(p.name) = ANY(%(partners)s))
GROUP BY k.organization_id, k.app_id, k.sealed
"""


def claim_installs(events: Sequence[StoredEvent]) -> None:
    """Record Meta's claims among events that may open installs, in the current transaction."""
    brought = [(event, sealed) for event in events if (sealed := _sealed(event))]
    if not brought:
        return
    places = sorted({(event.organization_id, event.app.id) for event, _ in brought})
    keys = {(o, a): (key, partner) for o, a, key, partner in _keys(places)}
    claims = [
        claim
        for event, sealed in brought
        if (held := keys.get((event.organization_id, event.app.id)))
        and (claim := _claim(event, sealed, *held))
    ]
    record_touchpoints(claims)


def _sealed(event: StoredEvent) -> Sealed | None:
    referrer = event.fields.get("install_referrer")
    if not isinstance(referrer, str) or CONTENT not in referrer or "nonce" not in referrer:
        return None
    return sealed_in(play_referrer.parse(referrer))


def _keys(places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, str, int]]:
    organizations, apps = zip(*places, strict=True)
    wanted = {
        "organizations": list(organizations), "apps": list(apps), "partners": list(PARTNERS)
    }  # fmt: skip
    for organization_id, app_id, sealed, partner_id in prepared.run(_KEYS, wanted):
        try:
            key = open_referrer_key(organization_id, app_id, sealed)
        except SecretUnreadableError as error:
            logger.error("Meta's key of app %d: %s", app_id, error)  # noqa: TRY400  # no trace: the sentence is all
            continue
        yield organization_id, app_id, key, partner_id


def _claim(event: StoredEvent, sealed: Sealed, key: str, partner_id: int) -> NewTouchpoint | None:
    ad = opened(sealed, key)
    if ad is None:
        logger.warning("Meta's referrer of event %s can't be opened with its key", event.event_id)
        return None
    told = event.fields.get("referrer_click_time_server"), event.fields.get("referrer_click_time")
    just_before = event.event_time - timedelta(milliseconds=1)
    clicked_at = (
        parse_timestamp(told[0]) or parse_timestamp(told[1]) or sealed.clicked_at or just_before
    )
    return NewTouchpoint(
        organization_id=event.organization_id,
        app_id=event.app.id,
        partner_id=partner_id,
        kind=TouchpointKind.CLICK,
        source=TouchpointSource.CLAIM,
        occurred_at=clicked_at,
        names=identifiers.installation_identifiers(event.fields),
        once=f"{CLAIMED_BY}:{event.device}:{sealed.nonce.hex()}",
        params={**ad, "claimed_by": CLAIMED_BY},
    )
