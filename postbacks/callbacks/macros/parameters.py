"""Compiles the `name=value` parameters of a URL's query and of a form body."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from postbacks.callbacks.macros.encoders import for_parameter, url_literal
from postbacks.callbacks.macros.problems import Problems
from postbacks.callbacks.macros.skeleton import (
    BODY_LIMIT,
    HOLE,
    Chunk,
    Limit,
    Skeleton,
    SkeletonRow,
    all_missing,
    join_within,
    laid_out,
)

_BETWEEN_QUERY: Final = re.compile("&")
_BETWEEN_FORM: Final = re.compile(r"[&\r\n]")


@dataclass(frozen=True, slots=True)
class MacroParameter:
    """One pair; `droppable` are the indexes of the macros that make up its whole value."""

    row: SkeletonRow
    droppable: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a query or form, in order."""

    parameters: tuple[MacroParameter, ...]
    row: SkeletonRow
    drop: bool

    def render(self, results: Sequence[object], limit: Limit = BODY_LIMIT) -> str:
        """Render the parameters that are not dropped. Raises RenderError beyond the limit."""
        if not self.drop:
            return self.row.fill(results, limit)
        pairs = (
            parameter.row.fill(results, limit)
            for parameter in self.parameters
            if not all_missing(parameter.droppable, results)
        )
        return join_within(limit, "&", pairs)


def compile_query(skeleton: Skeleton, start: int, problems: Problems, *, drop: bool) -> Parameters:
    """Compile a URL from `start`, after its question mark, to the end."""
    return _compile(skeleton, start, _BETWEEN_QUERY, problems, drop=drop)


def compile_form(skeleton: Skeleton, problems: Problems, *, drop: bool) -> Parameters:
    """Compile a form body; pairs may stand on lines of their own."""
    return _compile(skeleton, 0, _BETWEEN_FORM, problems, drop=drop)


def _compile(
    skeleton: Skeleton, start: int, between: re.Pattern[str], problems: Problems, *, drop: bool
) -> Parameters:
    pairs = []
    separators = [match.start() for match in between.finditer(skeleton.text, start)]
    for end in [*separators, len(skeleton.text)]:
        if end > start and (between is _BETWEEN_QUERY or skeleton.text[start:end].strip()):
            pairs.append(_pair(skeleton, start, end, problems))
        start = end + 1
    return Parameters(
        parameters=tuple(MacroParameter(laid_out(chunks), macros) for chunks, macros in pairs),
        row=laid_out([chunk for chunks, _ in pairs for chunk in ("&", *chunks)][1:]),
        drop=drop and any(macros for _, macros in pairs),
    )


def _pair(
    skeleton: Skeleton, start: int, end: int, problems: Problems
) -> tuple[tuple[Chunk, ...], tuple[int, ...]]:
    """Return a pair's chunks, and the indexes of the macros that make up its whole value."""
    text = skeleton.text[start:end]
    equals = text.find("=")
    value_start = end if equals == -1 else start + equals + 1
    for hole in skeleton.holes_in(start, value_start):
        problems.add(hole.position, "A macro can't stand in the name of a parameter.")
    chunks = skeleton.chunks(start, end, url_literal, for_parameter)
    value = skeleton.text[value_start:end]
    only_macros = bool(value) and not value.strip(HOLE)
    droppable = skeleton.holes_in(value_start, end) if only_macros else []
    return chunks, tuple(hole.index for hole in droppable)
