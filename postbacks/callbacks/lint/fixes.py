"""What a person may accept with one press: a text in place of another."""

import re
from dataclasses import dataclass
from typing import Final

from postbacks.callbacks.macros import RuleError

_WORD: Final = re.compile(r"[\w.-]+")
_INSIDE: Final = re.compile(r"\{\{\s*")
_ARGUMENT: Final = re.compile(r"[\w-]+\s*:\s*(?:'([^']*)'|\"([^\"]*)\"|([\w.+-]+))")
_HOST: Final = re.compile(r"[^/?#]+")
_FILTER_SPEAKS: Final = re.compile(r"[\w-]+: ")


@dataclass(frozen=True, slots=True)
class Fix:
    """This puts `text` in place of the `length` characters from `position` on."""

    position: int
    length: int
    text: str

    def applied_to(self, written: str) -> str:
        """This is the text after the fix."""
        return written[: self.position] + self.text + written[self.position + self.length :]


def fix_of(problem: RuleError, written: str) -> Fix | None:
    """This is the suggestion of a problem as a change of the text; None if it has none."""
    if problem.suggestion is None:
        return None
    if problem.message.startswith("This is not a host name."):
        return _at(_HOST.match(written, problem.position), 0, problem.suggestion)
    if _FILTER_SPEAKS.match(problem.message):  # of its argument
        found = _ARGUMENT.match(written, problem.position)
        group = next((it for it in (1, 2, 3) if found and found[it] is not None), 0)
        return _at(found, group, problem.suggestion)
    inside = _INSIDE.match(written, problem.position)
    start = inside.end() if inside else problem.position
    return _at(_WORD.match(written, start), 0, problem.suggestion)


def _at(found: re.Match[str] | None, group: int, text: str) -> Fix | None:
    return None if found is None else Fix(found.start(group), len(found[group]), text)
