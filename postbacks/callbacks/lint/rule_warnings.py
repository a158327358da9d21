"""④ Warnings about a rule, and fixes that a person may accept with one press."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from postbacks.callbacks.macros import RuleError

_WORD: Final = re.compile(r"[\w.-]+")
_INSIDE: Final = re.compile(r"\{\{\s*")
_ARGUMENT: Final = re.compile(r"[\w-]+\s*:\s*(?:'([^']*)'|\"([^\"]*)\"|([\w.+-]+))")
_HOST: Final = re.compile(r"[^/?#]+")
_OF_HOST: Final = (
    *("This is not a host name.", "A URL has its host in ASCII"),
    *("The host ends with", "The port after the colon"),
)
_OF_ARGUMENT: Final = re.compile(r"[\w-]+: ")


class WarningCode(StrEnum):
    """The kind of a warning; programs may rely on it."""

    SINGLE_BRACES = "single_braces"
    VENDOR_PLACEHOLDER = "vendor_placeholder"
    NOT_ENCRYPTED = "not_encrypted"
    NOT_ENCODED = "not_encoded"
    HTML_ENTITY = "html_entity"
    DUPLICATE_PARAMETER = "duplicate_parameter"
    PERSONAL_WITHOUT_CONSENT = "personal_without_consent"
    NOT_ON_PLATFORM = "not_on_platform"
    REQUIRED_MISSING = "required_missing"
    NOT_AN_AMOUNT = "not_an_amount"
    EVENT = "event"  # the event that a rule is tried with, not the rule
    EMPTY_FOR_ORGANIC = "empty_for_organic"
    NO_PARTNER = "no_partner"
    UNKNOWN_EVENT = "unknown_event"
    NOT_MAPPED = "not_mapped"
    REVENUE_WITHHELD = "revenue_withheld"
    NO_CURRENCY = "no_currency"
    SENDS_NOTHING = "sends_nothing"


# What such a warning is about fails no request: nobody notices until the money is missing.
LOSES_IN_SILENCE: Final = frozenset(
    {
        WarningCode.EMPTY_FOR_ORGANIC,
        WarningCode.NO_PARTNER,
        WarningCode.UNKNOWN_EVENT,
        WarningCode.NOT_MAPPED,
        WarningCode.REVENUE_WITHHELD,
        WarningCode.NO_CURRENCY,
        WarningCode.SENDS_NOTHING,
    }
)


@dataclass(frozen=True, slots=True)
class RuleWarning:
    """Something in a rule that is allowed and probably not meant.

    `field` is named as in a RuleError; a member of a list or object is `triggers.0` or
    `event_map.purchase`, and `event.currency` is a field of the event that the rule is tried with.
    `fix` replaces the `length` characters from `position` on; None if only a person can tell what
    is right. `macro` is the first name in a macro whose lack of a value it is about.
    """

    field: str
    position: int
    length: int
    code: WarningCode
    message: str
    fix: str | None = None
    macro: str = ""


@dataclass(frozen=True, slots=True)
class Fix:
    """Replaces the `length` characters from `position` on by `text`."""

    position: int
    length: int
    text: str

    def applied_to(self, written: str) -> str:
        return written[: self.position] + self.text + written[self.position + self.length :]


def fix_of(error: RuleError, written: str) -> Fix | None:
    """Return an error's suggestion as a change of the text; None if it has none."""
    if error.suggestion is None:
        return None
    if error.message.startswith(_OF_HOST):
        return _at(_HOST.match(written, error.position), 0, error.suggestion)
    if _OF_ARGUMENT.match(error.message):
        argument = _ARGUMENT.match(written, error.position)
        group = next((n for n in (1, 2, 3) if argument and argument[n] is not None), 0)
        return _at(argument, group, error.suggestion)
    inside = _INSIDE.match(written, error.position)
    start = inside.end() if inside else error.position
    return _at(_WORD.match(written, start), 0, error.suggestion)


def _at(match: re.Match[str] | None, group: int, text: str) -> Fix | None:
    return None if match is None else Fix(match.start(group), len(match[group]), text)
