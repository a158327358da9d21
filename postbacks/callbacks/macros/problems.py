"""What can be wrong with a template, and what can go wrong while it is rendered."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

_LONGEST_COMPARED = 64  # difflib is quadratic


@dataclass(frozen=True, slots=True)
class RuleError:
    """This is one reason why a template can't be used, and where it lies.

    `field` is "method", "url", "body" or "headers.<name>"; `position` counts characters from 0.
    """

    field: str
    position: int
    message: str
    suggestion: str | None = None


class TemplateError(ValueError):
    """This is raised when a template can't be compiled; it names every problem, not the first."""

    def __init__(self, problems: Iterable[RuleError]) -> None:
        self.problems = tuple(problems)
        lines = (f"{it.field}, position {it.position}: {it.message}" for it in self.problems)
        super().__init__("\n".join(lines))


class RenderError(Exception):
    """This is raised when a value would have made the request a different one.

    `code` is stable, `detail` is for people and never holds a value or a credential.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Problems:
    """This collects what is wrong with one field of a template."""

    field: str
    found: list[RuleError]

    def add(self, position: int, message: str, suggestion: str | None = None) -> None:
        """This notes a problem; a suggestion also becomes part of the sentence."""
        if suggestion is not None:
            message = f"{message} Did you mean {suggestion}?"
        self.found.append(RuleError(self.field, position, message, suggestion))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """This is the known name that was probably meant."""
    if len(name) > _LONGEST_COMPARED:
        return None
    matches = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None
