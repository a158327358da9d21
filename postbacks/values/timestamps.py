"""Reads the times that SDKs, stores, links and networks send: one reader for all of them."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MILLISECONDS: Final = 100_000_000_000  # as seconds it would be the year 5138
_FIRST_MICROSECONDS: Final = 1_000 * _FIRST_MILLISECONDS
_MOST_DIGITS: Final = 18  # microseconds of the year 9999; beyond it arithmetic is only costly
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,3})?")
# Adjust writes …T15:57:04.000Z+0200, with a Z that means nothing, and others a blank or a name.
_OFFSET: Final = re.compile(r"(?:Z| ?(?:UTC|GMT)| )(?P<offset>[+-]\d{2}:?\d{2})")
# A plus that nobody encoded in a URL arrives as a blank.
_LOST_PLUS: Final = re.compile(r"(?:Z|(?<=:\d\d)|(?<=\.\d{3})) (?P<offset>\d{2}:?\d{2})")
_NAMED_UTC: Final = re.compile(r" ?(?:UTC|GMT)")
_SPELLINGS: Final = (
    (_OFFSET, r"\g<offset>"),
    (_LOST_PLUS, r"+\g<offset>"),
    (_NAMED_UTC, "+00:00"),
)
_LONGEST: Final = 64


def parse_timestamp(
    value: object, *, naive: Literal["refuse", "utc"] = "refuse"
) -> datetime | None:
    """Return an aware time of Unix seconds, milliseconds, microseconds, or ISO 8601; else None.

    Zero and below are no time: stores send 0 for none. An ISO time keeps its offset. Without one it
    could be hours wrong, and is refused, unless `naive` says to take it as UTC.
    """
    if isinstance(value, str):
        text = value.strip()
        return _from_number(Decimal(text)) if _NUMBER.fullmatch(text) else _from_iso(text, naive)
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return _from_number(Decimal(value))
    return _from_number(Decimal(repr(value))) if isinstance(value, float) else None


def without_offset(text: str) -> str:
    """Return an ISO time that lacks only its offset as one of UTC; of any other text nothing."""
    if parse_timestamp(text) is not None or (moment := _from_iso(text.strip(), "utc")) is None:
        return ""
    return moment.replace(tzinfo=None).isoformat() + "Z"


def _from_number(number: Decimal) -> datetime | None:
    if not number.is_finite() or number <= 0 or number.adjusted() > _MOST_DIGITS:
        return None
    seconds = number
    if number >= _FIRST_MICROSECONDS:
        seconds = number / 1_000_000
    elif number >= _FIRST_MILLISECONDS:
        seconds = number / 1_000
    try:
        return _EPOCH + timedelta(microseconds=int(seconds * 1_000_000))
    except OverflowError:
        return None


def _from_iso(text: str, naive: Literal["refuse", "utc"]) -> datetime | None:
    try:
        moment = _iso_time(text)
        if moment.tzinfo is None:
            return None if naive == "refuse" else moment.replace(tzinfo=UTC)
        moment.astimezone(UTC)  # may be beyond the years 1 and 9999
    except (OverflowError, ValueError):
        return None
    return moment


def _iso_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # most are plain
        return datetime.fromisoformat(_with_plain_offset(text))


def _with_plain_offset(text: str) -> str:
    if len(text) > _LONGEST:
        return text
    for pattern, offset in _SPELLINGS:
        match = pattern.search(text)
        if match and match.end() == len(text):
            return text[: match.start()] + match.expand(offset)
    return text
