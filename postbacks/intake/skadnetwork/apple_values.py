"""Values as Apple's devices write them: numbers and booleans may come as text. Plain Python."""

from collections.abc import Mapping
from decimal import Decimal

MAX_TEXT = 255
MAX_FINE_VALUE = 63
COARSE_VALUES = ("low", "medium", "high")


def text(value: object) -> str:
    """Return a value as the signed text writes it; empty if it can't be in a signed text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) >= 2**63:  # Apple sends none; Python may refuse str()
        return ""
    return str(value) if isinstance(value, str | int | Decimal) else ""


def stored_text(value: object) -> str:
    """Return a value as it is stored, cut to its column's length."""
    return clean(text(value))[:MAX_TEXT]


def clean(value: str) -> str:
    """Return a text without NUL and lone surrogates, which PostgreSQL can't hold."""
    return value.replace("\x00", "").encode(errors="replace").decode()


def integer(value: object, *, maximum: int) -> int | None:
    """Return a number from 0 to `maximum`, else None."""
    digits = text(value)
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > len(str(maximum)):
        return None
    return int(digits) if int(digits) <= maximum else None


def boolean(value: object) -> bool | None:
    return {"true": True, "false": False}.get(text(value))


def store_id(value: object) -> str:
    """Return Apple's number of an app, as `App.store_id` holds it; empty if it is none."""
    number = integer(value, maximum=2**63 - 1)
    return str(number) if number else ""


def fine_value(body: Mapping[str, object]) -> int | None:
    return integer(body.get("conversion-value"), maximum=MAX_FINE_VALUE)


def coarse_value(body: Mapping[str, object]) -> str:
    value = text(body.get("coarse-conversion-value")).lower()
    return value if value in COARSE_VALUES else ""


def country(body: Mapping[str, object]) -> str:
    code = text(body.get("country-code")).upper()
    return code if len(code) == 2 and code.isascii() and code.isalpha() else ""
