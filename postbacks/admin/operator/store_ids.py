"""Decide who owns an app: disputed claims of store ids, and copies of apps that nobody has.

Of the organizations an operator sees only names and store ids here.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Count, Max, Min

from apps_registry.models import ClaimState, Organization, StoreClaim
from apps_registry.models.store_claims import lock_number
from apps_registry.tenancy import tenant
from postbacks.intake.skadnetwork.recording import find_store_owner
from postbacks.models import UnclaimedCopy

MOST_SHOWN = 100


class NothingToDecideError(LookupError):
    """The claim is gone, or was approved by now."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """A claim that waits or was refused, and the organization that has the app now."""

    organization: Organization
    claim: StoreClaim
    holder: Organization | None

    @property
    def is_waiting(self) -> bool:
        return self.claim.state == ClaimState.WAITING


@dataclass(frozen=True, slots=True)
class UnknownApp:
    """An app that nobody has, and the number of stored copies."""

    store_id: str
    copies: int
    first_at: datetime
    last_at: datetime


def disputes() -> list[Dispute]:
    """Return claims that wait, then refused ones, each read inside its own organization."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT organization_id, id FROM find_disputed_claims()")
        claims = cursor.fetchall()
    return [_dispute(organization_id, claim_id) for organization_id, claim_id in claims]


def unknown_apps() -> list[UnknownApp]:
    """Return the apps with stored copies, most copies first."""
    rows = UnclaimedCopy.objects.values("store_id").annotate(
        copies=Count("pk"), first_at=Min("received_at"), last_at=Max("received_at")
    )
    return [UnknownApp(**row) for row in rows.order_by("-copies", "store_id")[:MOST_SHOWN]]


@transaction.atomic
def decide(organization: Organization, store_id: str, *, approve: bool, by: str) -> None:
    """Give an app to an organization that claims it, or refuse the claim.

    The claim of the organization that has it now is refused then. Both read it in their audit
    logs. Raises NothingToDecideError.
    """
    lock_number(store_id)
    with tenant(organization.pk):
        open_claims = StoreClaim.objects.exclude(state=ClaimState.ACCEPTED)
        claim = open_claims.filter(store_id=store_id).first()
    if claim is None:
        raise NothingToDecideError(store_id)
    if approve and (holder := find_store_owner(store_id)):
        with tenant(holder[0]):
            current_claim = StoreClaim.objects.get(store_id=store_id)
            current_claim.decide(ClaimState.REFUSED, by=by)
    with tenant(organization.pk):
        claim.decide(ClaimState.ACCEPTED if approve else ClaimState.REFUSED, by=by)


def _dispute(organization_id: int, claim_id: int) -> Dispute:
    with tenant(organization_id):
        claim = StoreClaim.objects.select_related("organization").get(pk=claim_id)
    holder = find_store_owner(claim.store_id)
    return Dispute(
        organization=claim.organization,
        claim=claim,
        holder=Organization.objects.filter(pk=holder[0]).first() if holder else None,
    )
