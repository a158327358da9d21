"""What a call says of a person's consent, read so that no opt-out is lost.

A word that nobody knows counts as an opt-out: a partner that is not told a device's id loses
little, and an id that was told can't be taken back.
"""

import re
from collections.abc import Mapping
from typing import Final

from postbacks.intake.tenjin.parameters import FLAGS, TRACKING_STATUS, parse_number, parse_text
from postbacks.values.placeholders import is_no_value

LIMIT_AD_TRACKING: Final = "limit_ad_tracking"
_DENIED: Final = 2

_YES: Final = frozenset(["1", "true", "t", "yes", "y", "on", "enabled"])
_NO: Final = frozenset(["0", "false", "f", "no", "n", "off", "disabled"])
_ALLOWED: Final = frozenset(
    ["authorized", "authorised", "granted", "allowed", "accepted", "optin", "optedin"]
)
_REFUSED: Final = frozenset(
    [
        "denied",
        "restricted",
        "refused",
        "rejected",
        "limited",
        "optout",
        "optedout",
    ]  # of any vendor
)
_NOT_ASKED: Final = frozenset(["unknown", "unspecified", "undetermined", "notdetermined"])
_STATUSES: Final = {
    "notdetermined": 0,
    "restricted": 1,
    "denied": _DENIED,
    "authorized": 3,
    "authorised": 3,
}
# How Apple's own names of the four states begin.
_APPLES_PREFIX: Final = re.compile(r"(?:attrackingmanager)?(?:authorizationstatus)?")
_LONGEST_WORD: Final = 100


def read_consent(sent: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of a person's consent that a call names."""
    consent: dict[str, object] = {
        name: _flag(name, sent[name]) for name in FLAGS & sent.keys() if _says_something(sent[name])
    }
    if TRACKING_STATUS in sent:
        consent["att_status"] = _status(sent[TRACKING_STATUS])
    return {name: value for name, value in consent.items() if value is not None}


def unread_consent(sent: Mapping[str, object]) -> dict[str, str]:
    """Return how each parameter with an unknown word was read."""
    unread = {
        name: "the person has opted out"
        for name in sorted(FLAGS & sent.keys())
        if _says_something(sent[name]) and _known_flag(name, sent[name]) is None
    }
    status = sent.get(TRACKING_STATUS)
    if status is not None and _known_status(status) is None and _says_something(status):
        unread[TRACKING_STATUS] = "2 (denied)"
    return unread


def _flag(name: str, value: object) -> bool:
    flag = _known_flag(name, value)
    return name == LIMIT_AD_TRACKING if flag is None else flag


def _known_flag(name: str, value: object) -> bool | None:
    if isinstance(value, list):
        flags = {_known_flag(name, parse_text(part)) for part in value}
        return flags.pop() if len(flags) == 1 else None
    if (number := parse_number(value)) is not None:
        return {0: False, 1: True}.get(number)  # type: ignore[call-overload,no-any-return]
    word = _word(value)
    if word in _YES:
        return True
    if word in _NO:
        return False
    if word in _ALLOWED:
        return name != LIMIT_AD_TRACKING
    return name == LIMIT_AD_TRACKING if word in _REFUSED else None


def _status(value: object) -> int | None:
    status = _known_status(value)
    return _DENIED if status is None and _says_something(value) else status


def _known_status(value: object) -> int | None:
    if isinstance(value, list):
        statuses = {_known_status(parse_text(part)) for part in value}
        return statuses.pop() if len(statuses) == 1 else None
    number = parse_number(value)
    if number is not None:
        return int(number) if number in {0, 1, 2, 3} else None
    return _STATUSES.get(_word(value))


def _says_something(value: object) -> bool:
    """Tell whether a value is neither a macro that nobody filled nor a word for “not asked”."""
    if isinstance(value, list):
        return any(_says_something(parse_text(part)) for part in value)
    text = parse_text(value)
    if not text:
        return False
    return not (is_no_value(text) or _word(value) in _NOT_ASKED)


def _word(value: object) -> str:
    """Return a word in small letters, without Apple's prefix and without what joins words."""
    text = parse_text(value)[:_LONGEST_WORD].lower().rpartition(".")[2]
    return _APPLES_PREFIX.sub("", re.sub(r"[\s_-]", "", text), count=1)
