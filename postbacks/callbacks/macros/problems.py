"""Errors in a template, and errors while it is rendered."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_LONGEST_COMPARED = 64  # difflib is quadratic


@dataclass(frozen=True, slots=True)
class RuleError:
    """One reason why a rule can't be saved, and its place.

    `field` is "method", "url", "body" or "headers.<name>"; `position` counts characters from 0.
    """

    field: str
    position: int
    message: str
    suggestion: str | None = None


class TemplateError(ValueError):
    """A template can't be compiled; names every problem, not only the first."""

    def __init__(self, problems: Iterable[RuleError]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(
                f"{problem.field}, position {problem.position}: {problem.message}"
                for problem in self.problems
            )
        )


class RenderError(Exception):
    """A value would have changed the request's structure or destination, or is too large.

    `code` is stable, `detail` is for people and never holds a value or a credential.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


TOO_LARGE: Final = "too_large"


def too_large(part: str, most: int, unit: str = "characters") -> RenderError:
    """Return the error of a part of a request that grew beyond its limit."""
    return RenderError(TOO_LARGE, f"{part} would be longer than {most:,} {unit}.")


@dataclass(frozen=True, slots=True)
class Problems:
    """Collects the problems of one field of a rule."""

    field: str
    errors: list[RuleError]

    def add(self, position: int, message: str, suggestion: str | None = None) -> None:
        """Add a problem; a suggestion also becomes part of its message, if it is not yet."""
        if suggestion is not None and not message.endswith(f"Write it as {suggestion}."):
            message = f"{message} Did you mean {suggestion}?"
        self.errors.append(RuleError(self.field, position, message, suggestion))


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that was probably meant."""
    if len(name) > _LONGEST_COMPARED:
        return None
    matches = difflib.get_close_matches(name.lower(), list(candidates), n=1, cutoff=0.6)
    return matches[0] if matches else None
