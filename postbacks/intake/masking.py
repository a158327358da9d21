"""Masks what is kept of refused events: fields about nobody stay, of the others only the form.

Each letter becomes `x` and each digit `9`: `38400000-8cf0-11bd` is kept as `99999999-9xx9-99xx`.
That shows a missing dash, a blank or a wrong length, and names nobody. Plain Python.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from postbacks.intake.events.fields import FIELD_NAMES
from postbacks.intake.events.lenient_json import FlawedItem, NoJsonNumber, storable
from postbacks.intake.links.vocabulary import CANONICAL
from postbacks.intake.receipts import FieldError
from postbacks.intake.tenjin.parameters import NAMES as TENJIN_NAMES

# Fields whose values say nothing of a person.
_ABOUT_NOBODY: Final = frozenset(
    {
        *("event_id", "event_name", "event_time", "sent_at", "bundle_id", "platform", "event"),
        *("os_name", "os_version", "os_version_release", "api_level", "app_version"),
        *("sdk_version", "device_model", "device_brand", "device_type", "language", "locale"),
        *("country", "timezone", "connection_type", "revenue", "currency", "quantity", "price"),
        *("product_id", "limit_ad_tracking", "att_status", "tracking_status", "gdpr_applies"),
        *("eea", "ad_user_data", "ad_personalization", "us_privacy", "google_play_instant"),
        *("install_begin_time", "install_finish_time", "referrer_click_time"),
        *("kind", "type", "link", "campaign", "touchpoint_id", "occurred_at", "click_time", "mode"),
    }
)
_KNOWN_WORDS: Final = (
    FIELD_NAMES
    | TENJIN_NAMES
    | {name for names in CANONICAL.values() for name in names}
    | _ABOUT_NOBODY
    | {"events", "touchpoints", "params", "true", "false", "null"}
)
_NUMBERS_AND_TIMES: Final = frozenset(
    {"event_time", "sent_at", "revenue", "price", "quantity", "occurred_at", "click_time"}
    | {"install_begin_time", "install_finish_time", "referrer_click_time"}
)
_IDS_OF_OURS: Final = frozenset({"event_id", "touchpoint_id", "campaign", "link"})
_MOST_OF_TEXT: Final = 256  # characters of one value
_MOST_OF_NAME: Final = 64
_MOST_BITS: Final = 4_000  # Python writes out no number of more than 4,300 digits
_DEEPEST: Final = 8
# An e-mail address, a long number such as a telephone's, or an id.
_MAY_BE_PERSONAL: Final = re.compile(r"@|\d[\d .()/-]{5,}\d|[0-9a-fA-F]{16}|[0-9a-fA-F]{8}-")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_LETTER: Final = re.compile(r"[^\W\d_]")
_DIGIT: Final = re.compile(r"\d")
_FOREIGN: Final = re.compile(r"[^\x00-\x7f]")
_WORD: Final = re.compile(r"[^\s{}\[\]:,\"'<>=&;]+")
_QUOTED: Final = re.compile("“([^”]*)”")

_encoder = msgspec.json.Encoder(decimal_format="number")


def masked_text(text: str) -> str:
    """Return the form of a text: x for each letter, 9 for each digit."""
    return _FOREIGN.sub("x", _DIGIT.sub("9", _LETTER.sub("x", text)))


def masked_body(text: str) -> str:
    """Return a text that is no JSON with its known names, its signs and the form of the rest."""
    return _WORD.sub(lambda word: _known_or_masked(word[0]), text)


def open_text(field: str, value: object) -> str:
    """Return the value of a field about nobody, masked if it may be personal all the same."""
    text = value if isinstance(value, str) else ""
    cut = text[:_MOST_OF_TEXT]
    if field in _NUMBERS_AND_TIMES or (field in _IDS_OF_OURS and _UUID.fullmatch(cut)):
        return cut if "@" not in cut else masked_text(cut)
    return masked_text(cut) if _MAY_BE_PERSONAL.search(cut) else cut


def masked_item(item: object, most_bytes: int) -> tuple[str, bool]:
    """Return an item as JSON of at most so many bytes, and whether something was cut.

    Its work is bounded, however large the item is.
    """
    walk = _Walk(most_bytes)
    json = _encoder.encode(walk.masked(item, "", _DEEPEST)).decode()
    cut = json.encode()[:most_bytes].decode(errors="ignore")
    return cut, walk.is_cut or len(cut) < len(json)


def masked_errors(item: object, errors: tuple[FieldError, ...]) -> list[dict[str, str]]:
    """Return the errors of an item as the caller read them, with personal values masked."""
    return [
        {"pointer": masked_pointer(error.pointer), "detail": _masked_detail(item, error)}
        for error in errors
    ]


def masked_detail(detail: str) -> str:
    """Return the sentence about a whole request, with what it quotes masked."""
    return _QUOTED.sub(lambda quoted: f"“{_known_or_masked(quoted[1])}”", detail)


def masked_pointer(pointer: str) -> str:
    """Return a JSON pointer in which names that may be personal are masked."""
    return "/".join(_name(step) for step in pointer.split("/"))


def _known_or_masked(word: str) -> str:
    return word if word in _KNOWN_WORDS else masked_text(word)


def _name(name: str) -> str:
    cut = name[:_MOST_OF_NAME]
    return masked_text(cut) if _MAY_BE_PERSONAL.search(cut) else cut


def _masked_detail(item: object, error: FieldError) -> str:
    field = error.pointer.removeprefix("/").partition("/")[0]
    value = item.get(field) if isinstance(item, Mapping) else item
    detail = error.detail
    is_open = field in _ABOUT_NOBODY
    if is_open and isinstance(value, str):
        is_open = open_text(field, value) == value[:_MOST_OF_TEXT]
    if not is_open:
        detail = masked_detail(detail)
    if field not in _ABOUT_NOBODY and isinstance(value, int | Decimal):
        for text in {str(value), str(value)[:60]} - {"True", "False"}:
            detail = detail.replace(text, masked_text(text))
    return detail


class _Walk:
    """Masks one item, and stops when its room is used up."""

    def __init__(self, room: int) -> None:
        self._room = room
        self.is_cut = False

    def masked(self, value: object, field: str, depth: int) -> object:
        """Return a value masked; `field` is the name of the field that it is of."""
        if isinstance(value, FlawedItem):
            value = value.value
        if isinstance(value, Mapping):
            return dict(self._members(value, field, depth))
        if isinstance(value, list | tuple):
            return list(self._elements(value, field, depth))
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, NoJsonNumber):
            value = value.text
        if isinstance(value, str):
            return self._text(value, field)
        return self._number(value, field)

    def _members(
        self, members: Mapping[object, object], field: str, depth: int
    ) -> Iterator[tuple[str, object]]:
        for name, value in members.items():
            if not self._goes_on(depth):
                return
            text = storable(str(name))  # its flaw may be half a character
            is_of_event = field in {"", "events", "touchpoints"}
            # Deeper names may be a person's: developers write what they want there.
            is_open = is_of_event or field == "params"
            shown = _name(text) if is_open else _known_or_masked(text[:_MOST_OF_NAME])
            self._room -= len(shown) + 4
            yield shown, self.masked(value, text if is_of_event else f"{field}/", depth - 1)

    def _elements(self, values: Sequence[object], field: str, depth: int) -> Iterator[object]:
        for value in values:
            if not self._goes_on(depth):
                return
            yield self.masked(value, field, depth - 1)

    def _goes_on(self, depth: int) -> bool:
        if self._room <= 0 or depth <= 0:
            self.is_cut = True
            return False
        return True

    def _text(self, text: str, field: str) -> str:
        if len(text) > _MOST_OF_TEXT:
            self.is_cut = True
        cut = storable(text[:_MOST_OF_TEXT])
        shown = open_text(field, cut) if field in _ABOUT_NOBODY else masked_text(cut)
        self._room -= len(shown) + 3
        return shown

    def _number(self, value: object, field: str) -> object:
        is_huge = isinstance(value, int) and value.bit_length() > _MOST_BITS
        text = "9" * _MOST_OF_NAME if is_huge else str(value)[:_MOST_OF_NAME]
        is_open = field in _NUMBERS_AND_TIMES or not _MAY_BE_PERSONAL.search(text)
        if field not in _ABOUT_NOBODY or not is_open:
            text = masked_text(text)
        self._room -= len(text)
        return Decimal(text) if _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except ArithmeticError:
        return False
