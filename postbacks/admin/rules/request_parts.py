"""Take a URL, a form or a JSON body apart: each parameter as written beside the value it sends."""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

import msgspec

from postbacks.callbacks.macros.parser import macros_in

_SEPARATORS: Final = {"query": re.compile("&"), "form": re.compile(r"[&\r\n]")}

# JSON can't hold macros: each is replaced by its number between two private characters.
_TOKEN: Final = re.compile("\ue000(\\d+)\ue001")
_QUOTED_TOKEN: Final = re.compile('"\ue000(\\d+)\ue001"')
_ESCAPE_OR_QUOTE: Final = re.compile(r"\\.|\"", re.DOTALL)
_LONGEST_INDENTED: Final = 10_000

JsonPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class RequestPart:
    """One parameter. `sent` is None where it is left out because its macros have no value."""

    name: str
    written: str
    sent: str | None
    is_wrong: bool = False
    note: str = ""


def query_parts(
    template: str, sent: str, *, wrong: Collection[int] = ()
) -> tuple[RequestPart, ...]:
    """Return the parameters of a URL; those around a position in `wrong` were not sent."""
    pieces = _query_pieces(template)
    wrong_pieces = [piece for piece in pieces if _covers(piece, wrong)]
    right_pieces = [piece for piece in pieces if piece not in wrong_pieces]
    parts = list(_paired(right_pieces, _split(sent.partition("?")[2], "query")))
    for piece in wrong_pieces:
        part = RequestPart(piece.name, piece.value, None, is_wrong=True)
        parts.insert(pieces.index(piece), part)
    return tuple(parts)


def form_parts(template: str, sent: str) -> tuple[RequestPart, ...]:
    return _paired(_split(template, "form"), _split(sent, "form"))


def json_parts(template: str, sent: str) -> tuple[RequestPart, ...]:
    """Return the values of a JSON body by their paths; none if template or body is not JSON."""
    if "\ue000" in template:
        return ()
    readable, macros = _with_tokens(template)
    try:
        leaves = tuple(_leaves(json.loads(readable, parse_float=str), ()))
        filled = json.loads(sent, parse_float=str)
    except (ValueError, RecursionError):
        return ()
    return tuple(
        RequestPart(_path_name(path), _with_macros(value, macros), _text_at(filled, path))
        for path, value in leaves
    )


def indented_template(template: str) -> str | None:
    """Return a JSON template with one member to a line; None if it already is so, or not JSON."""
    if len(template) > _LONGEST_INDENTED or "\ue000" in template:
        return None
    readable, macros = _with_tokens(template)
    try:
        json.loads(readable)
        text = msgspec.json.format(readable.encode(), indent=2).decode()
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    for tokens in (_QUOTED_TOKEN, _TOKEN):
        text = tokens.sub(lambda match: macros[int(match[1])].in_place_of(match[0]), text)
    return text if text != template.strip() else None


def without_wrong_parameters(template: str, wrong: Collection[int]) -> str | None:
    """Return a URL without the parameters at the wrong positions; None if one lies elsewhere."""
    pieces = _query_pieces(template)
    if not all(any(_covers(piece, [position]) for piece in pieces) for position in wrong):
        return None
    query = "&".join(piece.text for piece in pieces if not _covers(piece, wrong))
    begin = pieces[0].begin if pieces else len(template)
    return template[:begin] + query


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


def _query_pieces(template: str) -> list[_Piece]:
    mark = _masked(template).find("?")
    return [] if mark == -1 else _split(template, "query", mark + 1)


def _split(text: str, kind: str, start: int = 0) -> list[_Piece]:
    separators = _SEPARATORS[kind].finditer(_masked(text), start)
    ends = [*(separator.start() for separator in separators), len(text)]
    begins = [start, *(end + 1 for end in ends[:-1])]
    pieces = [_Piece(begin, end, text[begin:end]) for begin, end in zip(begins, ends, strict=True)]
    return [piece for piece in pieces if piece.text.strip()]


def _masked(text: str) -> str:
    """Blank macros out: their arguments may hold the characters that separate parameters."""
    pieces: list[str] = []
    end = 0
    for macro in macros_in(text):
        pieces += [text[end : macro.start], "x" * (macro.end - macro.start)]
        end = macro.end
    return "".join([*pieces, text[end:]])


def _covers(piece: _Piece, positions: Collection[int]) -> bool:
    return any(piece.begin <= position < piece.end for position in positions)


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


class _MacroText(str):
    """The text of a macro; `is_value` where it takes the place of a whole JSON value."""

    is_value = False

    def in_place_of(self, token: str) -> str:
        # Quotes around the macro that stand in the template itself stay.
        return f'"{self}"' if token.startswith('"') and not self.is_value else self


def _with_tokens(template: str) -> tuple[str, list[_MacroText]]:
    """Return a template as JSON, with tokens in place of its macros, and the macros."""
    pieces: list[str] = []
    macros: list[_MacroText] = []
    end, is_in_string = 0, False
    for call in macros_in(template):
        literal = template[end : call.start]
        quotes = sum(match[0] == '"' for match in _ESCAPE_OR_QUOTE.finditer(literal))
        is_in_string ^= quotes % 2 == 1
        token = f"\ue000{len(macros)}\ue001"
        macro = _MacroText(template[call.start : call.end])
        macro.is_value = not is_in_string
        macros.append(macro)
        pieces += (literal, token if is_in_string else f'"{token}"')
        end = call.end
    return "".join([*pieces, template[end:]]), macros


def _with_macros(value: object, macros: list[_MacroText]) -> str:
    text = _whole(value) if isinstance(value, str) else json.dumps(value)
    return _TOKEN.sub(lambda match: macros[int(match[1])], text)


def _whole(text: str) -> str:
    """Return a text without halves of characters, which JSON's escapes may write and no page."""
    return text.encode("utf-8", "replace").decode()


def _leaves(value: object, path: JsonPath) -> Iterator[tuple[JsonPath, object]]:
    members: Iterator[tuple[str | int, object]] | None = None
    if isinstance(value, dict) and value:
        members = iter(value.items())
    elif isinstance(value, list) and value:
        members = iter(enumerate(value))
    if members is None:
        yield path, value
        return
    for step, member in members:
        yield from _leaves(member, (*path, step))


def _path_name(path: JsonPath) -> str:
    name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return _TOKEN.sub("…", _whole(name.removeprefix(".")))


def _text_at(value: object, path: JsonPath) -> str | None:
    for step in path:
        try:
            value = value[step]  # type: ignore[index]  # scalars raise the TypeError below
        except (KeyError, IndexError, TypeError):
            return None
    return _whole(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
