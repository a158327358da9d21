"""Fixes that are a button beside the field: with scripts in place, without them by the server."""

from dataclasses import dataclass
from typing import Final

from django.http import QueryDict

from postbacks.callbacks.lint import Fix

FIX: Final = "_fix"


@dataclass(frozen=True, slots=True)
class ShownFix:
    """A button. `value` says all: the input, from where to where, and what comes there."""

    field: str
    fix: Fix

    @property
    def value(self) -> str:
        """Return what the button sends."""
        end = self.fix.position + self.fix.length
        return f"{self.field}:{self.fix.position}:{end}:{self.fix.text}"

    @property
    def verb(self) -> str:
        """Return what is done with the text."""
        if not self.fix.text:
            return "Remove it"
        return "Use" if self.fix.length else "Add"

    @property
    def text(self) -> str:
        """Return what is put there, as far as it fits on a button."""
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
