"""Says of every field of an event why its value can't be taken, and what to send."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, get_args, get_type_hints

import msgspec

from postbacks.intake.events.fields import (
    FLAGS,
    MOST_OF_CLICK_ID,
    MOST_OF_ID,
    MOST_OF_NAME,
    MOST_OF_TEXT,
    MOST_PIECES,
    TIMESTAMPS,
    EventFields,
    Id,
    Platform,
)
from postbacks.intake.receipts import FieldError
from postbacks.values import refusals

_LONGEST: Final = {"click_id": MOST_OF_CLICK_ID}
_ATT_STATUS: Final = {
    "notdetermined": 0,
    "restricted": 1,
    "denied": 2,
    "authorized": 3,
    "authorised": 3,
}
_EXAMPLES: Final = {"event_name": "purchase", "currency": "EUR", "os_version": "17.5"}


def field_errors(item: Mapping[str, object]) -> list[FieldError]:
    """Return the errors of each field whose value has a wrong type or form."""
    return [error for name in EventFields.__struct_fields__ for error in _errors(name, item)]


def _errors(name: str, item: Mapping[str, object]) -> Iterator[FieldError]:
    if name not in item:
        if name == "event_name":
            detail = "The event has no name. Write one of 1 to 64 characters, such as “purchase”."
            yield FieldError("/event_name", detail)
        return
    try:
        msgspec.convert({"event_name": "x", name: item[name]}, EventFields)
    except msgspec.ValidationError:
        yield _error(name, item[name])


def _error(name: str, value: object) -> FieldError:
    if name == "sharing_opt_out" and isinstance(value, list):
        return _opt_out_error(value)
    describe = _DESCRIBERS.get(name, _no_text)
    return FieldError(f"/{name}", describe(name, value))


def _no_text(name: str, value: object) -> str:
    limit = MOST_OF_ID if name in _IDS else _LONGEST.get(name, MOST_OF_TEXT)
    if isinstance(value, str):
        return refusals.too_long(value, limit)
    return refusals.not_text(value, example=_EXAMPLES.get(name, ""))


def _no_name(name: str, value: object) -> str:
    if not isinstance(value, str):
        return refusals.not_text(value, example="purchase").replace(
            "or leave the field out", "of 1 to 64 characters"
        )
    if not value:
        return "An empty text is no name. Write 1 to 64 characters, such as “purchase”."
    return f"{refusals.quote(value)} has {len(value):,} characters. Write at most {MOST_OF_NAME}."


def _no_object(name: str, value: object) -> str:
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        return (
            f"{refusals.quote(value)} is a text that holds JSON. Send the object itself, without "
            "quotes around it."
        )
    return f"{refusals.quote(value)} is no object. Write one, such as {{“level”: 7}}."


def _no_att_status(name: str, value: object) -> str:
    word = re.sub(r"[^a-z]", "", value.lower()) if isinstance(value, str) else ""
    digit = str(value).strip() if isinstance(value, str) else ""
    status = _ATT_STATUS.get(word, int(digit) if digit in {"0", "1", "2", "3"} else None)
    if status is not None:
        return f"{refusals.quote(value)} is a text. Write {status}, without quotes."
    return (
        f"{refusals.quote(value)} is no status of App Tracking Transparency. Write 0 (not "
        "determined), 1 (restricted), 2 (denied) or 3 (authorized)."
    )


def _no_list(name: str, value: object) -> str:
    partner = value if isinstance(value, str) else "Unity Ads"
    return (
        f"{refusals.quote(value)} is no list. Write the partners' names in a list: "
        f"[“{partner[:60]}”]."
    )


def _opt_out_error(names: list[object]) -> FieldError:
    for at, name in enumerate(names):
        if not isinstance(name, str) or len(name) > MOST_OF_ID:
            detail = (
                refusals.too_long(name, MOST_OF_ID)
                if isinstance(name, str)
                else refusals.not_text(name, example="Unity Ads")
            )
            return FieldError(f"/sharing_opt_out/{at}", detail)
    raise AssertionError("a list of such texts is accepted")


_IDS: Final = frozenset(
    name for name, kind in get_type_hints(EventFields, include_extras=True).items() if kind == Id
)
_DESCRIBERS: Final[Mapping[str, Callable[[str, object], str]]] = {
    "event_name": _no_name,
    "event_id": lambda _, value: refusals.not_uuid(value),
    "platform": lambda _, value: refusals.not_one_of(value, get_args(Platform)),
    "revenue": lambda _, value: refusals.not_amount(value),
    "price": lambda _, value: refusals.not_amount(value),
    "quantity": lambda _, value: refusals.not_whole_number(value, MOST_PIECES),
    "att_status": _no_att_status,
    "sharing_opt_out": _no_list,
    "params": _no_object,
    **dict.fromkeys(FLAGS, lambda _, value: refusals.not_flag(value)),
    **dict.fromkeys(TIMESTAMPS, lambda _, value: refusals.not_time(value)),
}
