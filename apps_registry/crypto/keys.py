"""Keys and tokens for programs: random, shown once, stored as a hash.

A plain SHA-256 is enough: a secret of 256 random bits can't be guessed.
"""

import hashlib
import secrets
from dataclasses import dataclass

SDK_KEY = "pbk_"
API_TOKEN = "pbt_"  # noqa: S105  # a prefix, not a secret
SIGNING_SECRET = "whsec_"  # noqa: S105  # likewise; the prefix is that of Standard Webhooks


@dataclass(frozen=True, slots=True)
class FreshKey:
    """A new key: the secret for its owner, hash and prefix to store."""

    secret: str
    prefix: str
    hash: str


def make_key(kind: str) -> FreshKey:
    """Return a new key that begins with `kind`."""
    secret = kind + secrets.token_urlsafe(32)
    return FreshKey(secret=secret, prefix=secret[:10], hash=hash_key(secret))


def hash_key(secret: str) -> str:
    """Return the hash to store for a key: 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()
