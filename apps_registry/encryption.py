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


class SecretUnreadableError(Exception):
    """A secret can't be opened: its key is gone from FIELD_ENCRYPTION_KEYS, or it was moved."""


def encrypt(text: str, *, place: str) -> str:
    """Return `key-id:hex` of the text, sealed with the first configured key."""
    key_id = next(iter(settings.FIELD_ENCRYPTION_KEYS))
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


def _cipher(key_id: str) -> AESGCM:
    return AESGCM(urlsafe_b64decode(settings.FIELD_ENCRYPTION_KEYS[key_id]))
