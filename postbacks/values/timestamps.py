"""Reads the times that stores and SDKs send: seconds, milliseconds or ISO 8601."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

_MILLISECONDS_FROM = 100_000_000_000  # as seconds that would be the year 5138


def parse_timestamp(value: object) -> datetime | None:
    """Return a time; None for zero, which stores send for none, and for what is no time.

    A time without its offset from UTC is none: it could be hours wrong.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    text = str(value).strip()
    try:
        return _of_number(Decimal(text))
    except InvalidOperation:
        return _of_text(text)


def _of_number(number: Decimal) -> datetime | None:
    if not number.is_finite() or number <= 0:
        return None
    seconds = number / 1000 if number >= _MILLISECONDS_FROM else number
    try:
        return datetime.fromtimestamp(float(seconds), UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _of_text(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        return None if found.tzinfo is None else found.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
