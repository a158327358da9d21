"""A template with a hole in place of each macro.

The structure of a URL, form or JSON body is parsed from the skeleton, which holds only the text
that a person wrote, so no value can ever change it.
"""

import re
import string
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from postbacks.callbacks.macros.expressions import Expression, compile_expression
from postbacks.callbacks.macros.parser import MacroCall, macros_in
from postbacks.callbacks.macros.problems import Problems, too_large

HOLE: Final = "\0"
UNRESERVED: Final = string.ascii_letters + string.digits + "-._~"
MOST_MACROS: Final = 200

_UNSENDABLE: Final = re.compile("[\0\ud800-\udfff]")

ROOM_FOR_SECRETS: Final = 262_144

Encoder = Callable[[object], str]


@dataclass(frozen=True, slots=True)
class Limit:
    """How long a part of a request may become; it is checked while the part is written.

    Then credentials are not counted: whether the rest fits must not depend on how long they are.
    """

    part: str
    most: int

    def check(self, size: int) -> None:
        """Raise RenderError if so many characters are too many."""
        if size > self.most:
            raise too_large(self.part, self.most)


LONGEST_BODY: Final = 1_048_576
BODY_LIMIT: Final = Limit("The body", LONGEST_BODY)
_LONG: Final = 512  # shorter texts are not counted: a request has few macros


@dataclass(frozen=True, slots=True)
class Hole:
    """The place of one macro; `index` is its number within the whole request.

    `expression` is None if the macro is broken: the structure around it is still checked.
    """

    index: int
    position: int
    expression: Expression | None

    @property
    def raw(self) -> bool:
        return self.expression is not None and self.expression.raw

    @property
    def secret(self) -> bool:
        return self.expression is not None and self.expression.secret


@dataclass(frozen=True, slots=True)
class Slot:
    """Where to write a macro's value, how to encode it there, and whether that is a secret.

    A text of `unreserved` characters stays as it is. In place of a whole JSON value there are none:
    a text has quotes around it.
    """

    index: int
    encode: Encoder
    secret: bool = False
    unreserved: str = UNRESERVED


Chunk = str | Slot


@dataclass(frozen=True, slots=True)
class SkeletonRow:
    """Chunks laid out to be filled often: texts with gaps, and the slot of each gap."""

    texts: tuple[str, ...]
    slots: tuple[tuple[int, int, Encoder, bool, str], ...]

    def fill(self, results: Sequence[object], limit: Limit = BODY_LIMIT) -> str:
        """Join texts and values. Raises RenderError beyond the limit."""
        pieces = list(self.texts)
        size = 0
        for gap, index, encode, secret, unreserved in self.slots:
            value = results[index]
            # Most values consist of characters that no place needs to encode.
            if type(value) is str and not value.strip(unreserved):
                pieces[gap] = value
                continue
            pieces[gap] = piece = encode(value)
            if len(piece) > _LONG and not secret:
                size += len(piece)
                limit.check(size)
        return "".join(pieces)


def laid_out(chunks: Sequence[Chunk]) -> SkeletonRow:
    """Return chunks in the form that is filled; neighboring texts are joined."""
    joined: list[Chunk] = []
    for chunk in chunks:
        last = joined[-1] if joined else None
        if isinstance(chunk, Slot) or not isinstance(last, str):
            joined.append(chunk)
        else:
            joined[-1] = last + chunk
    return SkeletonRow(
        tuple(chunk if isinstance(chunk, str) else "" for chunk in joined),
        tuple(
            (gap, chunk.index, chunk.encode, chunk.secret, chunk.unreserved)
            for gap, chunk in enumerate(joined)
            if isinstance(chunk, Slot)
        ),
    )


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The template's own text with HOLE characters, and the holes by their offset in it.

    `lengths` are those of the macros that the holes stand for.
    """

    text: str
    holes: dict[int, Hole]
    lengths: dict[int, int]

    def position(self, offset: int) -> int:
        """Return the position in the template of an offset in the skeleton."""
        return offset + sum(length - 1 for hole, length in self.lengths.items() if hole < offset)

    def holes_in(self, start: int, end: int) -> list[Hole]:
        """Return the holes of a part, in order."""
        return [hole for offset, hole in self.holes.items() if start <= offset < end]

    def chunks(
        self,
        start: int,
        end: int,
        literal: Callable[[str], str],
        encoder: Callable[[Hole], Encoder],
    ) -> tuple[Chunk, ...]:
        """Return a part as its own encoded text and the slots of its macros, by turns."""
        chunks: list[Chunk] = []
        offset = start
        for text in self.text[start:end].split(HOLE):
            if text:
                chunks.append(literal(text))
            offset += len(text)
            if offset < end:
                hole = self.holes[offset]
                chunks.append(Slot(hole.index, encoder(hole), hole.secret))
            offset += 1
        return tuple(chunks)


def join_within(limit: Limit, separator: str, texts: Iterable[str]) -> str:
    """Join texts, each written when its turn comes. Raises RenderError far beyond the limit.

    Credentials in them are counted here, so there is room for them.
    """
    written: list[str] = []
    size = -ROOM_FOR_SECRETS
    for text in texts:
        size += len(text)
        limit.check(size)
        written.append(text)
    return separator.join(written)


def all_missing(indexes: Collection[int], results: Sequence[object]) -> bool:
    """Tell whether there are macros at these indexes, and none has a value."""
    for index in indexes:
        if results[index] is not None:
            return False
    return bool(indexes)


def read_skeleton(
    text: str,
    expressions: list[Expression | None],
    credential_names: Collection[str],
    problems: Problems,
) -> Skeleton:
    """Split a template from its macros, which are compiled and appended to `expressions`."""
    pieces: list[str] = []
    holes: dict[int, Hole] = {}
    lengths: dict[int, int] = {}
    size = end = 0
    for macro in macros_in(text):
        if len(expressions) >= MOST_MACROS:
            problems.add(macro.start, f"A request has at most {MOST_MACROS} macros.")
            break
        literal = _literal(text[end : macro.start], end, problems)
        pieces += (literal, HOLE)
        expression = None
        if isinstance(macro, MacroCall):
            expression = compile_expression(macro, credential_names, problems)
        else:
            problems.add(macro.position, macro.message)
        size += len(literal)
        holes[size] = Hole(len(expressions), macro.start, expression)
        lengths[size] = macro.end - macro.start
        expressions.append(expression)
        size += 1
        end = macro.end
    pieces.append(_literal(text[end:], end, problems))
    return Skeleton("".join(pieces), holes, lengths)


def _literal(text: str, start: int, problems: Problems) -> str:
    unsendable = _UNSENDABLE.search(text)
    if unsendable is None:
        return text
    problems.add(start + unsendable.start(), "This character can't be sent.")
    return _UNSENDABLE.sub("?", text)
