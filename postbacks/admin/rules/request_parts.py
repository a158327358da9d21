"""A URL or a form, taken apart so that people can read it: what was written beside what is sent."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus

from postbacks.callbacks.macros.parser import macros_in

_BETWEEN = {"query": re.compile("&"), "form": re.compile(r"[&\r\n]")}


@dataclass(frozen=True, slots=True)
class Part:
    """One parameter. `sent` is None where it is left out for want of a value."""

    name: str
    written: str
    sent: str | None
    is_wrong: bool = False
    note: str = ""


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


def query_parts(template: str, sent: str, *, wrong: Collection[int] = ()) -> tuple[Part, ...]:
    """Return the parameters of a URL; those that `wrong` positions lie in were not sent."""
    pieces = _query_pieces(template)
    bad = [piece for piece in pieces if _holds(piece, wrong)]
    paired = list(
        _paired([it for it in pieces if it not in bad], _split(sent.partition("?")[2], "query"))
    )
    for piece in bad:
        paired.insert(pieces.index(piece), Part(piece.name, piece.value, None, is_wrong=True))
    return tuple(paired)


def form_parts(template: str, sent: str) -> tuple[Part, ...]:
    """Return the parameters of a form body."""
    return _paired(_split(template, "form"), _split(sent, "form"))


def without_wrong_parameters(template: str, wrong: Collection[int]) -> str | None:
    """Return a URL without the parameters that positions lie in; None if one lies elsewhere."""
    pieces = _query_pieces(template)
    if not all(any(_holds(piece, [position]) for piece in pieces) for position in wrong):
        return None
    kept = "&".join(piece.text for piece in pieces if not _holds(piece, wrong))
    begin = pieces[0].begin if pieces else len(template)
    return template[:begin] + kept


def _paired(written: Sequence[_Piece], sent: Sequence[_Piece]) -> tuple[Part, ...]:
    if len(written) == len(sent):
        return tuple(
            Part(piece.name, piece.value, filled.value)
            for piece, filled in zip(written, sent, strict=True)
        )
    parts: list[Part] = []
    left = list(sent)
    for piece in written:
        is_next = bool(left) and unquote_plus(left[0].name) == unquote_plus(piece.name)
        parts.append(Part(piece.name, piece.value, left.pop(0).value if is_next else None))
    return (*parts, *(Part(piece.name, "", piece.value) for piece in left))


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
