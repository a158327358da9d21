"""Lead from a position in a rule's text to the input that holds it: excerpts, marks and fixes.

The rulebook counts positions in what the rule stores; people see what they typed. An `InputText`
says how far the two are apart.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from django import forms
from django.core.exceptions import ValidationError
from django.forms import BoundField
from django.http import QueryDict

from postbacks.admin.rules.fields import condition_parts
from postbacks.callbacks.lint import LOSES_IN_SILENCE, Fix, RuleWarning, fix_of
from postbacks.callbacks.macros import RuleError
from postbacks.callbacks.macros.parser import Flaw, MacroCall, macros_in
from postbacks.models import CallbackRule

FIX: Final = "_fix"

_EXCERPT_MARGIN = 28
_WORD = re.compile(r"\{\{[^{}]*\}\}|[\w.-]+|\s+|.", re.DOTALL)
_LINE = re.compile(r"[^\n]+")
_PART = re.compile(r"[^,]+")
_CHOSEN = (forms.ChoiceField, forms.BooleanField)
_REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class FixButton:
    """A button that changes an input's text; `value` carries all that the server needs.

    `label` is what people know the new text as, where that is another.
    """

    field: str
    fix: Fix
    label: str = ""

    @property
    def value(self) -> str:
        end = self.fix.position + self.fix.length
        return f"{self.field}:{self.fix.position}:{end}:{self.fix.text}"

    @property
    def verb(self) -> str:
        if not self.fix.text:
            return "Remove it"
        if self.label and not self.fix.length:
            return "Switch on"
        return "Use" if self.fix.length else "Add"

    @property
    def text(self) -> str:
        return self.label or self.fix.text.strip("&?,\n ")[:80]


@dataclass(frozen=True, slots=True)
class InputText:
    """The text of an input; the rule's own text begins at `offset`."""

    field: str
    text: str
    offset: int

    def button(self, fix: Fix) -> FixButton:
        """Return the button for a fix whose position counts in the rule's own text."""
        return FixButton(self.field, Fix(self.offset + fix.position, fix.length, fix.text))


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of a text, cut around the part that is wrong."""

    before: str
    marked: str
    after: str


@dataclass(frozen=True, slots=True)
class ProblemView:
    """An error as the page shows it beside its field."""

    message: str
    excerpt: Excerpt | None = None
    fix: FixButton | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A highlighted part of an input's text; `kind` is known, unknown, filter or odd."""

    start: int
    end: int
    kind: str


class LocatedError(ValidationError):
    """A field's error with the place in its text and a fix, where there are any."""

    def __init__(self, message: str, excerpt: Excerpt | None, fix: FixButton | None = None) -> None:
        super().__init__(message, code="template")
        self.excerpt = excerpt
        self.fix = fix


def input_text(bound: BoundField, rule: CallbackRule, field: str) -> InputText | None:
    """Return the input for a field such as `headers.X-Id`; None if its text is not in there."""
    text = _text_of(bound)
    name, _, header = field.partition(".")
    if header and name == "headers":
        offset = _header_offset(text, header)
        return None if offset is None else InputText(name, text, offset)
    stored = str(getattr(rule, name, "")) if name in {"url", "body"} else ""
    offset = text.find(stored)
    return None if offset == -1 else InputText(bound.name, text, offset)


def located_error(problem: RuleError, text: str, fix: FixButton | None = None) -> LocatedError:
    """Return a rule's error as an error of its form; its position counts in `text`."""
    message = f"{_location(problem, text)}{problem.message}"
    return LocatedError(message, excerpt_at(text, problem.position), fix)


def excerpt_at(text: str, position: int) -> Excerpt | None:
    """Cut a text around a position; None where the problem is with all of it."""
    word = _WORD.match(text, position)
    if word is None or (position == 0 and not text.startswith("{{")):
        return None
    before, after = text[:position], text[word.end() :]
    return Excerpt(
        f"…{before[-_EXCERPT_MARGIN:]}" if len(before) > _EXCERPT_MARGIN else before,
        word[0][:80],
        f"{after[:_EXCERPT_MARGIN]}…" if len(after) > _EXCERPT_MARGIN else after,
    )


def problem_views(
    errors: Iterable[ValidationError], *, unfinished: bool
) -> tuple[ProblemView, ...]:
    """Return a field's errors for the page; in an unfinished form nothing is missing yet."""
    return tuple(
        ProblemView(message, getattr(error, "excerpt", None), getattr(error, "fix", None))
        for error in errors
        if not (unfinished and error.code == _REQUIRED)
        for message in error.messages
    )


def marks_in(
    typed: InputText, written: str, problems: Iterable[RuleError], remarks: Iterable[RuleWarning]
) -> Iterator[Mark]:
    """Yield the marks of one text, to which all the problems and remarks must belong."""
    error_positions = [problem.position for problem in problems]
    for macro in macros_in(written):
        kind = _mark_kind(macro, error_positions)
        yield Mark(typed.offset + macro.start, typed.offset + macro.end, kind)
    for remark in remarks:
        if remark.length and not written.startswith("{{", remark.position):
            start = typed.offset + remark.position
            yield Mark(start, start + remark.length, "odd")


def marks_attribute(marks: Iterable[Mark]) -> str:
    """Return marks in order as the page carries them: `0-12-known 20-30-unknown`."""
    ordered = sorted(marks, key=lambda mark: (mark.start, mark.end))
    return " ".join(f"{mark.start}-{mark.end}-{mark.kind}" for mark in ordered)


def remark_fix(remark: RuleWarning, bound: BoundField, rule: CallbackRule) -> FixButton | None:
    if remark.fix is None:
        return None
    name, _, member = remark.field.partition(".")
    if name == "conditions":
        return _condition_fix(remark.field, remark.fix, bound)
    if name == "triggers" and member:
        return _name_fix(int(member), remark.fix, bound)
    if name == "event_map":
        return _pair_fix(member, remark.fix, bound, is_new=not remark.length)
    if remark.code in LOSES_IN_SILENCE and isinstance(bound.field, _CHOSEN):
        return choice_fix(remark.fix, bound)
    typed = input_text(bound, rule, remark.field)
    if typed is None:
        return None
    return typed.button(Fix(remark.position, remark.length, remark.fix))


def choice_fix(choice: str, bound: BoundField) -> FixButton:
    """Return the button that chooses another value, by the words that the page has for it."""
    if isinstance(bound.field, forms.ChoiceField):
        label = dict(bound.field.widget.choices).get(choice, choice)
        return FixButton(bound.name, Fix(0, len(str(bound.value() or "")), choice), str(label))
    return FixButton(bound.name, Fix(0, 0, choice), str(bound.label))


def problem_fix(
    problem: RuleError, bound: BoundField, rule: CallbackRule, written: str
) -> FixButton | None:
    """Return the button of a problem, None without a suggestion; it counts in `written`."""
    if problem.suggestion is None:
        return None
    if problem.field.startswith("conditions"):
        return _condition_fix(problem.field, problem.suggestion, bound)
    if isinstance(bound.field, forms.ChoiceField):
        return choice_fix(problem.suggestion, bound)
    if problem.field.startswith("authentication"):
        name = str(bound.value() or "")
        return FixButton(bound.name, Fix(0, len(name), problem.suggestion))
    typed, fix = input_text(bound, rule, problem.field), fix_of(problem, written)
    return typed.button(fix) if typed is not None and fix is not None else None


def with_fix_applied(data: QueryDict) -> QueryDict:
    """Return a form's data after the fix whose button was pressed; ignore a malformed one."""
    name, *rest = str(data.get(FIX, "")).split(":", 3)
    if len(rest) < 3 or not all(map(_is_position, rest[:2])):
        return data
    start, end = int(rest[0]), int(rest[1])
    # An unchecked box is not in a form's data.
    written = _with_newlines(str(data.get(name, "")))
    if not start <= end <= len(written):
        return data
    changed = data.copy()
    changed[name] = Fix(start, end - start, _with_newlines(rest[2])).applied_to(written)
    return changed


def _text_of(bound: BoundField) -> str:
    return _with_newlines(str(bound.value() or ""))


def _with_newlines(text: str) -> str:
    return text.replace("\r\n", "\n")  # browsers send CRLF


def _header_offset(text: str, header: str) -> int | None:
    start = 0
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if colon and name.strip() == header:
            return start + len(name) + 1 + len(value) - len(value.lstrip())
        start += len(line) + 1
    return None


def _location(problem: RuleError, text: str) -> str:
    field, _, header = problem.field.partition(".")
    if field == "headers" and header:
        return f"{header}: "
    has_lines = field == "body" and "\n" in text
    return f"Line {text.count(chr(10), 0, problem.position) + 1}: " if has_lines else ""


def _mark_kind(macro: MacroCall | Flaw, error_positions: list[int]) -> str:
    if isinstance(macro, Flaw):
        return "unknown"
    inside = [position for position in error_positions if macro.start <= position < macro.end]
    if not inside:
        return "known"
    first_filter = min((call.position for call in macro.filters), default=macro.end)
    return "filter" if min(inside) >= first_filter else "unknown"


def _condition_fix(path: str, text: str, bound: BoundField) -> FixButton | None:
    """Return the button that replaces a part of a condition's line."""
    _, _, number, *steps = path.split(".")
    lines = [line for line in _LINE.finditer(_text_of(bound)) if line[0].strip()]
    if int(number) >= len(lines):
        return None
    line = lines[int(number)]
    span = condition_parts(line[0]).get(".".join(steps))
    if span is None:
        return None
    begin, end = span
    return FixButton(bound.name, Fix(line.start() + begin, end - begin, text))


def _name_fix(number: int, text: str, bound: BoundField) -> FixButton | None:
    """Return the button that replaces one of the names that commas separate."""
    names = list(dict.fromkeys(part[0].strip() for part in _PART.finditer(_text_of(bound))))
    names = [name for name in names if name]
    for part in _PART.finditer(_text_of(bound)):
        name = part[0].strip()
        if name and names.index(name) == number:
            start = part.start() + len(part[0]) - len(part[0].lstrip())
            return FixButton(bound.name, Fix(start, len(name), text))
    return None


def _pair_fix(name: str, text: str, bound: BoundField, *, is_new: bool) -> FixButton | None:
    """Return the button that renames a pair of the event map, or adds one."""
    written = _text_of(bound)
    if is_new:
        end = len(written.rstrip())
        line = f"{name} = {text}"
        return FixButton(bound.name, Fix(end, 0, f"\n{line}" if end else line))
    for pair in _LINE.finditer(written):
        key = pair[0].partition("=")[0]
        if key.strip() == name:
            start = pair.start() + len(key) - len(key.lstrip())
            return FixButton(bound.name, Fix(start, len(name), text))
    return None


def _is_position(text: str) -> bool:
    return text.isdecimal() and len(text) < 7
