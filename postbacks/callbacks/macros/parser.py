"""The grammar of `{{name || other || 'literal' | filter:"argument" | filter !}}`.

Only templates are parsed, never values, so nothing in a value can become a macro.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

OPENING: Final = "{{"
CLOSING: Final = "}}"

_SPACE: Final = re.compile(r"\s*")
_NAME: Final = re.compile(r"[^\W\d][\w-]*(?:\.[\w-]+)*")
_QUOTED: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_BARE: Final = re.compile(r"[\w.+-]+")


@dataclass(frozen=True, slots=True)
class Name:
    """A macro's name as written, endings and dots included."""

    text: str
    position: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A quoted default."""

    text: str


@dataclass(frozen=True, slots=True)
class FilterCall:
    """A filter with its argument, unchecked."""

    name: str
    argument: str | None
    position: int


@dataclass(frozen=True, slots=True)
class MacroCall:
    """One well-formed macro; `start` and `end` enclose its braces."""

    start: int
    end: int
    sources: tuple[Name | Literal, ...]
    filters: tuple[FilterCall, ...]
    required: bool


@dataclass(frozen=True, slots=True)
class Flaw:
    """Text that begins like a macro and is none; parsing goes on at its end."""

    start: int
    end: int
    position: int
    message: str


def macros_in(text: str) -> Iterator[MacroCall | Flaw]:
    """Yield the macros of a template from left to right, the broken ones too."""
    start = text.find(OPENING)
    while start != -1:
        macro = _macro_at(text, start)
        yield macro
        start = text.find(OPENING, macro.end)


class _UnexpectedError(Exception):
    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position
        self.message = message


def _macro_at(text: str, start: int) -> MacroCall | Flaw:
    try:
        return _ExpressionReader(text, start + len(OPENING)).macro(start)
    except _UnexpectedError as error:
        closing = text.find(CLOSING, start + len(OPENING))
        following = text.find(OPENING, start + len(OPENING))
        if closing == -1 or -1 < following < closing:
            end = following if following != -1 else len(text)
            return Flaw(start, end, start, "This macro is never closed: }} is missing.")
        return Flaw(start, closing + len(CLOSING), error.position, error.message)


class _ExpressionReader:
    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position

    def macro(self, start: int) -> MacroCall:
        if self._takes(CLOSING):
            raise _UnexpectedError(start, "This macro is empty: a name is missing.")
        sources = [self._source()]
        while self._takes("||"):
            sources.append(self._source())
        filters = []
        while self._takes("|"):
            filters.append(self._filter())
        required = self._takes("!")
        if not self._takes(CLOSING):
            self._fail("after !" if required else "in this macro")
        return MacroCall(start, self.position, tuple(sources), tuple(filters), required)

    def _source(self) -> Name | Literal:
        self._skip_space()
        if quoted := _QUOTED.match(self.text, self.position):
            self.position = quoted.end()
            return Literal(quoted[1] if quoted[1] is not None else quoted[2])
        position = self.position
        return Name(self._name("the name of a macro"), position)

    def _filter(self) -> FilterCall:
        self._skip_space()
        position = self.position
        name = self._name("the name of a filter")
        argument = self._argument() if self._takes(":") else None
        return FilterCall(name, argument, position)

    def _argument(self) -> str:
        self._skip_space()
        if quoted := _QUOTED.match(self.text, self.position):
            self.position = quoted.end()
            return quoted[1] if quoted[1] is not None else quoted[2]
        bare = _BARE.match(self.text, self.position)
        if bare is None:
            self._fail("where an argument is expected")
        self.position = bare.end()
        return bare[0]

    def _name(self, expected: str) -> str:
        name = _NAME.match(self.text, self.position)
        if name is None:
            self._fail(f"where {expected} is expected")
        self.position = name.end()
        return name[0]

    def _takes(self, token: str) -> bool:
        self._skip_space()
        is_next = self.text.startswith(token, self.position)
        if is_next:
            self.position += len(token)
        return is_next

    def _skip_space(self) -> None:
        space = _SPACE.match(self.text, self.position)
        self.position = space.end() if space else self.position

    def _fail(self, where: str) -> NoReturn:
        character = self.text[self.position : self.position + 1]
        raise _UnexpectedError(self.position, f"Unexpected {character!r} {where}.")
