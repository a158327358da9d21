"""A URL or a form, taken apart so that people can read it: what was written beside what is sent."""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

import msgspec

from postbacks.callbacks.macros.parser import macros_in

# FOLDED from json_parts.py

# Private characters around a macro's number, while JSON is read that can't hold macros.
_TOKEN: Final = re.compile("\ue000(\\d+)\ue001")

_WHOLE: Final = re.compile('"\ue000(\\d+)\ue001"')

_QUOTES: Final = re.compile(r"\\.|\"", re.DOTALL)

_LONGEST_LAID_OUT: Final = 10_000

Step = str | int


@dataclass(frozen=True, slots=True)
class RequestPart:
    """One parameter. `sent` is None where it is left out for want of a value."""

    name: str
    written: str
    sent: str | None
    is_wrong: bool = False
    note: str = ""


def json_parts(template: str, sent: str) -> tuple[RequestPart, ...]:
    """Return the values of a JSON body by their paths; none where one of the two is not JSON."""
    if "\ue000" in template:
        return ()
    readable, macros = _readable(template)
    try:
        written = json.loads(readable, parse_float=str)
        filled = json.loads(sent, parse_float=str)
    except (ValueError, RecursionError):
        return ()
    return tuple(
        RequestPart(_name(path), _restored(value, macros), _shown(*_at(filled, path)))
        for path, value in _leaves(written, ())
    )


def laid_out(template: str) -> str | None:
    """Return a JSON template with one member to a line; None if it is that already, or no JSON."""
    if len(template) > _LONGEST_LAID_OUT or "\ue000" in template:
        return None
    readable, macros = _readable(template)
    try:
        json.loads(readable)
        text = msgspec.json.format(readable.encode(), indent=2).decode()
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    for tokens in (_WHOLE, _TOKEN):
        text = tokens.sub(lambda it: macros[int(it[1])].whole(it[0]), text)
    return text if text != template.strip() else None


class _Macro(str):
    """A macro as it was written; `is_value` where it stands for a whole JSON value."""

    is_value = False

    def whole(self, token: str) -> str:
        """Return what a token stands for; quotes of the template's own stay."""
        if not token.startswith('"') or self.is_value:
            return self
        return f'"{self}"'


def _readable(template: str) -> tuple[str, list[_Macro]]:
    """Return a template as JSON, with tokens in place of its macros, and the macros."""
    pieces: list[str] = []
    macros: list[_Macro] = []
    end, is_inside = 0, False
    for found in macros_in(template):
        literal = template[end : found.start]
        is_inside ^= sum(it[0] == '"' for it in _QUOTES.finditer(literal)) % 2 == 1
        token = f"\ue000{len(macros)}\ue001"
        macro = _Macro(template[found.start : found.end])
        macro.is_value = not is_inside
        macros.append(macro)
        pieces += (literal, token if is_inside else f'"{token}"')
        end = found.end
    return "".join([*pieces, template[end:]]), macros


def _leaves(value: object, path: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], object]]:
    inner: Iterator[tuple[Step, object]] | None = None
    if isinstance(value, dict) and value:
        inner = iter(value.items())
    elif isinstance(value, list) and value:
        inner = iter(enumerate(value))
    if inner is None:
        yield path, value
        return
    for step, each in inner:
        yield from _leaves(each, (*path, step))


def _name(path: tuple[Step, ...]) -> str:
    name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return _TOKEN.sub("…", name.removeprefix("."))


def _restored(value: object, macros: list[_Macro]) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return _TOKEN.sub(lambda it: macros[int(it[1])], text)


def _at(value: object, path: tuple[Step, ...]) -> tuple[bool, object]:
    for step in path:
        try:
            value = value[step]  # type: ignore[index]  # what is no container is caught
        except (KeyError, IndexError, TypeError):
            return False, None
    return True, value


def _shown(is_there: bool, value: object) -> str | None:
    if not is_there:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_BETWEEN = {"query": re.compile("&"), "form": re.compile(r"[&\r\n]")}


@dataclass(frozen=True, slots=True)
class _Piece:
    begin: int
    end: int
    text: str

    @property
    def name(self) -> str:
        return self.text.strip().partition("=")[0]

    @property
    def value(self) -> str:
        return self.text.strip().partition("=")[2]


def query_parts(
    template: str, sent: str, *, wrong: Collection[int] = ()
) -> tuple[RequestPart, ...]:
    """Return the parameters of a URL; those that `wrong` positions lie in were not sent."""
    pieces = _query_pieces(template)
    bad = [piece for piece in pieces if _holds(piece, wrong)]
    paired = list(
        _paired([it for it in pieces if it not in bad], _split(sent.partition("?")[2], "query"))
    )
    for piece in bad:
        paired.insert(
            pieces.index(piece), RequestPart(piece.name, piece.value, None, is_wrong=True)
        )
    return tuple(paired)


def form_parts(template: str, sent: str) -> tuple[RequestPart, ...]:
    return _paired(_split(template, "form"), _split(sent, "form"))


def without_wrong_parameters(template: str, wrong: Collection[int]) -> str | None:
    """Return a URL without the parameters that positions lie in; None if one lies elsewhere."""
    pieces = _query_pieces(template)
    if not all(any(_holds(piece, [position]) for piece in pieces) for position in wrong):
        return None
    kept = "&".join(piece.text for piece in pieces if not _holds(piece, wrong))
    begin = pieces[0].begin if pieces else len(template)
    return template[:begin] + kept


def _paired(written: Sequence[_Piece], sent: Sequence[_Piece]) -> tuple[RequestPart, ...]:
    if len(written) == len(sent):
        return tuple(
            RequestPart(piece.name, piece.value, filled.value)
            for piece, filled in zip(written, sent, strict=True)
        )
    parts: list[RequestPart] = []
    left = list(sent)
    for piece in written:
        is_next = bool(left) and unquote_plus(left[0].name) == unquote_plus(piece.name)
        parts.append(RequestPart(piece.name, piece.value, left.pop(0).value if is_next else None))
    return (*parts, *(RequestPart(piece.name, "", piece.value) for piece in left))


def _query_pieces(template: str) -> list[_Piece]:
    mark = _masked(template).find("?")
    return [] if mark == -1 else _split(template, "query", mark + 1)


def _split(text: str, kind: str, start: int = 0) -> list[_Piece]:
    found = _BETWEEN[kind].finditer(_masked(text), start)
    ends = [*(between.start() for between in found), len(text)]
    begins = [start, *(end + 1 for end in ends[:-1])]
    pieces = [_Piece(begin, end, text[begin:end]) for begin, end in zip(begins, ends, strict=True)]
    return [piece for piece in pieces if piece.text.strip()]


def _holds(piece: _Piece, positions: Collection[int]) -> bool:
    return any(piece.begin <= position < piece.end for position in positions)


def _masked(text: str) -> str:
    """Hide the inside of macros: their arguments may hold what separates parameters."""
    pieces: list[str] = []
    end = 0
    for macro in macros_in(text):
        pieces += [text[end : macro.start], "x" * (macro.end - macro.start)]
        end = macro.end
    return "".join([*pieces, text[end:]])
