"""The arguments of filters, checked when a template is compiled."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from postbacks.callbacks.macros.problems import nearest

_CURRENCY: Final = re.compile(r"[A-Za-z]{3}")
# A fixed set: a width as in %999999999d would write gigabytes, and %s means the server's own zone.
_DIRECTIVE: Final = re.compile(r"%([aAbBdFHIjmMpSTuyYzZ%]?)")
_LONGEST_FORMAT: Final = 64


class ArgumentError(ValueError):
    """A filter can't work with its argument; the message is for people."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.suggestion = suggestion


def required(argument: str | None, example: str) -> str:
    if not argument:
        raise ArgumentError(f"An argument is missing, for example {example}.")
    return argument


def whole_number(argument: str | None, *, lowest: int, highest: int) -> int:
    text = argument or ""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len("10000") else -1
    if not lowest <= number <= highest:
        raise ArgumentError(f"The argument must be a whole number from {lowest} to {highest}.")
    return number


def currency(argument: str | None) -> str:
    code = required(argument, 'convert:"EUR"')
    if not _CURRENCY.fullmatch(code):
        raise ArgumentError("A currency has three letters, for example EUR.")
    return code.upper()


def two_words(argument: str | None) -> tuple[str, str]:
    """Return the words for true and for false."""
    words = (argument if argument is not None else "1,0").split(",")
    if len(words) != len(("true", "false")):
        raise ArgumentError('Two words are needed, for true and for false: bool:"1,0".')
    return words[0].strip(), words[1].strip()


def mapping(argument: str | None) -> Mapping[str, str]:
    """Return a table that was written as "ios=1,android=2"."""
    table: dict[str, str] = {}
    for pair in required(argument, 'map:"ios=1,android=2"').split(","):
        source, equals, target = pair.partition("=")
        if not equals or not source.strip():
            raise ArgumentError('Pairs are needed: map:"ios=1,android=2".')
        table[source.strip()] = target.strip()
    return table


def date_format(argument: str | None) -> str:
    """Return a strftime format whose directives mean the same on every system."""
    text = required(argument, 'date:"%Y-%m-%d"')
    if len(text) > _LONGEST_FORMAT:
        raise ArgumentError(f"A date format has at most {_LONGEST_FORMAT} characters.")
    for directive in _DIRECTIVE.finditer(text):
        if not directive[1]:
            unknown = text[directive.start() : directive.start() + 2]
            raise ArgumentError(f"{unknown} can't be used in a date format.")
    if not text.isprintable():
        raise ArgumentError("A date format can't hold control characters.")
    return text.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S")


def time_zone(argument: str | None) -> ZoneInfo:
    name = required(argument, 'tz:"Europe/Kyiv"')
    zones = _zones()
    if name not in zones:
        close = nearest(name, zones)
        raise ArgumentError(f"Unknown time zone {name[:64]}.", zones[close] if close else None)
    return ZoneInfo(name)


@cache
def _zones() -> Mapping[str, str]:
    names = available_timezones()
    return {name.lower(): name for name in names} | {name: name for name in names}
