"""Secrets at rest: AES-256-GCM with a key id, bound to the place where the secret belongs.

The place (organization, table, owner's id, name) is authenticated with the text, so that a stolen
cipher text copied into another row or another tenant can't be opened there.
"""

import os
from base64 import urlsafe_b64decode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_NONCE_BYTES = 12
# Second factors are sealed by a hook that isn't told whose they are; the table is all it knows.
_SECOND_FACTOR = "account:second_factor"


class SecretUnreadableError(Exception):
    """A secret can't be opened: its key is gone from FIELD_ENCRYPTION_KEYS, or it was moved."""


def encrypt(text: str, *, place: str) -> str:
    """Return `key-id:hex` of the text, sealed with the first configured key."""
    key_id = first_key()
    nonce = os.urandom(_NONCE_BYTES)
    sealed = _cipher(key_id).encrypt(nonce, text.encode(), place.encode())
    return f"{key_id}:{(nonce + sealed).hex()}"


def decrypt(stored: str, *, place: str) -> str:
    """Return the text again. Raises SecretUnreadableError, which never quotes the secret."""
    key_id, _, sealed = stored.partition(":")
    if key_id not in settings.FIELD_ENCRYPTION_KEYS:
        raise SecretUnreadableError(f"The key “{key_id}” is not in FIELD_ENCRYPTION_KEYS.")
    try:
        data = bytes.fromhex(sealed)
        text = _cipher(key_id).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place.encode())
    except (InvalidTag, ValueError):  # ValueError: damaged, so not even hexadecimal
        raise SecretUnreadableError("The secret does not belong here or its key differs.") from None
    return text.decode()


def reseal(stored: str, *, place: str) -> str | None:
    """Return the secret sealed with the first key, None if it is already. Raises as `decrypt`."""
    if key_of(stored) == first_key():
        return None
    return encrypt(decrypt(stored, place=place), place=place)


def encrypt_second_factor(text: str) -> str:
    """Seal a person's TOTP secret or seed of recovery codes."""
    return encrypt(text, place=_SECOND_FACTOR)


def decrypt_second_factor(stored: str) -> str:
    """Return a person's TOTP secret or seed again. Raises as `decrypt`."""
    return decrypt(stored, place=_SECOND_FACTOR)


def reseal_second_factor(stored: str) -> str | None:
    """Return a person's secret sealed with the first key, None if it is already."""
    return reseal(stored, place=_SECOND_FACTOR)


def first_key() -> str:
    """Return the id of the key that seals."""
    return next(iter(settings.FIELD_ENCRYPTION_KEYS))


def key_of(stored: str) -> str:
    """Return the id of the key that a stored secret names."""
    return stored.partition(":")[0]


def _cipher(key_id: str) -> AESGCM:
    return AESGCM(urlsafe_b64decode(settings.FIELD_ENCRYPTION_KEYS[key_id]))
