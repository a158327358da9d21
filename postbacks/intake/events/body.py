"""Reads a request's body: inflates, parses and bounds it before any item is checked."""

import codecs
import json
import re
import zlib
from collections.abc import Iterable
from decimal import Decimal

import msgspec

MAX_BYTES = 5 * 1024 * 1024
MAX_EVENTS = 1_000
MAX_DEPTH = 20

_decoder = msgspec.json.Decoder(float_hook=Decimal)  # money is never a float
_KEY = re.compile(rb'"\s*:')
_TOO_DEEP = f"The JSON is nested more than {MAX_DEPTH} levels deep."


class BodyError(Exception):
    """The whole request is refused; nothing of it was stored."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def read_items(body: bytes, *, encoding: str = "", noun: str = "event") -> list[object]:
    """Return the items of a body: one object, an array, or `{"events": […]}`.

    `noun` names one item in the wrapping key and in errors. Raises BodyError (400, 413, 415, 422).
    """
    plural = f"{noun}s"
    data = parse_json(inflate(body, encoding.strip().lower()))
    if isinstance(data, dict) and plural in data:
        others = sorted(data.keys() - {plural})
        if others:
            raise BodyError(400, f"Beside “{plural}” the object holds “{others[0]}”; remove it.")
        data = data[plural]
        if not isinstance(data, list):
            raise BodyError(400, f"“{plural}” must be an array of {plural}.")
    items = data if isinstance(data, list) else [data]
    if not items:
        raise BodyError(422, f"The request holds no {noun}.")
    if len(items) > MAX_EVENTS:
        raise BodyError(
            413, f"{len(items)} {plural} are too many for one request; send at most {MAX_EVENTS}."
        )
    return items


def inflate(body: bytes, encoding: str) -> bytes:
    """Return a body decompressed. Raises BodyError (400, 413 or 415)."""
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        detail = f"The Content-Encoding “{encoding}” is not accepted; send gzip or none."
        raise BodyError(415, detail)
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        inflated = inflater.decompress(body, MAX_BYTES + 1)
    except zlib.error:
        raise BodyError(400, "The body is not valid gzip.") from None
    if len(inflated) > MAX_BYTES:
        raise BodyError(413, "The inflated body is larger than 5 MB; send fewer events at once.")
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
    """Return JSON parsed, with fractions as Decimal. Raises BodyError (400)."""
    body = without_mark(body)
    if not body.strip():
        raise BodyError(400, "The body is empty; send one event or an array of events as JSON.")
    try:
        data = _decoder.decode(body)
    except RecursionError:
        raise BodyError(400, _TOO_DEEP) from None
    except (msgspec.DecodeError, ValueError, ArithmeticError) as error:
        raise BodyError(400, f"The body is not valid JSON: {error}") from None
    if _is_deeper_than(data, MAX_DEPTH):
        raise BodyError(400, _TOO_DEEP)
    _refuse_duplicate_keys(body, data)
    return data


def _refuse_duplicate_keys(body: bytes, data: object) -> None:
    """Refuse an object that repeats a key: parsers disagree on which one counts.

    The fast parser silently keeps the last. Each key is one `":` in the text: if there are as many
    as keys in the data, none was lost. Strings may hold more of them; then a slow parser decides.
    """
    if len(_KEY.findall(body)) != _count_keys(data):
        json.loads(body, object_pairs_hook=_unique_keys)


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    data = dict(pairs)
    if len(data) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise BodyError(400, f"The key “{repeated}” stands twice in one object; send it once.")
    return data


def _count_keys(data: object) -> int:
    if isinstance(data, dict):
        return len(data) + sum(map(_count_keys, _containers(data.values())))
    if isinstance(data, list):
        return sum(map(_count_keys, _containers(data)))
    return 0


def _is_deeper_than(data: object, limit: int) -> bool:
    if limit < 0:
        return True
    children = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return any(_is_deeper_than(child, limit - 1) for child in _containers(children))


def _containers(values: Iterable[object]) -> list[object]:
    return [value for value in values if isinstance(value, dict | list)]
