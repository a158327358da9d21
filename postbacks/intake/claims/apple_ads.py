"""② Asks Apple about installs that came with a token of AdServices, and records its claims.

Only organizations with a partner named “Apple Ads” ask: without one there is nobody to credit. A
claim is a touchpoint like any other, and the waterfall ranks it. If a worker is killed while it
asks, its lease ends, another asks again, and the claim counts once.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from apps_registry.tenancy import Lifecycle
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
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
LEASE_SECONDS = 60  # far longer than one request may take

_QUEUE = """
INSERT INTO adservices_claim (organization_id, install_id, due_at, ends_at, tries)
SELECT i.organization_id, i.id, now(), i.event_received_at + %(lives)s, 0
FROM unnest(%(organizations)s::bigint[], %(installs)s::uuid[]) AS new (organization_id, public_id)
JOIN install AS i ON i.organization_id = new.organization_id AND i.public_id = new.public_id
WHERE EXISTS (
    SELECT FROM partner WHERE organization_id = i.organization_id AND status = 'active'
        AND lower(name) = lower(%(partner)s)
)
ON CONFLICT DO NOTHING
"""

_IS_ANY_DUE = "SELECT EXISTS (SELECT FROM adservices_claim WHERE due_at <= now())"

_LEASE_NEXT = load_sql("postbacks.intake.claims", "lease_next_claim", Lifecycle)

_DEQUEUE = "DELETE FROM adservices_claim WHERE install_id = %(install)s RETURNING 1"

_POSTPONE = """
UPDATE adservices_claim SET due_at = now() + %(wait)s WHERE install_id = %(install)s RETURNING 1
"""


@dataclass(frozen=True, slots=True)
class _PendingClaim:
    """An install that this process has leased to ask Apple about."""

    install_id: int
    public_id: str
    installed_at: datetime
    event_ref: int
    event_received_at: datetime
    tries: int
    is_alive: bool
    partner_id: int | None


def queue_claims(credited: Sequence[tuple[StoredEvent, KnownInstall | None]]) -> None:
    """Queue new installs whose event has a token, in the current transaction."""
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
            _QUEUE,
            {
                "organizations": list(organizations),
                "installs": list(installs),
                "lives": TOKEN_LIVES,
                "partner": PARTNER,
            },
        )


def is_any_due() -> bool:
    ((due,),) = prepared.run(_IS_ANY_DUE, {})
    return bool(due)


def ask_about_next(sender: RequestSender, url: str) -> bool:
    """Ask Apple about the install that has been due longest; False if none is due."""
    with transaction.atomic():
        leased = prepared.fetch(
            _PendingClaim, _LEASE_NEXT, {"lease": LEASE_SECONDS, "partner": PARTNER}
        )
        if not leased:
            return False
        pending = leased[0]
        events = load_events([(pending.event_ref, pending.event_received_at)])
    token = events[0].fields.get("adservices_token") if events else None
    if not token or not pending.is_alive or pending.partner_id is None:
        _finish(pending)
        return True
    request = OutgoingRequest(
        "POST", url, {"Content-Type": "text/plain"}, str(token).encode("ascii", "replace")
    )
    reply = sender.send(request)
    status = reply.status_code if reply.error is None else None
    answer = read_answer(status, reply.body, tries=pending.tries)
    if isinstance(answer, AskAgain):
        prepared.run(_POSTPONE, {"install": pending.install_id, "wait": answer.wait})
    elif isinstance(answer, AdServicesAnswer):
        _finish(pending, _touchpoint(pending, pending.partner_id, events[0], answer))
    else:
        _finish(pending)
    return True


def _finish(pending: _PendingClaim, touchpoint: NewTouchpoint | None = None) -> None:
    with transaction.atomic():
        # Erased meanwhile: then nothing of Apple's answer may be kept.
        still_queued = bool(prepared.run(_DEQUEUE, {"install": pending.install_id}))
        if still_queued and touchpoint is not None:
            record_touchpoints([touchpoint])


def _touchpoint(
    pending: _PendingClaim, partner_id: int, event: StoredEvent, answer: AdServicesAnswer
) -> NewTouchpoint:
    return NewTouchpoint(
        organization_id=event.organization_id,
        app_id=event.app.id,
        partner_id=partner_id,
        kind=answer.kind,
        source=TouchpointSource.CLAIM,
        occurred_at=answer.at or pending.installed_at,
        identifiers=identifiers.installation_identifiers(
            event.fields
        ),  # so that it matches no other install
        once=f"adservices:{pending.public_id}",
        country=str(answer.params.get("country", ""))[:2],
        params=answer.params,
    )
