"""Who may sign in and with what, and changes of memberships.

An organization always keeps one owner, who alone can add others.
"""

from allauth.mfa.models import Authenticator
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Exists, OuterRef

from apps_registry.models import ApiToken, Membership, User
from apps_registry.people.invitations import is_invited
from apps_registry.roles import Role

NOT_A_MEMBER = "You are not a member of an organization yet. Ask an owner to invite you."
_LAST_OWNER = "This is the last owner. Make somebody else an owner first."
_FACTOR_TYPES = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def may_sign_in(person: User) -> bool:
    """Return whether a person has a membership or an open invitation, or is an operator."""
    return person.may_sign_in() or is_invited(person.email)


def second_factors() -> "models.QuerySet[models.Model]":
    """Return everybody's authenticator apps and passkeys; recovery codes are no second factor."""
    rows: models.QuerySet[models.Model] = Authenticator.objects.filter(type__in=_FACTOR_TYPES)
    return rows


def has_second_factor(person: User) -> bool:
    return second_factors().filter(user=person).exists()


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
