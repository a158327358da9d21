"""Secrets at rest: AES-256-GCM with a key id, bound to the context that a secret belongs to.

The context (organization, table, owner's id, name) is authenticated with the text: a cipher text
that is copied into another row or another tenant can't be opened there.
"""

import os
from base64 import urlsafe_b64decode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_NONCE_BYTES = 12
# allauth's hook, which seals second factors, gets no owner; the table is all that is known.
_SECOND_FACTOR = "account:second_factor"


class SecretUnreadableError(Exception):
    """A secret can't be opened: its key left FIELD_ENCRYPTION_KEYS, or its row was copied."""


def encrypt(text: str, *, context: str) -> str:
    """Return `key-id:hex` of the text, encrypted with the first configured key."""
    key_id = primary_key_id()
    nonce = os.urandom(_NONCE_BYTES)
    sealed = _cipher(key_id).encrypt(nonce, text.encode(), context.encode())
    return f"{key_id}:{(nonce + sealed).hex()}"


def decrypt(stored: str, *, context: str) -> str:
    """Return the plain text. Raises SecretUnreadableError, which never quotes the secret."""
    key_id, _, sealed = stored.partition(":")
    if key_id not in settings.FIELD_ENCRYPTION_KEYS:
        raise SecretUnreadableError(f"The key “{key_id}” is not in FIELD_ENCRYPTION_KEYS.")
    try:
        data = bytes.fromhex(sealed)
        text = _cipher(key_id).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode())
    except (InvalidTag, ValueError):  # ValueError: damaged, so not even hexadecimal
        raise SecretUnreadableError("The secret does not belong here or its key differs.") from None
    return text.decode()


def reseal(stored: str, *, context: str) -> str | None:
    """Return the secret encrypted with the first key, None if it already is.

    Raises SecretUnreadableError.
    """
    if key_id_of(stored) == primary_key_id():
        return None
    return encrypt(decrypt(stored, context=context), context=context)


def encrypt_second_factor(text: str) -> str:
    return encrypt(text, context=_SECOND_FACTOR)


def decrypt_second_factor(stored: str) -> str:
    """Return a person's TOTP secret or seed. Raises SecretUnreadableError."""
    return decrypt(stored, context=_SECOND_FACTOR)


def reseal_second_factor(stored: str) -> str | None:
    """Return a second factor encrypted with the first key, None if it already is."""
    return reseal(stored, context=_SECOND_FACTOR)


def primary_key_id() -> str:
    """Return the id of the key that encrypts: the first one configured."""
    return next(iter(settings.FIELD_ENCRYPTION_KEYS))


def key_id_of(stored: str) -> str:
    """Return the id of the key that a stored secret was encrypted with."""
    return stored.partition(":")[0]


def _cipher(key_id: str) -> AESGCM:
    return AESGCM(urlsafe_b64decode(settings.FIELD_ENCRYPTION_KEYS[key_id]))
