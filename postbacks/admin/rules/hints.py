"""Where a place in a rule's text lies in the input that a person typed it into."""

import re
from dataclasses import dataclass

from django.forms import BoundField

from postbacks.admin.rule_fixes import ShownFix
from postbacks.callbacks.lint import Fix, Remark, fix_of
from postbacks.callbacks.macros import Problem
from postbacks.models import CallbackRule


@dataclass(frozen=True, slots=True)
class Typed:
    """The text of an input, and how far before it the rule's own text begins."""

    field: str
    text: str
    before: int

    def shown(self, fix: Fix) -> ShownFix:
        """Return a fix of the rule's text as one of the input's."""
        return ShownFix(self.field, Fix(self.before + fix.position, fix.length, fix.text))


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


def fix_of_remark(remark: Remark, bound: BoundField, rule: CallbackRule) -> ShownFix | None:
    """Return the button of a remark; None if it has no fix."""
    place = typed(bound, rule, remark.field) if remark.fix is not None else None
    if place is None:
        return None
    return place.shown(Fix(remark.position, remark.length, remark.fix or ""))


def fix_of_problem(
    problem: Problem, bound: BoundField, rule: CallbackRule, written: str
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


def _fix_of_condition(problem: Problem, bound: BoundField) -> ShownFix | None:
    """Return the button that puts the right name at the beginning of a condition's line."""
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
    """Return where the value of a header begins among its lines."""
    start = 0
    for line in text.split("\n"):
        name, found, value = line.partition(":")
        if found and name.strip() == header:
            return start + len(name) + 1 + len(value) - len(value.lstrip())
        start += len(line) + 1
    return None
