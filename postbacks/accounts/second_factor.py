"""How second factors are kept, and what a session knows of them."""

from typing import Any, ClassVar

from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from django.dispatch import receiver
from django.http import HttpRequest

from apps_registry.crypto import encryption
from apps_registry.models import User

_METHOD = "mfa"


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """Seals secrets, and names Postbacks in authenticator apps and passkeys."""

    error_messages: ClassVar[dict[str, Any]] = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": "This code does not fit. Wait for the next one and try again.",
    }

    def encrypt(self, text: str) -> str:
        """Seal a secret with FIELD_ENCRYPTION_KEYS."""
        return encryption.encrypt_second_factor(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Open a secret again."""
        return encryption.decrypt_second_factor(encrypted_text)

    def generate_authenticator_name(self, user: User, type: str) -> str:  # noqa: A002  # allauth's
        """Number passkeys: people rename what they want to tell apart."""
        count = Authenticator.objects.filter(user=user, type=type).count()
        return f"Passkey {count + 1}"

    def _get_site_name(self) -> str:
        return "Postbacks"


def has_shown_second_factor(request: HttpRequest) -> bool:
    """Tell whether this session proved a second factor, at sign-in or later."""
    if not isinstance(request.user, User):
        return False
    records = get_authentication_records(request, request.user)
    return any(record.get("method") == _METHOD for record in records)


@receiver(authenticator_added)
def note_fresh_factor(
    request: HttpRequest, user: User, authenticator: Authenticator, **_: object
) -> None:
    """Count setting a factor up as showing it: the person has just used it."""
    if authenticator.type != Authenticator.Type.RECOVERY_CODES:
        record_authentication(
            request, user, _METHOD, id=authenticator.pk, type=str(authenticator.type)
        )
