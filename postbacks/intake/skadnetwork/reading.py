"""Reads the body that a device sends: a JSON object, from either framework."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from postbacks.intake.events.body import BodyError
from postbacks.intake.skadnetwork.aak import read_aak
from postbacks.intake.skadnetwork.copies import Copy
from postbacks.intake.skadnetwork.skan import read_skan

MAX_BYTES = 16 * 1024  # a real copy has less than 2 KB

_decoder = msgspec.json.Decoder(float_hook=Decimal)


def read_body(body: bytes) -> Mapping[str, object]:
    """Return the object that a body holds. Raises BodyError (400, 413)."""
    if len(body) > MAX_BYTES:
        raise BodyError(413, "The copy is larger than 16 KB.")
    try:
        body.decode()
        decoded = _decoder.decode(body)
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError):
        raise BodyError(400, "The body is not valid JSON.") from None
    if not isinstance(decoded, dict):
        raise BodyError(400, "The body is not a JSON object.")
    return decoded


def read_copy(said: Mapping[str, object]) -> Copy:
    """Return what a copy says, whichever door it came through."""
    return read_aak(said) if "jws-string" in said else read_skan(said)
