"""Changes of memberships. An organization always keeps one owner, who alone can add others."""

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Exists, OuterRef

from apps_registry.models import ApiToken, Membership
from apps_registry.people.sign_in import second_factors
from apps_registry.roles import Role

_LAST_OWNER = "This is the last owner. Make somebody else an owner first."


def of_organization(organization_id: int) -> "models.QuerySet[Membership]":
    """Return an organization's memberships, annotated with `has_second_factor`."""
    return (
        Membership.objects.filter(organization_id=organization_id)
        .select_related("user")
        .annotate(has_second_factor=Exists(second_factors().filter(user=OuterRef("user"))))
    )


@transaction.atomic
def change_role(membership: Membership, role: str) -> None:
    """Change a member's role. Raises ValidationError for the last owner."""
    if role != Role.OWNER:
        require_another_owner(membership)
    membership.role = role
    membership.save(update_fields=["role"])


@transaction.atomic
def remove(membership: Membership) -> None:
    """End a membership and revoke the person's tokens. Raises ValidationError for the last owner.

    A token without a membership is refused anyway; revoked, it stays so if the person rejoins.
    """
    require_another_owner(membership)
    with membership.in_its_organization():
        for token in ApiToken.objects.filter(user=membership.user):
            token.revoke()
    membership.delete()


def require_another_owner(membership: Membership) -> None:
    """Raise ValidationError for the last owner. Locks all owners: two could leave at once."""
    owners = Membership.objects.select_for_update().filter(
        organization_id=membership.organization_id, role=Role.OWNER
    )
    if {owner.pk for owner in owners} == {membership.pk}:
        raise ValidationError(_LAST_OWNER)
