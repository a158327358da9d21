"""A template with a hole in place of each macro.

The structure of a URL, a form or a JSON body is read from the skeleton, which holds nothing but
what a person wrote, so no value can ever take part in it.
"""

import re
import string
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from postbacks.callbacks.macros.expressions import Expression, compile_expression
from postbacks.callbacks.macros.parser import MacroCall, macros_in
from postbacks.callbacks.macros.problems import Problems

HOLE: Final = "\0"
UNRESERVED: Final = string.ascii_letters + string.digits + "-._~"
MOST_MACROS: Final = 200

_UNSENDABLE: Final = re.compile("[\0\ud800-\udfff]")

Encoder = Callable[[object], str]


@dataclass(frozen=True, slots=True)
class Hole:
    """This is the place of one macro; `index` is its number within the whole request.

    `expression` is None where the macro is broken: structure is still checked around it.
    """

    index: int
    position: int
    expression: Expression | None

    @property
    def raw(self) -> bool:
        """This tells whether the macro leaves its encoding out."""
        return self.expression is not None and self.expression.raw


@dataclass(frozen=True, slots=True)
class Slot:
    """This writes the value of one macro, encoded for its place."""

    index: int
    encode: Encoder


Chunk = str | Slot


@dataclass(frozen=True, slots=True)
class SkeletonRow:
    """This is chunks laid out to be filled often: texts with gaps, and what goes into each gap.

    Only for places that write text as text: a whole JSON value has quotes around it.
    """

    texts: tuple[str, ...]
    slots: tuple[tuple[int, int, Encoder], ...]

    def fill(self, results: Sequence[object]) -> str:
        """This writes text and values one after the other."""
        pieces = list(self.texts)
        for place, index, encode in self.slots:
            value = results[index]
            # Most values are of characters that every place writes as they are.
            is_safe = type(value) is str and not value.strip(UNRESERVED)
            pieces[place] = value if is_safe else encode(value)  # type: ignore[call-overload]  # str
        return "".join(pieces)


def laid_out(chunks: Sequence[Chunk]) -> SkeletonRow:
    """These are the same chunks, quicker to fill."""
    return SkeletonRow(
        tuple(it if isinstance(it, str) else "" for it in chunks),
        tuple(
            (place, it.index, it.encode) for place, it in enumerate(chunks) if isinstance(it, Slot)
        ),
    )


@dataclass(frozen=True, slots=True)
class Skeleton:
    """This is the template's own text with HOLE characters, and the holes by their place in it."""

    text: str
    holes: dict[int, Hole]
    lengths: dict[int, int]

    def position(self, place: int) -> int:
        """This turns a place in the skeleton into one in the template."""
        return place + sum(length - 1 for at, length in self.lengths.items() if at < place)

    def holes_in(self, start: int, end: int) -> list[Hole]:
        """These are the holes of a part, in order."""
        return [hole for at, hole in self.holes.items() if start <= at < end]

    def chunks(
        self,
        start: int,
        end: int,
        literal: Callable[[str], str],
        encoder: Callable[[Hole], Encoder],
    ) -> tuple[Chunk, ...]:
        """This is a part made ready for rendering: encoded text and slots by turns."""
        found: list[Chunk] = []
        place = start
        for text in self.text[start:end].split(HOLE):
            if text:
                found.append(literal(text))
            place += len(text)
            if place < end:
                hole = self.holes[place]
                found.append(Slot(hole.index, encoder(hole)))
            place += 1
        return tuple(found)


def fill(chunks: Sequence[Chunk], results: Sequence[object]) -> str:
    """This writes text and values one after the other."""
    return "".join([it if isinstance(it, str) else it.encode(results[it.index]) for it in chunks])


def read_skeleton(
    text: str,
    expressions: list[Expression | None],
    credential_names: Collection[str],
    problems: Problems,
) -> Skeleton:
    """This takes a template apart and compiles its macros, adding them to `expressions`."""
    pieces: list[str] = []
    holes: dict[int, Hole] = {}
    lengths: dict[int, int] = {}
    size = end = 0
    for found in macros_in(text):
        if len(expressions) >= MOST_MACROS:
            problems.add(found.start, f"A request has at most {MOST_MACROS} macros.")
            break
        literal = _literal(text[end : found.start], end, problems)
        pieces += (literal, HOLE)
        expression = None
        if isinstance(found, MacroCall):
            expression = compile_expression(found, credential_names, problems)
        else:
            problems.add(found.position, found.message)
        size += len(literal)
        holes[size] = Hole(len(expressions), found.start, expression)
        lengths[size] = found.end - found.start
        expressions.append(expression)
        size += 1
        end = found.end
    pieces.append(_literal(text[end:], end, problems))
    return Skeleton("".join(pieces), holes, lengths)


def _literal(text: str, start: int, problems: Problems) -> str:
    unsendable = _UNSENDABLE.search(text)
    if unsendable is None:
        return text
    problems.add(start + unsendable.start(), "This character can't be sent.")
    return _UNSENDABLE.sub("?", text)
