"""Values as Apple's devices write them: numbers and booleans come as such or as text."""

from decimal import Decimal

LONGEST_TEXT = 255


def text(value: object) -> str:
    """Return a value as it stands in the signed text; nothing for what can't stand there."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if (
        isinstance(value, int) and abs(value) >= 2**63
    ):  # no number of Apple's; Python won't write it
        return ""
    return str(value) if isinstance(value, str | int | Decimal) else ""


def stored_text(value: object) -> str:
    """Return a value as it is kept: as long as a column, without what PostgreSQL can't hold."""
    return clean(text(value))[:LONGEST_TEXT]


def clean(value: str) -> str:
    """Return a text without what PostgreSQL can't hold."""
    return value.replace("\x00", "").encode(errors="replace").decode()


def whole(value: object, *, most: int) -> int | None:
    """Return a number from 0 to `most`, else None."""
    written = text(value)
    if not (written.isascii() and written.isdecimal()) or len(written) > len(str(most)):
        return None
    return int(written) if int(written) <= most else None


def flag(value: object) -> bool | None:
    """Return a boolean, or None where there is none."""
    return {"true": True, "false": False}.get(text(value))


def store_number(value: object) -> str:
    """Return Apple's number of an app, as `App.store_id` holds it; nothing if it is none."""
    number = whole(value, most=2**63 - 1)
    return str(number) if number else ""
