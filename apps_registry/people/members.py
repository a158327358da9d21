"""What owners do with members. One owner always stays: nobody else could repair that."""

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Exists, OuterRef

from apps_registry.models import ApiToken, Membership
from apps_registry.people.sign_in import second_factors
from apps_registry.roles import Role

_LAST_OWNER = "This is the last owner. Make somebody else an owner first."


def of_organization(organization_id: int) -> "models.QuerySet[Membership]":
    """Return an organization's memberships, each knowing whether a second factor is set up."""
    return (
        Membership.objects.filter(organization_id=organization_id)
        .select_related("user")
        .annotate(has_second_factor=Exists(second_factors().filter(user=OuterRef("user"))))
    )


@transaction.atomic
def change_role(membership: Membership, role: str) -> None:
    """Give a member another role. Raises ValidationError where no owner would be left."""
    if role != Role.OWNER:
        require_another_owner(membership)
    membership.role = role
    membership.save(update_fields=["role"])


@transaction.atomic
def remove(membership: Membership) -> None:
    """End a membership, and the person's tokens here. Raises ValidationError for the last owner.

    A token is refused without a membership anyway; revoked, it does not come back with the person.
    """
    require_another_owner(membership)
    with membership.in_its_organization():
        for token in ApiToken.objects.filter(user=membership.user):
            token.revoke()
    membership.delete()


def require_another_owner(membership: Membership) -> None:
    """Refuse that the last owner goes. Owners are locked: two could leave at the same moment."""
    owners = Membership.objects.select_for_update().filter(
        organization_id=membership.organization_id, role=Role.OWNER
    )
    if {owner.pk for owner in owners} == {membership.pk}:
        raise ValidationError(_LAST_OWNER)
