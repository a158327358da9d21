"""Reads a request's body: inflates, parses and bounds it before any item is checked."""

import codecs
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any

import msgspec

from postbacks.intake.events.lenient_json import (
    MAX_DEPTH,
    TOO_DEEP,
    FlawedItem,
    InvalidJsonError,
    RepeatedKey,
    examine,
    parse_leniently,
    stands_twice,
    storable,
)
from postbacks.values.refusals import quote

MAX_BYTES = 5 * 1024 * 1024
MAX_EVENTS = 1_000
SENT_AT = "sent_at"  # of the whole request, beside its events

_decoder = msgspec.json.Decoder(float_hook=Decimal)  # money is never a float
_CONTAINERS = frozenset({dict, list})
_KEY = re.compile(rb'"\s*:')


@dataclass(frozen=True, slots=True)
class ParsedEvents:
    """The events of a body, the `sent_at` beside them, and the text that both were parsed from."""

    events: list[object]
    sent_at: object
    text: bytes


class BodyError(Exception):
    """The whole request is refused; nothing of it was stored."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def read_items(
    body: bytes, *, encoding: str = "", noun: str = "event", exact: frozenset[str] = frozenset()
) -> list[object]:
    """Return the items of a body: one object, an array, or `{"events": […]}`.

    An item with a flaw that costs only itself is a FlawedItem; a single one is refused with the
    body. `noun` names one item in the wrapping key and in errors; `exact` names the fields in which
    half a character can't be replaced. Raises BodyError (400, 413, 415, 422).
    """
    data, is_flawless = _parse(inflate(body, encoding))
    _beside, items = _unwrapped(data, noun, frozenset())
    return items if is_flawless else _examined(items, exact)


def read_events(body: bytes, *, encoding: str, exact: frozenset[str]) -> ParsedEvents:
    """Return the events of a body as `read_items` does, and the `sent_at` beside them, if any.

    Raises BodyError (400, 413, 415, 422).
    """
    text = inflate(body, encoding)
    data, is_flawless = _parse(text)
    beside, items = _unwrapped(data, "event", frozenset({SENT_AT}))
    sent_at = beside.get(SENT_AT)
    if isinstance(sent_at, str):
        sent_at = storable(sent_at)
    return ParsedEvents(items if is_flawless else _examined(items, exact), sent_at, text)


def _unwrapped(
    data: object, noun: str, allowed: frozenset[str]
) -> tuple[Mapping[str, object], list[object]]:
    """Return the object around the items, empty if there is none, and the items.

    `allowed` are its other keys. Raises BodyError (400, 413, 422).
    """
    plural = f"{noun}s"
    beside: Mapping[str, object] = {}
    if isinstance(data, dict) and plural in data:
        if isinstance(data, RepeatedKey):
            raise BodyError(400, stands_twice(data.key))
        others = sorted(data.keys() - {plural} - allowed)
        if others:
            other = storable(others[0])
            raise BodyError(400, f"Beside “{plural}” the object holds “{other}”; remove it.")
        beside = data
        data = data[plural]
        if not isinstance(data, list):
            raise BodyError(
                400, f"“{plural}” is {quote(data).lower()}. Send an array of {plural}, in […]."
            )
    items = data if isinstance(data, list) else [data]
    if not items:
        raise BodyError(422, f"The request holds no {noun}.")
    if len(items) > MAX_EVENTS:
        raise BodyError(
            413, f"{len(items)} {plural} are too many for one request; send at most {MAX_EVENTS}."
        )
    return beside, items


def _examined(items: list[object], exact: frozenset[str]) -> list[object]:
    """Return items, those with flaws as FlawedItem. Raises BodyError (400) if the only one errs."""
    examined = [examine(item, exact=exact) for item in items]
    if len(examined) == 1 and isinstance(examined[0], FlawedItem):
        for error in examined[0].errors:
            raise BodyError(400, error.detail)
    return examined


def inflate(body: bytes, encoding: str) -> bytes:
    """Return a body decompressed. Raises BodyError (400, 413 or 415)."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        detail = f"The Content-Encoding {quote(encoding)} is not accepted; send gzip or none."
        raise BodyError(415, detail)
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        inflated = inflater.decompress(body, MAX_BYTES + 1)
    except zlib.error:
        raise BodyError(400, "The body is not valid gzip.") from None
    if len(inflated) > MAX_BYTES:
        raise BodyError(413, "The inflated body is larger than 5 MB; send less at once.")
    if not inflater.eof:
        raise BodyError(400, "The gzip body ends too early.")
    if (
        inflater.unused_data
    ):  # a second member, or no gzip at all: its events would be lost silently
        raise BodyError(400, "The gzip body goes on after its end; send it as one member.")
    return inflated


def without_mark(body: bytes) -> bytes:
    """Return a body without the byte order mark that editors and .NET put before UTF-8."""
    return body.removeprefix(codecs.BOM_UTF8)


def parse_json(body: bytes) -> object:
    """Return JSON parsed, with fractions as Decimal. Raises BodyError (400) for any flaw."""
    data, is_flawless = _parse(body)
    if is_flawless:
        return data
    (examined,) = _examined([data], frozenset())
    return examined.value if isinstance(examined, FlawedItem) else examined


def _parse(body: bytes) -> tuple[object, bool]:
    """Return JSON parsed, and whether it has no flaws; else its items must be examined.

    The fast parser silently keeps the last of repeated keys. Each key is one `":` in the text: if
    there are as many as keys in the data, none was lost. Strings may hold more of them; then, and
    where the fast parser fails, a slow one decides.
    """
    body = without_mark(body)
    if not body.strip():
        raise BodyError(400, "The body is empty; send one event or an array of events as JSON.")
    try:
        data = _decoder.decode(body)
        if len(_KEY.findall(body)) == _count_keys(data):
            return data, True
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError):
        pass  # the slow parser finds where, and says it in words
    try:
        return parse_leniently(body), False
    except (InvalidJsonError, RecursionError) as error:
        detail = str(error) if isinstance(error, InvalidJsonError) else TOO_DEEP
        raise BodyError(400, detail) from None


def _count_keys(data: object) -> int | None:
    """Return how many keys the objects in parsed JSON have; None if it is nested too deep."""
    keys = 0
    level: list[Any] = [data] if type(data) in _CONTAINERS else []
    for _ in range(MAX_DEPTH + 1):
        objects = [container for container in level if type(container) is dict]
        keys += sum(map(len, objects))
        lists = [container for container in level if type(container) is list]
        values = chain(chain.from_iterable(map(dict.values, objects)), chain.from_iterable(lists))
        deeper = [value for value in values if type(value) in _CONTAINERS]
        if not deeper:
            return keys
        level = deeper
    return None
