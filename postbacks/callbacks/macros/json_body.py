"""The JSON body, compiled from a parsed template, so that what is sent always parses.

A macro may stand where a value may stand, then it is written with its own type, or inside a
string, then it is escaped. Nowhere else, in particular not in a member's name.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from postbacks.callbacks.macros.encoders import for_json_string, for_json_value
from postbacks.callbacks.macros.parameters import merged
from postbacks.callbacks.macros.problems import Problems
from postbacks.callbacks.macros.skeleton import HOLE, Chunk, Skeleton, Slot, fill

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR: Final = re.compile(
    r"(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)(?![\w.+-])"
)
_DEEPEST: Final = 32


@dataclass(frozen=True, slots=True)
class Member:
    """This is one member of an object; `droppable` numbers the macros that make up its value."""

    name: str
    parts: "tuple[Part, ...]"
    droppable: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Members:
    """This is an object some of whose members may be dropped."""

    members: tuple[Member, ...]


Part = str | Slot | Members


def render_json(parts: Sequence[Part], results: Sequence[object]) -> str:
    """This writes a compiled JSON template."""
    return "".join(
        [
            _render_members(it, results) if isinstance(it, Members) else fill((it,), results)
            for it in parts
        ]
    )


def _render_members(item: Members, results: Sequence[object]) -> str:
    kept = []
    for member in item.members:
        if member.droppable and all(results[it] is None for it in member.droppable):
            continue
        kept.append(member.name + render_json(member.parts, results))
    return "{" + ",".join(kept) + "}"


def compile_json(skeleton: Skeleton, problems: Problems, *, drop: bool) -> tuple[Part, ...]:
    """This compiles a JSON template; empty, with a problem noted, if it is not JSON."""
    reader = _JsonTemplateReader(skeleton, drop=drop)
    try:
        parts = reader.document()
    except _NotJsonError as error:
        problems.add(skeleton.position(error.place), error.message)
        return ()
    return _merged(parts)


class _NotJsonError(Exception):
    def __init__(self, place: int, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


class _JsonTemplateReader:
    """This reads JSON whose values may be holes, by recursive descent."""

    def __init__(self, skeleton: Skeleton, *, drop: bool) -> None:
        self.skeleton = skeleton
        self.text = skeleton.text
        self.place = 0
        self.drop = drop

    def document(self) -> list[Part]:
        parts = self._value(0)
        self._skip_space()
        if self.place < len(self.text):
            self._fail("The JSON body should end here.")
        return parts

    def _value(self, depth: int) -> list[Part]:
        self._skip_space()
        if depth > _DEEPEST:
            self._fail(f"The JSON body is nested more than {_DEEPEST} deep.")
        match self.text[self.place : self.place + 1]:
            case "{":
                return self._object(depth)
            case "[":
                return self._array(depth)
            case '"':
                return list(self._string())
            case "\0":
                hole = self.skeleton.holes[self.place]
                self.place += 1
                return [Slot(hole.index, for_json_value(hole))]
            case _:
                return [self._scalar()]

    def _object(self, depth: int) -> list[Part]:
        self.place += 1
        members: list[Member] = []
        if not self._takes("}"):
            members.append(self._member(depth))
            while self._takes(","):
                members.append(self._member(depth))
            self._expect("}")
        if self.drop and any(it.droppable for it in members):
            return [Members(tuple(members))]
        parts: list[Part] = []
        for member in members:
            parts += ("," if parts else "{", member.name, *member.parts)
        return [*parts, "}"] if parts else ["{}"]

    def _member(self, depth: int) -> Member:
        self._skip_space()
        if self.text.startswith(HOLE, self.place):
            self._fail("A macro can't be the name of a JSON member.")
        if not self.text.startswith('"', self.place):
            self._fail("The name of a JSON member is missing.")
        start = self.place
        name = self._string()
        if HOLE in self.text[start : self.place]:
            raise _NotJsonError(start, "A macro can't stand in the name of a JSON member.")
        self._expect(":")
        parts = self._value(depth + 1)
        return Member(f"{''.join(map(str, name))}:", _merged(parts), _droppable(parts))

    def _array(self, depth: int) -> list[Part]:
        self.place += 1
        if self._takes("]"):
            return ["[]"]
        parts = ["[", *self._value(depth + 1)]
        while self._takes(","):
            parts += (",", *self._value(depth + 1))
        self._expect("]")
        return [*parts, "]"]

    def _string(self) -> tuple[Chunk, ...]:
        string = _STRING.match(self.text, self.place)
        if string is None:
            self._fail("This JSON string is never closed.")
        self._check_pieces(string[0])
        start, self.place = self.place, string.end()
        return self.skeleton.chunks(start, self.place, str, for_json_string)

    def _check_pieces(self, string: str) -> None:
        at = self.place
        for piece in string[1:-1].split(HOLE):
            try:
                json.loads(f'"{piece}"')
            except ValueError:
                raise _NotJsonError(at, "This JSON string has a character it can't have.") from None
            at += len(piece) + 1

    def _scalar(self) -> str:
        scalar = _SCALAR.match(self.text, self.place)
        if scalar is None:
            self._fail("A JSON value is missing here.")
        self.place = scalar.end()
        return scalar[0]

    def _takes(self, token: str) -> bool:
        self._skip_space()
        found = self.text.startswith(token, self.place)
        self.place += found
        return found

    def _expect(self, token: str) -> None:
        if not self._takes(token):
            self._fail(f"{token} is missing here.")

    def _skip_space(self) -> None:
        space = _SPACE.match(self.text, self.place)
        self.place = space.end() if space else self.place

    def _fail(self, message: str) -> NoReturn:
        raise _NotJsonError(self.place, message)


def _droppable(parts: Sequence[Part]) -> tuple[int, ...]:
    slots = [it for it in parts if isinstance(it, Slot)]
    rest = [it for it in parts if not isinstance(it, Slot) and it != '"']
    return () if rest else tuple(it.index for it in slots)


def _merged(parts: Sequence[Part]) -> tuple[Part, ...]:
    found: list[Part] = []
    run: list[Chunk] = []
    for part in parts:
        if isinstance(part, Members):
            found += (*merged(run), part)
            run = []
        else:
            run.append(part)
    return (*found, *merged(run))
