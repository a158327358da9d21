"""Compiles a JSON body from its parsed template, so that the rendered body always parses.

A macro may stand for a value, which is written with its own type, or inside a string, where it is
escaped. It may stand nowhere else, in particular not in a member's name.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from postbacks.callbacks.macros.encoders import for_json_string, for_json_value
from postbacks.callbacks.macros.problems import Problems
from postbacks.callbacks.macros.skeleton import (
    BODY_LIMIT,
    HOLE,
    Chunk,
    Skeleton,
    SkeletonRow,
    Slot,
    all_missing,
    join_within,
    laid_out,
)

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR: Final = re.compile(
    r"(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)(?![\w.+-])"
)
_DEEPEST: Final = 32


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an object; `droppable` are the indexes of the macros that make up its value."""

    parts: "tuple[Part, ...]"  # its name too
    droppable: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Members:
    """An object some of whose members may be dropped."""

    members: tuple[Member, ...]


Part = SkeletonRow | Members
_ReadPart = Chunk | Members


def render_json(parts: Sequence[Part], results: Sequence[object]) -> str:
    """Render a compiled JSON template. Raises RenderError if it becomes too long for a body."""
    if len(parts) == 1 and isinstance(parts[0], SkeletonRow):
        return parts[0].fill(results)
    texts = (
        part.fill(results) if isinstance(part, SkeletonRow) else _render_members(part, results)
        for part in parts
    )
    return join_within(BODY_LIMIT, "", texts)


def compile_json(skeleton: Skeleton, problems: Problems, *, drop: bool) -> tuple[Part, ...]:
    """Compile a JSON template; return nothing, and add a problem, if it is not JSON."""
    reader = _JsonTemplateReader(skeleton, drop=drop)
    try:
        parts = reader.document()
    except _NotJsonError as error:
        problems.add(skeleton.position(error.position), error.message)
        return ()
    return _laid_out(parts)


def _render_members(item: Members, results: Sequence[object]) -> str:
    texts = (
        render_json(member.parts, results)
        for member in item.members
        if not all_missing(member.droppable, results)
    )
    return f"{{{join_within(BODY_LIMIT, ',', texts)}}}"


class _NotJsonError(Exception):
    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position
        self.message = message


class _JsonTemplateReader:
    """Reads JSON whose values may be holes, by recursive descent."""

    def __init__(self, skeleton: Skeleton, *, drop: bool) -> None:
        self.skeleton = skeleton
        self.text = skeleton.text
        self.position = 0
        self.drop = drop

    def document(self) -> list[_ReadPart]:
        parts = self._value(0)
        self._skip_space()
        if self.position < len(self.text):
            self._fail("The JSON body should end here.")
        return parts

    def _value(self, depth: int) -> list[_ReadPart]:
        self._skip_space()
        if depth > _DEEPEST:
            self._fail(f"The JSON body is nested more than {_DEEPEST} deep.")
        match self.text[self.position : self.position + 1]:
            case "{":
                return self._object(depth)
            case "[":
                return self._array(depth)
            case '"':
                return list(self._string())
            case "\0":
                hole = self.skeleton.holes[self.position]
                self.position += 1
                return [Slot(hole.index, for_json_value(hole), hole.secret, unreserved="")]
            case _:
                return [self._scalar()]

    def _object(self, depth: int) -> list[_ReadPart]:
        self.position += 1
        members: list[tuple[str, list[_ReadPart]]] = []
        if not self._takes("}"):
            members.append(self._member(depth))
            while self._takes(","):
                members.append(self._member(depth))
            self._expect("}")
        if self.drop and any(_droppable(value) for _, value in members):
            compiled = (
                Member(_laid_out([name, *value]), _droppable(value)) for name, value in members
            )
            return [Members(tuple(compiled))]
        parts: list[_ReadPart] = []
        for name, value in members:
            parts += ("," if parts else "{", name, *value)
        return [*parts, "}"] if parts else ["{}"]

    def _member(self, depth: int) -> tuple[str, list[_ReadPart]]:
        self._skip_space()
        if self.text.startswith(HOLE, self.position):
            self._fail("A macro can't be the name of a JSON member.")
        if not self.text.startswith('"', self.position):
            self._fail("The name of a JSON member is missing.")
        start = self.position
        name = self._string()
        if HOLE in self.text[start : self.position]:
            raise _NotJsonError(start, "A macro can't stand in the name of a JSON member.")
        self._expect(":")
        return f"{''.join(map(str, name))}:", self._value(depth + 1)

    def _array(self, depth: int) -> list[_ReadPart]:
        self.position += 1
        if self._takes("]"):
            return ["[]"]
        parts = ["[", *self._value(depth + 1)]
        while self._takes(","):
            parts += (",", *self._value(depth + 1))
        self._expect("]")
        return [*parts, "]"]

    def _string(self) -> tuple[Chunk, ...]:
        string = _STRING.match(self.text, self.position)
        if string is None:
            self._fail("This JSON string is never closed.")
        self._check_pieces(string[0])
        start, self.position = self.position, string.end()
        return self.skeleton.chunks(start, self.position, str, for_json_string)

    def _check_pieces(self, string: str) -> None:
        at = self.position
        for piece in string[1:-1].split(HOLE):
            try:
                json.loads(f'"{piece}"')
            except ValueError:
                raise _NotJsonError(at, "This JSON string has a character it can't have.") from None
            at += len(piece) + 1

    def _scalar(self) -> str:
        scalar = _SCALAR.match(self.text, self.position)
        if scalar is None:
            self._fail("A JSON value is missing here.")
        self.position = scalar.end()
        return scalar[0]

    def _takes(self, token: str) -> bool:
        self._skip_space()
        is_next = self.text.startswith(token, self.position)
        self.position += is_next
        return is_next

    def _expect(self, token: str) -> None:
        if not self._takes(token):
            self._fail(f"{token} is missing here.")

    def _skip_space(self) -> None:
        space = _SPACE.match(self.text, self.position)
        self.position = space.end() if space else self.position

    def _fail(self, message: str) -> NoReturn:
        raise _NotJsonError(self.position, message)


def _droppable(parts: Sequence[_ReadPart]) -> tuple[int, ...]:
    slots = [part for part in parts if isinstance(part, Slot)]
    rest = [part for part in parts if not isinstance(part, Slot) and part != '"']
    return () if rest else tuple(slot.index for slot in slots)


def _laid_out(parts: Sequence[_ReadPart]) -> tuple[Part, ...]:
    result: list[Part] = []
    run: list[Chunk] = []
    for part in parts:
        if not isinstance(part, Members):
            run.append(part)
            continue
        result += (laid_out(run), part) if run else (part,)
        run = []
    return (*result, laid_out(run)) if run else tuple(result)
