"""What is marked inside the text of a template: its macros, right and wrong."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from postbacks.admin.rules.hints import Typed
from postbacks.callbacks.lint import Remark
from postbacks.callbacks.macros import Problem
from postbacks.callbacks.macros.parser import Flaw, MacroCall, macros_in


@dataclass(frozen=True, slots=True)
class Mark:
    """A part of an input's text; `kind` is known, unknown, filter or odd."""

    start: int
    end: int
    kind: str


def marks_in(
    typed: Typed, written: str, problems: Iterable[Problem], remarks: Iterable[Remark]
) -> Iterator[Mark]:
    """Return the marks of one text; problems and remarks are those of this text alone."""
    wrong = [problem.position for problem in problems]
    for found in macros_in(written):
        yield Mark(typed.before + found.start, typed.before + found.end, _kind(found, wrong))
    for remark in remarks:
        if remark.length and not written.startswith("{{", remark.position):
            start = typed.before + remark.position
            yield Mark(start, start + remark.length, "odd")


def as_words(marks: Iterable[Mark]) -> str:
    """Return marks in order as the page carries them: `0-12-known 20-30-unknown`."""
    ordered = sorted(marks, key=lambda it: (it.start, it.end))
    return " ".join(f"{it.start}-{it.end}-{it.kind}" for it in ordered)


def _kind(found: MacroCall | Flaw, wrong: list[int]) -> str:
    if isinstance(found, Flaw):
        return "unknown"
    inside = [position for position in wrong if found.start <= position < found.end]
    if not inside:
        return "known"
    first_filter = min((it.position for it in found.filters), default=found.end)
    return "filter" if min(inside) >= first_filter else "unknown"
