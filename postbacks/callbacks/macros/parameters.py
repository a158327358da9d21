"""The parameters of a URL's query and of a form body: `name=value` pairs, compiled."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from postbacks.callbacks.macros.encoders import for_parameter, url_literal
from postbacks.callbacks.macros.problems import Problems
from postbacks.callbacks.macros.skeleton import (
    HOLE,
    Chunk,
    Skeleton,
    SkeletonRow,
    Slot,
    fill,
    laid_out,
)

_BETWEEN_QUERY: Final = re.compile("&")
_BETWEEN_FORM: Final = re.compile(r"[&\r\n]")


@dataclass(frozen=True, slots=True)
class MacroParameter:
    """This is one pair; `droppable` numbers the macros that make up its whole value."""

    chunks: tuple[Chunk, ...]
    droppable: tuple[int, ...]

    def is_dropped(self, results: Sequence[object]) -> bool:
        """This tells whether nothing is left of the value."""
        return bool(self.droppable) and all(results[it] is None for it in self.droppable)


@dataclass(frozen=True, slots=True)
class Parameters:
    """This is a list of parameters."""

    parameters: tuple[MacroParameter, ...]
    line: SkeletonRow
    drop: bool

    def render(self, results: Sequence[object]) -> str:
        """This writes the parameters, without those that are dropped."""
        if not self.drop:
            return self.line.fill(results)
        kept = (it for it in self.parameters if not it.is_dropped(results))
        return "&".join([fill(it.chunks, results) for it in kept])


def compile_query(skeleton: Skeleton, start: int, problems: Problems, *, drop: bool) -> Parameters:
    """This compiles the part of a URL after the question mark, to the end."""
    return _compile(skeleton, start, _BETWEEN_QUERY, problems, drop=drop)


def compile_form(skeleton: Skeleton, problems: Problems, *, drop: bool) -> Parameters:
    """This compiles a form body; pairs may stand on lines of their own."""
    return _compile(skeleton, 0, _BETWEEN_FORM, problems, drop=drop)


def _compile(
    skeleton: Skeleton, start: int, between: re.Pattern[str], problems: Problems, *, drop: bool
) -> Parameters:
    compiled = []
    for end in [it.start() for it in between.finditer(skeleton.text, start)] + [len(skeleton.text)]:
        if end > start and (between is _BETWEEN_QUERY or skeleton.text[start:end].strip()):
            compiled.append(_parameter(skeleton, start, end, problems))
        start = end + 1
    return Parameters(
        tuple(compiled), laid_out(_joined(compiled)), drop and any(it.droppable for it in compiled)
    )


def _parameter(skeleton: Skeleton, start: int, end: int, problems: Problems) -> MacroParameter:
    text = skeleton.text[start:end]
    equals = text.find("=")
    value_start = end if equals == -1 else start + equals + 1
    for hole in skeleton.holes_in(start, value_start):
        problems.add(hole.position, "A macro can't stand in the name of a parameter.")
    chunks = skeleton.chunks(start, end, url_literal, for_parameter)
    value = skeleton.text[value_start:end]
    only_macros = bool(value) and not value.strip(HOLE)
    droppable = skeleton.holes_in(value_start, end) if only_macros else []
    return MacroParameter(chunks, tuple(it.index for it in droppable))


def _joined(parameters: list[MacroParameter]) -> tuple[Chunk, ...]:
    chunks: list[Chunk] = []
    for parameter in parameters:
        chunks += ["&", *parameter.chunks] if chunks else parameter.chunks
    return merged(chunks)


def merged(chunks: Sequence[Chunk]) -> tuple[Chunk, ...]:
    """These are the same chunks with neighboring texts made one."""
    found: list[Chunk] = []
    for chunk in chunks:
        last = found[-1] if found else None
        if isinstance(chunk, Slot) or not isinstance(last, str):
            found.append(chunk)
        else:
            found[-1] = last + chunk
    return tuple(found)
