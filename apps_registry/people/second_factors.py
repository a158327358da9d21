"""Whether people have a second factor: an authenticator app or a passkey, kept by allauth."""

from allauth.mfa.models import Authenticator
from django.db import models

from apps_registry.models import User

_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def factors() -> "models.QuerySet[models.Model]":
    """Return everybody's second factors; recovery codes are the way back, not a factor."""
    rows: models.QuerySet[models.Model] = Authenticator.objects.filter(type__in=_FACTORS)
    return rows


def has_second_factor(person: User) -> bool:
    """Tell whether somebody has set one up."""
    return factors().filter(user=person).exists()
