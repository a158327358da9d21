"""Checks the signatures of clicks. Plain Python.

    sig = hex(HMAC-SHA256(secret, path + "?" + canonical))

`canonical` is every parameter but `sig`, decoded, sorted by name, and encoded again by RFC 3986.
`exp` (Unix seconds) and `kid` are required, so that signatures expire and keys can be rotated.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl, quote

from postbacks.intake.links.reading import MAX_PARAMETERS
from postbacks.values.touchpoints import VALID_SIGNATURE

VALID: Final = VALID_SIGNATURE
MISSING: Final = "missing_signature"
NO_KEY: Final = "no_active_key"
EXPIRED: Final = "click_expired"
INVALID: Final = "invalid_signature"

SIG, EXP, KID = "sig", "exp", "kid"
_MAX_DIGITS = 12


def sign(secret: str, path: str, parameters: Mapping[str, str]) -> str:
    """Return the signature of a link's path and decoded parameters, among them `exp` and `kid`."""
    message = f"{path}?{canonical_query(parameters)}"
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()


def canonical_query(parameters: Mapping[str, str]) -> str:
    pairs = sorted((name, value) for name, value in parameters.items() if name != SIG)
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


def check(path: str, query: str, keys: Mapping[str, str], *, now: datetime) -> str:
    """Return the state of a click's signature; `keys` are the partner's active ones by kid."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        return INVALID
    parameters = dict(pairs)
    if not parameters.get(SIG):
        return MISSING
    if len(parameters) < len(pairs):  # the signature does not say which of two equal names counts
        return INVALID
    if not keys.get(parameters.get(KID, "")):
        return NO_KEY
    expected = sign(keys[parameters[KID]], path, parameters)
    if not hmac.compare_digest(expected.encode(), parameters[SIG].lower().encode()):
        return INVALID
    expires = parameters.get(EXP, "")
    if not (expires.isascii() and expires.isdigit() and len(expires) <= _MAX_DIGITS):
        return INVALID
    return VALID if int(expires) >= now.timestamp() else EXPIRED
