"""Claims to a number in Apple's store: Apple's copies carry no key, only the app's number.

The first organization with an iOS app of that number owns it. A second one waits until an operator
decides whose app it is. A refusal stands until an operator decides otherwise.

Anybody can be the first to write a number down. Until an event of the app has arrived, or an
operator agrees, nothing proves that it is theirs, and the app's copies wait. While another
organization waits for the same number, events prove nothing any more: only the operator decides.
A claim that was proven before stays so, or any stranger could stop an app's copies.
"""

from django.db import connection, models
from django.db.models import Q
from django.utils import timezone

from apps_registry.tenancy import TenantModel


class ClaimState(models.TextChoices):
    """The state of an organization's claim."""

    ACCEPTED = "standing", "Yours"
    WAITING = "waiting", "Waits for the operator: another organization has it"
    REFUSED = "refused", "Refused by the operator"


class StoreClaim(TenantModel):
    """An organization's claim to a number in Apple's store, and the app that gets its copies."""

    app = models.ForeignKey(
        "apps_registry.App", models.PROTECT, related_name="store_claims", db_constraint=False
    )
    store_id = models.CharField("store ID", max_length=19)
    state = models.CharField(max_length=16, choices=ClaimState.choices, default=ClaimState.ACCEPTED)
    claimed_at = models.DateTimeField("claimed", auto_now_add=True)
    decided_at = models.DateTimeField("decided", null=True)
    proven_at = models.DateTimeField("proven", null=True)
    decided_by = models.CharField(max_length=255, blank=True)

    audited = ("app", "store_id", "state", "decided_by")

    class Meta(TenantModel.Meta):
        db_table = "store_claim"
        verbose_name = "store ID claim"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "store_id"], name="one_claim_per_store_id"
            ),
            # Across all organizations: row-level security does not apply to constraints.
            models.UniqueConstraint(
                fields=["store_id"],
                condition=Q(state="standing"),
                name="a_store_id_belongs_to_one_organization",
            ),
        ]

    def __str__(self) -> str:
        return self.store_id

    @property
    def is_proven(self) -> bool:
        return self.proven_at is not None

    @property
    def is_contested(self) -> bool:
        """Tell whether an unproven claim can only be proven by the operator."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT is_store_id_contested(%s)", [self.store_id])
            return self.state == ClaimState.ACCEPTED and not self.is_proven and cursor.fetchone()[0]

    def decide(self, state: "ClaimState", *, by: str) -> None:
        self.state, self.decided_by, self.decided_at = state, by, timezone.now()
        self.proven_at = self.decided_at if state == ClaimState.ACCEPTED else None
        self.save()


def lock_number(number: str) -> None:
    """Make other claims to this number wait until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('store_claim'), hashtext(%s))", [number]
        )
