"""The values of macros, and their forms as text, JSON, number and time.

A value without a form becomes None, which means no value.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final, Protocol

from postbacks.callbacks.facts import Facts
from postbacks.values import outgoing_request
from postbacks.values.timestamps import parse_timestamp

Value = (
    str | int | Decimal | bool | datetime | Mapping[str, object] | Sequence[object] | None
)  # None, "" and an absent key all mean: no value

EXACT: Final = Context(prec=200, rounding=ROUND_HALF_UP)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MOST_DIGITS: Final = 60  # 1E+999999 is short to send us and long to write out
_MOST_BITS: Final = _MOST_DIGITS * 3
_DEEPEST: Final = 64
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?")
_quoted: Final = json.JSONEncoder(ensure_ascii=False).encode


class Rates(Protocol):
    """The exchange rates of a day."""

    def convert(self, amount: Decimal, source: str, target: str) -> Decimal | None:
        """Return the amount in the target currency; None without a rate, never 1:1."""


class EventValues(Protocol):
    """What a macro may be made of: an event's facts, and the values of other macros.

    `params` are the event's own parameters and `click` those of the click URL, both empty if they
    are withheld. `field` reads a field of the event, or else the parameter of that name.
    """

    @property
    def facts(self) -> Facts: ...

    @property
    def params(self) -> Mapping[str, object]: ...

    @property
    def click(self) -> Mapping[str, object]: ...

    @property
    def rates(self) -> Rates | None: ...

    def get(self, name: str, /) -> Value: ...

    def field(self, name: str) -> object: ...


class JsonText(str):
    """Text that is JSON already, which a JSON body takes over unchanged."""

    __slots__ = ()


@dataclass(slots=True)
class RenderScope:
    """Everything that one rendering may read, and how much its filters have written."""

    values: Mapping[str, Value]
    credentials: Mapping[str, str]
    rates: Rates | None = None
    written: int = 0  # characters, of long texts only
    _texts: dict[int, JsonText] | None = None

    def text_of_container(self, value: object) -> JsonText:
        """Return an object or a list of the event as JSON, which is written once."""
        if self._texts is None:
            self._texts = {}
        text = self._texts.get(id(value))  # the event keeps its values alive
        if text is None:
            text = self._texts[id(value)] = JsonText(json_of(value))
        return text


class Masked(str):
    """Stands in place of a credential where people may see it."""

    __slots__ = ()


MASK: Final = Masked(outgoing_request.MASK)


def present(value: object) -> object | None:
    """Return the value, or None if it is empty or a number that can't be written out."""
    if isinstance(value, str):
        return value or None
    if type(value) is int:
        return value if value.bit_length() <= _MOST_BITS else None
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        return value if value.is_finite() and _is_writable(value) else None
    return value


def text_of(value: object) -> str:
    """Return a value as text: Unix seconds, true/false, digits without an exponent, JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        text = str(value)
        return text if "E" not in text else format(value, "f")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping | list | tuple):
        return json_of(value)
    if isinstance(value, datetime):
        return str(unix_seconds(value))
    return str(value)


def json_of(value: object, depth: int = 0) -> str:
    """Return a value as JSON of its own type; null without a value."""
    value = present(value) if value != "" else value
    if value is None or depth > _DEEPEST:
        return "null"
    if isinstance(value, JsonText):
        return str(value)
    if isinstance(value, bool | int | Decimal | datetime):
        return text_of(value)
    if isinstance(value, Mapping):
        members = (f"{_quoted(str(k))}:{json_of(v, depth + 1)}" for k, v in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(json_of(item, depth + 1) for item in value) + "]"
    return _quoted(str(value))


def json_string_content(text: str) -> str:
    """Escape text for the inside of a JSON string."""
    return _quoted(str(text))[1:-1]


def number_of(value: object) -> Decimal | None:
    """Return a value as an exact number; a boolean counts as 1 or 0."""
    if isinstance(value, str):
        text = value.strip()
        return Decimal(text) if _NUMBER.fullmatch(text) else None
    value = present(value)
    if isinstance(value, Decimal):
        return value
    return Decimal(value) if isinstance(value, int) else None


def trimmed(number: Decimal) -> Decimal:
    """Return a number without trailing zeros: 499.00 becomes 499."""
    whole = number.to_integral_value(context=EXACT)
    return whole if whole == number else number.normalize(EXACT)


def time_of(value: object) -> datetime | None:
    """Return a value as a time: a time, Unix seconds or milliseconds, or ISO 8601.

    A time without an offset counts as UTC.
    """
    if isinstance(value, datetime):
        return _aware(value)
    return parse_timestamp(value, naive="utc")


def unix_seconds(time: datetime) -> int:
    return (_aware(time) - _EPOCH) // _SECOND


def unix_milliseconds(time: datetime) -> int:
    return (_aware(time) - _EPOCH) // _MILLISECOND


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _is_writable(number: Decimal) -> bool:
    if number.adjusted() > _MOST_DIGITS:
        return False
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_MOST_DIGITS
