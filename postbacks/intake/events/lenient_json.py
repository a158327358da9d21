"""Reads JSON that the fast reader refuses, so that one bad item does not cost its neighbors.

Half a surrogate pair, a key that stands twice, nesting without end, NaN: each is found in the item
that holds it. Plain Python.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final

from postbacks.intake.receipts import FieldError, json_pointer

MAX_DEPTH: Final = 20
TOO_DEEP: Final = f"The JSON is nested more than {MAX_DEPTH} levels deep; send fewer levels."
REPAIRED: Final = (
    "The text holds half a character (one half of a UTF-16 surrogate pair, or a byte that is no "
    "UTF-8); it was kept with “\ufffd” in its place. Cut texts between characters."
)
_HALF_IN_ID: Final = (
    "The value holds half a character (one half of a UTF-16 surrogate pair, or a byte that is no "
    "UTF-8), so that it would be another value; send it whole."
)
_HALF_IN_KEY: Final = "A name holds half a character; send whole characters, in UTF-8."

_KEPT_DEPTH: Final = 2 * MAX_DEPTH  # deeper parts are left out: their item is refused anyway
_LONGEST_INTEGER: Final = 4_000  # digits; Python refuses to convert more than 4,300
_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)
_HALF: Final = re.compile("[\ud800-\udfff]")


class InvalidJsonError(ValueError):
    """The text is no JSON; the message says where, and what helps."""


@dataclass(frozen=True, slots=True)
class FlawedItem:
    """An item that the fast reader refused: it has errors, or was repaired."""

    value: object
    errors: tuple[FieldError, ...] = ()
    repaired: tuple[FieldError, ...] = ()


class RepeatedKey(dict[str, object]):
    """An object in which a key stands twice: parsers disagree on which one counts."""

    key: str = ""


@dataclass(frozen=True, slots=True)
class NoJsonNumber:
    """A number that is none in JSON, such as NaN, or that nothing can hold."""

    text: str


def parse_leniently(body: bytes) -> object:
    """Return JSON parsed, with its flaws marked for `examine`. Raises InvalidJsonError."""
    text = _decoded(body)
    try:
        return _parsed(text)
    except RecursionError:
        return _parsed(_without_depths(text))


def examine(item: object, *, exact: frozenset[str] = frozenset()) -> object:
    """Return an item as it was parsed, or as a FlawedItem if it has flaws.

    Half a character in a field of `exact` is an error: an id or a name would be another one. In any
    other text it is replaced.
    """
    if is_deeper_than(item, MAX_DEPTH):
        return FlawedItem(None, (FieldError("", TOO_DEEP),))
    examination = _Examination(exact)
    value = examination.checked(item, "")
    if not (examination.errors or examination.repaired):
        return value
    return FlawedItem(value, tuple(examination.errors), tuple(examination.repaired))


def is_deeper_than(data: object, limit: int) -> bool:
    if limit < 0:
        return True
    children = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    inner = [child for child in children if isinstance(child, dict | list)]
    return bool(inner) and any(is_deeper_than(child, limit - 1) for child in inner)


@dataclass(slots=True)
class _Examination:
    exact: frozenset[str]
    errors: list[FieldError] = field(default_factory=list)
    repaired: list[FieldError] = field(default_factory=list)

    def checked(self, value: object, pointer: str) -> object:
        if isinstance(value, str):
            return self._text(value, pointer)
        if isinstance(value, dict):
            return self._object(value, pointer)
        if isinstance(value, list):
            return [self.checked(part, f"{pointer}/{at}") for at, part in enumerate(value)]
        if isinstance(value, NoJsonNumber):
            detail = f"{value.text} is no number in JSON; write a number, or leave the field out."
            self.errors.append(FieldError(pointer, detail))
            return None
        return value

    def _text(self, text: str, pointer: str) -> str:
        if not _HALF.search(text):
            return text
        if not pointer or pointer[1:] in self.exact:
            self.errors.append(FieldError(pointer, _HALF_IN_ID))
        else:
            self.repaired.append(FieldError(pointer, REPAIRED))
        # Two halves that an encoder wrote apart become the character that they are.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _object(self, members: dict[str, object], pointer: str) -> dict[str, object]:
        if isinstance(members, RepeatedKey):
            detail = f"The key “{members.key}” stands twice in one object; send it once."
            self.errors.append(FieldError(storable(pointer + json_pointer(members.key)), detail))
        if any(_HALF.search(name) for name in members):
            self.errors.append(FieldError(pointer, _HALF_IN_KEY))
        return {
            name: self.checked(value, storable(pointer + json_pointer(name)))
            for name, value in members.items()
        }


def _decoded(body: bytes) -> str:
    """Return the text; a byte that is no UTF-8 becomes half a surrogate pair, as half of one is."""
    try:
        return body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return body.decode("utf-8", "surrogateescape")


def _parsed(text: str) -> object:
    try:
        return json.loads(
            text,
            parse_float=_number,
            parse_int=_integer,
            parse_constant=NoJsonNumber,
            object_pairs_hook=_members,
        )
    except RecursionError:
        raise
    except json.JSONDecodeError as error:
        near = storable(text[error.pos : error.pos + 20]) or "the end"
        raise InvalidJsonError(
            f"The body is not valid JSON: at line {error.lineno}, column {error.colno}, before "
            f"“{near}”. Send JSON in UTF-8, with names and texts in double quotes."
        ) from None


def _number(text: str) -> Decimal | NoJsonNumber:
    try:
        return Decimal(text)
    except InvalidOperation:
        return NoJsonNumber(text[:40])


def _integer(text: str) -> int | NoJsonNumber:
    return int(text) if len(text) <= _LONGEST_INTEGER else NoJsonNumber(f"{text[:40]}…")


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    repeated = RepeatedKey(members)
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            repeated.key = storable(name)
            break
        names.add(name)
    return repeated


def _without_depths(text: str) -> str:
    """Return JSON without what is nested too deep for the parser."""
    return "".join(_shallow_pieces(text))


def _shallow_pieces(text: str) -> Iterator[str]:
    depth = kept_from = 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first in "[{":
            depth += 1
            if depth == _KEPT_DEPTH + 1:
                yield text[kept_from : token.start()]
        elif first in "]}":
            if depth == _KEPT_DEPTH + 1:
                yield "0"
                kept_from = token.end()
            depth -= 1
    if depth <= _KEPT_DEPTH:
        yield text[kept_from:]


def storable(text: str) -> str:
    """Return a text without halves of characters, which no answer can hold."""
    return text.encode("utf-8", "replace").decode()
