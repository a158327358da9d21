"""Reads a request's body: inflates, parses and bounds it before anything looks at an event."""

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
_A_KEY = re.compile(rb'"\s*:')
_TOO_DEEP = f"The JSON is nested more than {MAX_DEPTH} levels deep."


class BodyError(Exception):
    """The whole request can't be taken; nothing of it was stored."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def read_events(body: bytes, *, encoding: str = "", of: str = "event") -> list[object]:
    """Return the events of a body: one object, an array, or `{"events": […]}`.

    `of` names what is reported, where it is not events. Raises BodyError (400, 413, 415 or 422).
    """
    many = f"{of}s"
    data = parse_json(inflate(body, encoding.strip().lower()))
    if isinstance(data, dict) and many in data:
        strange = sorted(data.keys() - {many})
        if strange:
            raise BodyError(400, f"Beside “{many}” the object holds “{strange[0]}”; remove it.")
        data = data[many]
        if not isinstance(data, list):
            raise BodyError(400, f"“{many}” must be an array of {many}.")
    events = data if isinstance(data, list) else [data]
    if not events:
        raise BodyError(422, f"The request holds no {of}.")
    if len(events) > MAX_EVENTS:
        raise BodyError(
            413, f"{len(events)} {many} are too many for one request; send at most {MAX_EVENTS}."
        )
    return events


def inflate(body: bytes, encoding: str) -> bytes:
    """Return a body as it was before it was compressed. Raises BodyError (400, 413 or 415)."""
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        raise BodyError(415, f"The Content-Encoding “{encoding}” is not taken; send gzip or none.")
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        inflated = inflater.decompress(body, MAX_BYTES + 1)
    except zlib.error:
        raise BodyError(400, "The body is not valid gzip.") from None
    if len(inflated) > MAX_BYTES:
        raise BodyError(413, "The inflated body is larger than 5 MB; send fewer events at once.")
    if not inflater.eof:
        raise BodyError(400, "The gzip body ends too early.")
    if inflater.unused_data:  # a second member, or what is no gzip: events would be lost silently
        raise BodyError(400, "The gzip body goes on after its end; send it as one member.")
    return inflated


def parse_json(body: bytes) -> object:
    """Return what a text of JSON says, fractions as Decimal. Raises BodyError (400)."""
    if not body.strip():
        raise BodyError(400, "The body is empty; send one event or an array of events as JSON.")
    try:
        data = _decoder.decode(body)
    except RecursionError:
        raise BodyError(400, _TOO_DEEP) from None
    except (msgspec.DecodeError, ValueError, ArithmeticError) as error:
        raise BodyError(400, f"The body is not valid JSON: {error}") from None
    if _depth_is_over(data, MAX_DEPTH):
        raise BodyError(400, _TOO_DEEP)
    _refuse_duplicate_keys(body, data)
    return data


def _refuse_duplicate_keys(body: bytes, data: object) -> None:
    """Refuse an object that names a key twice, where parsers disagree on which one counts.

    The fast parser keeps the last silently. Each key is one `":` in the text, so that as many as
    the data holds means none was lost; a text may hold more of them: then a slow parser decides.
    """
    if len(_A_KEY.findall(body)) != _count_keys(data):
        json.loads(body, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BodyError(400, f"The key “{twice}” stands twice in one object; send it once.")
    return found


def _count_keys(data: object) -> int:
    if isinstance(data, dict):
        return len(data) + sum(map(_count_keys, _containers(data.values())))
    if isinstance(data, list):
        return sum(map(_count_keys, _containers(data)))
    return 0


def _depth_is_over(data: object, limit: int) -> bool:
    if limit < 0:
        return True
    children = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return any(_depth_is_over(child, limit - 1) for child in _containers(children))


def _containers(values: Iterable[object]) -> list[object]:
    return [value for value in values if isinstance(value, dict | list)]
