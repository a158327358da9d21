"""What is wrong with a template, shown with the piece of it that is meant."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from postbacks.admin.rule_fixes import ShownFix
from postbacks.callbacks.macros import Problem

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
    problem: Problem, text: str, fix: ShownFix | None = None
) -> TemplateProblemError:
    """Return a problem as an error of a form; `text` is the template that it speaks of."""
    error = f"{_place(problem, text)}{problem.message}"
    return TemplateProblemError(error, excerpt_at(text, problem.position), fix)


def _place(problem: Problem, text: str) -> str:
    """Return where in a field of several texts or lines the problem lies."""
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
