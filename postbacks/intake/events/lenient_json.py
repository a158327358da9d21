"""Reads JSON that the fast reader refuses, so that one bad item does not cost its neighbors.

Half a surrogate pair, a key that stands twice, nesting without end, NaN: each is found in the item
that holds it. Plain Python.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final

from postbacks.intake.receipts import FieldError, json_pointer
from postbacks.values.refusals import quote

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
_MOST_ERRORS: Final = 100  # of one item, which is refused anyway; and of remarks on its texts
_LONGEST_STEP: Final = 200  # of a pointer: else a long name would be copied for all inside it
# A text without an end is one token too: else each quote inside it would begin another search.
TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?+|[\[\]{}]', re.DOTALL)
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
    value = examination.checked(item, ())
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

    def checked(self, value: object, steps: tuple[str | int, ...]) -> object:
        """Return a value without its flaws; `steps` lead to it, as those of a JSON pointer do.

        The rest of an item with too many errors is left as it is: a refusal names no more.
        """
        if len(self.errors) >= _MOST_ERRORS:
            return value
        if isinstance(value, str):
            return self._text(value, steps)
        if isinstance(value, dict):
            return self._object(value, steps)
        if isinstance(value, list):
            return [self.checked(part, (*steps, at)) for at, part in enumerate(value)]
        if isinstance(value, NoJsonNumber):
            self._refuse(
                steps, f"{value.text} is no number in JSON; write a number, or leave the field out."
            )
            return None
        return value

    def _text(self, text: str, steps: tuple[str | int, ...]) -> str:
        if not _HALF.search(text):
            return text
        if not steps or (len(steps) == 1 and steps[0] in self.exact):
            self._refuse(steps, _HALF_IN_ID)
        elif len(self.repaired) < _MOST_ERRORS:
            self.repaired.append(FieldError(_pointer(steps), REPAIRED))
        # Two halves that an encoder wrote apart become the character that they are.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _object(
        self, members: dict[str, object], steps: tuple[str | int, ...]
    ) -> dict[str, object]:
        if isinstance(members, RepeatedKey):
            self._refuse((*steps, members.key), stands_twice(members.key))
        if any(_HALF.search(name) for name in members):
            self._refuse(steps, _HALF_IN_KEY)
        return {name: self.checked(value, (*steps, name)) for name, value in members.items()}

    def _refuse(self, steps: tuple[str | int, ...], detail: str) -> None:
        self.errors.append(FieldError(_pointer(steps), detail))


def stands_twice(key: str) -> str:
    """Return the sentence for a key that stands twice in one object."""
    return f"The key {quote(key)} stands twice in one object; send it once."


def misplaced_mark(text: str, position: int) -> str:
    """Return the sentence for a byte order mark where JSON can't be read; "" if none is there."""
    if not text.startswith(codecs.BOM_UTF8.decode(), position):
        return ""
    return (
        f"Character {position + 1:,} of the JSON is a byte order mark (U+FEFF), which nobody sees. "
        "One before the JSON is skipped; remove this one."
    )


def _pointer(steps: Iterable[str | int]) -> str:
    return storable("".join(json_pointer(_shortened(str(step))) for step in steps))


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_STEP else f"{name[:_LONGEST_STEP]}…"


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
        if mark := misplaced_mark(text, error.pos):
            raise InvalidJsonError(mark) from None
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
    for token in TOKEN.finditer(text):
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
