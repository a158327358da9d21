"""Who may sign in, and who has a second factor."""

from allauth.mfa.models import Authenticator
from django.db import models

from apps_registry.models import User
from apps_registry.people.invitations import is_invited

NOT_A_MEMBER = "You are not a member of an organization yet. Ask an owner to invite you."
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
