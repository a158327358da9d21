"""Keys and tokens that machines sign in with: random, shown once, stored as a hash.

A plain SHA-256 is enough: the secret has 256 random bits, there is nothing to guess.
"""

import hashlib
import secrets
from dataclasses import dataclass

SDK_KEY = "pbk_"
API_TOKEN = "pbt_"  # noqa: S105  # a prefix, not a secret


@dataclass(frozen=True, slots=True)
class FreshKey:
    """A key as it exists once: the secret for its owner, hash and prefix for us."""

    secret: str
    prefix: str
    hash: str


def make_key(kind: str) -> FreshKey:
    """Make a key of a kind, which is the first thing that everybody sees of it."""
    secret = kind + secrets.token_urlsafe(32)
    return FreshKey(secret=secret, prefix=secret[:10], hash=hash_key(secret))


def hash_key(secret: str) -> str:
    """Return what is stored of a key: 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()
