"""Where a place in a rule's text lies in the input that a person typed it into."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from django.core.exceptions import ValidationError
from django.forms import BoundField
from django.http import QueryDict

from postbacks.callbacks.lint import Fix, RuleWarning, fix_of
from postbacks.callbacks.macros import RuleError
from postbacks.callbacks.macros.parser import Flaw, MacroCall, macros_in
from postbacks.models import CallbackRule

# FOLDED from rule_fixes.py

FIX: Final = "_fix"


@dataclass(frozen=True, slots=True)
class ShownFix:
    """A button. `value` says all: the input, from where to where, and what comes there."""

    field: str
    fix: Fix

    @property
    def value(self) -> str:
        end = self.fix.position + self.fix.length
        return f"{self.field}:{self.fix.position}:{end}:{self.fix.text}"

    @property
    def verb(self) -> str:
        if not self.fix.text:
            return "Remove it"
        return "Use" if self.fix.length else "Add"

    @property
    def text(self) -> str:
        return self.fix.text.strip("&?,\n ")[:80]


def with_fix(data: QueryDict) -> QueryDict:
    """Return what was sent with the fix applied that was pressed; a damaged one changes nothing."""
    name, *rest = str(data.get(FIX, "")).split(":", 3)
    if len(rest) < 3 or name not in data or not all(map(_is_place, rest[:2])):
        return data
    start, end = int(rest[0]), int(rest[1])
    written = _one_way(str(data[name]))
    if not start <= end <= len(written):
        return data
    changed = data.copy()
    changed[name] = Fix(start, end - start, _one_way(rest[2])).applied_to(written)
    return changed


def _is_place(text: str) -> bool:
    return text.isdecimal() and len(text) < 7


def _one_way(text: str) -> str:
    """Return a text with one kind of line ends; browsers send another one."""
    return text.replace("\r\n", "\n")


# FOLDED from rule_problems.py

_AROUND = 28

_WORD = re.compile(r"\{\{[^{}]*\}\}|[\w.-]+|\s+|.", re.DOTALL)

_REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of what was written, cut around the place that is wrong."""

    before: str
    marked: str
    after: str


@dataclass(frozen=True, slots=True)
class ShownProblem:
    """One sentence beside a field."""

    message: str
    excerpt: Excerpt | None = None
    fix: ShownFix | None = None


class TemplateProblemError(ValidationError):
    """An error of a field that knows its place in the text."""

    def __init__(self, message: str, excerpt: Excerpt | None, fix: ShownFix | None = None) -> None:
        super().__init__(message, code="template")
        self.excerpt = excerpt
        self.fix = fix


def template_error(
    problem: RuleError, text: str, fix: ShownFix | None = None
) -> TemplateProblemError:
    """Return a problem as an error of a form; `text` is the template that it speaks of."""
    error = f"{_place(problem, text)}{problem.message}"
    return TemplateProblemError(error, excerpt_at(text, problem.position), fix)


def _place(problem: RuleError, text: str) -> str:
    field, _, header = problem.field.partition(".")
    if field == "headers" and header:
        return f"{header}: "
    has_lines = field == "body" and "\n" in text
    return f"Line {text.count(chr(10), 0, problem.position) + 1}: " if has_lines else ""


def excerpt_at(text: str, position: int) -> Excerpt | None:
    """Cut a text around a position; None where the problem is with all of it."""
    found = _WORD.match(text, position)
    if found is None or (position == 0 and not text.startswith("{{")):
        return None
    before, after = text[:position], text[found.end() :]
    return Excerpt(
        f"…{before[-_AROUND:]}" if len(before) > _AROUND else before,
        found[0][:80],
        f"{after[:_AROUND]}…" if len(after) > _AROUND else after,
    )


def shown(errors: Iterable[ValidationError], *, unfinished: bool) -> tuple[ShownProblem, ...]:
    """Return a field's errors as the page shows them; while writing, nothing is missing yet."""
    return tuple(
        ShownProblem(message, getattr(error, "excerpt", None), getattr(error, "fix", None))
        for error in errors
        if not (unfinished and error.code == _REQUIRED)
        for message in error.messages
    )


# FOLDED from rule_marks.py


@dataclass(frozen=True, slots=True)
class Mark:
    """A part of an input's text; `kind` is known, unknown, filter or odd."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Typed:
    """The text of an input, and how far before it the rule's own text begins."""

    field: str
    text: str
    before: int

    def shown(self, fix: Fix) -> ShownFix:
        """Return a fix of the rule's text as one of the input's."""
        return ShownFix(self.field, Fix(self.before + fix.position, fix.length, fix.text))


def marks_in(
    typed: Typed, written: str, problems: Iterable[RuleError], remarks: Iterable[RuleWarning]
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


def typed(bound: BoundField, rule: CallbackRule, field: str) -> Typed | None:
    """Return the input that holds a field such as `headers.X-Id`; None if it is not found in it."""
    text = _text_of(bound)
    name, _, header = field.partition(".")
    if header and name == "headers":
        before = _before_header(text, header)
        return None if before is None else Typed(name, text, before)
    kept = str(getattr(rule, name, "")) if name in {"url", "body"} else ""
    before = text.find(kept)
    return None if before == -1 else Typed(bound.name, text, before)


def fix_of_remark(remark: RuleWarning, bound: BoundField, rule: CallbackRule) -> ShownFix | None:
    """Return the button of a remark; None if it has no fix."""
    place = typed(bound, rule, remark.field) if remark.fix is not None else None
    if place is None:
        return None
    return place.shown(Fix(remark.position, remark.length, remark.fix or ""))


def fix_of_problem(
    problem: RuleError, bound: BoundField, rule: CallbackRule, written: str
) -> ShownFix | None:
    """Return the button of a problem; `written` is the template that it speaks of."""
    if problem.suggestion is None:
        return None
    if problem.field.startswith("conditions"):
        return _fix_of_condition(problem, bound)
    if problem.field.startswith("authentication"):
        name = str(bound.value() or "")
        return ShownFix(bound.name, Fix(0, len(name), problem.suggestion))
    place, fix = typed(bound, rule, problem.field), fix_of(problem, written)
    return place.shown(fix) if place is not None and fix is not None else None


def _fix_of_condition(problem: RuleError, bound: BoundField) -> ShownFix | None:
    _, _, number, *part = problem.field.split(".")
    if part != ["field"]:
        return None
    lines = list(re.finditer(r"[^\S\n]*(\S+?)(?=[^\w.-]|$)[^\n]*", _text_of(bound), re.MULTILINE))
    if int(number) >= len(lines):
        return None
    begin, end = lines[int(number)].span(1)
    return ShownFix(bound.name, Fix(begin, end - begin, problem.suggestion or ""))


def _text_of(bound: BoundField) -> str:
    return str(bound.value() or "").replace("\r\n", "\n")


def _before_header(text: str, header: str) -> int | None:
    start = 0
    for line in text.split("\n"):
        name, found, value = line.partition(":")
        if found and name.strip() == header:
            return start + len(name) + 1 + len(value) - len(value.lstrip())
        start += len(line) + 1
    return None
