"""Asks Apple about installs that came with a token of AdServices, and records what it claims.

Only organizations with a partner named “Apple Ads” ask: without one there is nobody to credit. A
claim is a touchpoint like any other, and the waterfall ranks it. Whoever is killed while asking
loses nothing: the install is asked about again once the lease is over, and a claim counts once.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from postbacks.infrastructure.database import prepared
from postbacks.intake.claims.adservices import TOKEN_LIVES, AdServicesAnswer, AskAgain, read_answer
from postbacks.intake.touchpoints.recording import NewTouchpoint, record_touchpoints
from postbacks.models import TouchpointSource
from postbacks.models.stored import load_events
from postbacks.values import identifiers
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import KnownInstall
from postbacks.values.outgoing_request import OutgoingRequest, RequestSender

logger = logging.getLogger(__name__)

PARTNER = "Apple Ads"
LEASE_SECONDS = 60  # far longer than one question may take

_AWAIT = """
INSERT INTO adservices_claim (organization_id, install_id, due_at, ends_at, tries)
SELECT i.organization_id, i.id, now(), i.event_received_at + %(lives)s, 0
FROM unnest(%(organizations)s::bigint[], %(installs)s::uuid[]) AS wanted (o, public_id)
JOIN install AS i ON i.organization_id = wanted.o AND i.public_id = wanted.public_id
WHERE EXISTS (
    SELECT FROM partner WHERE organization_id = i.organization_id AND status = 'active'
        AND lower(name) = lower(%(partner)s)
)
ON CONFLICT DO NOTHING
"""

_IS_ANY_DUE = "SELECT EXISTS (SELECT FROM adservices_claim WHERE due_at <= now())"

_TAKE = """
WITH taken AS (
    SELECT install_id FROM adservices_claim WHERE due_at <= now()
    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE adservices_claim SET due_at = now() + %(lease)s * interval '1 second', tries = tries + 1
    FROM taken WHERE adservices_claim.install_id = taken.install_id
    RETURNING adservices_claim.install_id, tries, ends_at > now() AS is_alive
)
SELECT i.id, i.public_id::text, i.installed_at, i.event_ref, i.event_received_at, leased.tries,
       leased.is_alive, (
           SELECT id FROM partner WHERE organization_id = i.organization_id AND status = 'active'
               AND lower(name) = lower(%(partner)s)
           ORDER BY id LIMIT 1
       )
FROM leased JOIN install AS i ON i.id = leased.install_id
"""

_FINISH = "DELETE FROM adservices_claim WHERE install_id = %(install)s RETURNING 1"

_PUT_OFF = """
UPDATE adservices_claim SET due_at = now() + %(wait)s WHERE install_id = %(install)s RETURNING 1
"""


@dataclass(frozen=True, slots=True)
class _PendingClaim:
    """An install that Apple is asked about now."""

    install_id: int
    public_id: str
    installed_at: datetime
    event_ref: int
    event_received_at: datetime
    tries: int
    is_alive: bool
    partner_id: int | None


def await_claims(credited: Sequence[tuple[StoredEvent, KnownInstall | None]]) -> None:
    """Queue the installs among events that brought a token, in the current transaction."""
    if not settings.ADSERVICES_URL:
        return
    new = [
        (event.organization_id, install.public_id)
        for event, install in credited
        if install and install.event_ref == event.id and event.fields.get("adservices_token")
    ]
    if new:
        organizations, installs = zip(*new, strict=True)
        prepared.run(
            _AWAIT,
            {
                "organizations": list(organizations),
                "installs": list(installs),
                "lives": TOKEN_LIVES,
                "partner": PARTNER,
            },
        )


def is_any_due() -> bool:
    """Tell whether there is something to ask Apple."""
    ((due,),) = prepared.run(_IS_ANY_DUE, {})
    return bool(due)


def ask_about_one(sender: RequestSender, url: str) -> bool:
    """Ask Apple about the install that has been due longest; False if none is."""
    with transaction.atomic():
        taken = prepared.run(_TAKE, {"lease": LEASE_SECONDS, "partner": PARTNER})
        if not taken:
            return False
        asked = _PendingClaim(*taken[0])
        events = load_events([(asked.event_ref, asked.event_received_at)])
    token = events[0].fields.get("adservices_token") if events else None
    if not token or not asked.is_alive or asked.partner_id is None:
        _finish(asked)
        return True
    request = OutgoingRequest(
        "POST", url, {"Content-Type": "text/plain"}, str(token).encode("ascii", "replace")
    )
    reply = sender.send(request)
    status = reply.status_code if reply.error is None else None
    found = read_answer(status, reply.body, tries=asked.tries)
    if isinstance(found, AskAgain):
        prepared.run(_PUT_OFF, {"install": asked.install_id, "wait": found.wait})
    else:
        claim = found if isinstance(found, AdServicesAnswer) else None
        _finish(asked, events[0], claim)
    return True


def _finish(
    asked: _PendingClaim, event: StoredEvent | None = None, claim: AdServicesAnswer | None = None
) -> None:
    with transaction.atomic():
        # Gone is what was forgotten meanwhile: then Apple's answer is nobody's any more.
        is_ours = bool(prepared.run(_FINISH, {"install": asked.install_id}))
        if is_ours and event is not None and claim is not None and asked.partner_id is not None:
            record_touchpoints([_touchpoint(asked, asked.partner_id, event, claim)])


def _touchpoint(
    asked: _PendingClaim, partner_id: int, event: StoredEvent, claim: AdServicesAnswer
) -> NewTouchpoint:
    return NewTouchpoint(
        organization_id=event.organization_id,
        app_id=event.app.id,
        partner_id=partner_id,
        kind=claim.kind,
        source=TouchpointSource.CLAIM,
        occurred_at=claim.at or asked.installed_at,
        names=identifiers.installation_identifiers(event.fields),  # so that it fits no other
        once=f"adservices:{asked.public_id}",
        country=str(claim.params.get("country", ""))[:2],
        params=claim.params,
    )
