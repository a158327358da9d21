"""Turns a call of Tenjin's API into an event of ours.

Nothing is lost: a parameter without a place among our fields is kept in `params` as it came. What
an SDK can't help, such as a country that is none, does not cost the event; what its developer can
mend, such as a price that is no number, is left for the check of the event to refuse.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from postbacks.intake.tenjin import identity
from postbacks.intake.tenjin.device import Fields, device_of, text
from postbacks.intake.tenjin.impressions import earnings
from postbacks.intake.tenjin.names import OURS_TO_THEIRS, SECRETS
from postbacks.intake.tenjin.numbers import exact, number

LONGEST_TEXT = 16 * 1024  # characters in `params`; a longer receipt is left out, not its purchase
SERVER = "server"  # what a server writes as its `sdk_version`

_PURCHASE = frozenset({"price", "quantity", "currency", "product_id", "transaction_id"})
_NUMBERS = frozenset({"value", "conversion_value"})


class Call(StrEnum):
    """What a call reports."""

    EVENT = "event"
    PURCHASE = "purchase"
    AD_IMPRESSION = "ad_impression"
    CONVERSION_VALUE = "conversion_value"


def sdk_event(
    call: Call, parameters: Mapping[str, object], *, app_id: int, platform: str, now: datetime
) -> Fields:
    """Return the event that a call reports; `platform` is the app's, if the call names none."""
    given = {name: value for name, value in parameters.items() if value not in (None, "")}
    device = device_of(given, platform=platform)
    event: Fields = {
        **device,
        "event_id": identity.event_id(call, given, app_id=app_id),
        "event_time": identity.time_of(given, now=now),
        **_reported(call, given),
        "params": _params(call, given, device),
    }
    return {name: value for name, value in event.items() if value is not None}


def their_name(pointer: str) -> str:
    """Return how Tenjin calls the field that a JSON pointer into our event leads to."""
    name = pointer.removeprefix("/").partition("/")[0]
    return OURS_TO_THEIRS.get(name, name)


def _reported(call: Call, given: Mapping[str, object]) -> Fields:
    if call is Call.PURCHASE:
        return _purchase(given)
    if call is Call.AD_IMPRESSION:
        return {"event_name": "ad_impression", **earnings(given)}
    if call is Call.CONVERSION_VALUE:
        return {"event_name": "conversion_value"}
    return {"event_name": text(given.get("event")) or "open"}  # without a name the app was opened


def _purchase(given: Mapping[str, object]) -> Fields:
    """Return a purchase; Tenjin's `price` is that of one piece, before the store's share."""
    price, quantity = number(given.get("price")), number(given.get("quantity", 1))
    revenue: Decimal | None = None
    if price is not None and quantity is not None:
        each, pieces = price, quantity
        revenue = exact(lambda: each * pieces)
    is_whole = quantity is not None and quantity == quantity.to_integral_value()
    return {
        "event_name": "purchase",
        "revenue": revenue,
        "price": given.get("price") if price is None else price,
        "quantity": int(quantity) if quantity is not None and is_whole else given.get("quantity"),
        **{name: text(given.get(name)) or None for name in _PURCHASE - {"price", "quantity"}},
    }


def _params(call: Call, given: Mapping[str, object], device: Fields) -> Fields:
    """Return what has no place among our fields, or stands there in other words."""
    taken = SECRETS | {"event_id", "advertising_id"}  # of which zeros are none
    taken |= {OURS_TO_THEIRS[name] for name in device.keys() & OURS_TO_THEIRS.keys()}
    taken |= {name for name, value in device.items() if _says(given.get(name), value)}
    taken |= {Call.EVENT: {"event"}, Call.PURCHASE: _PURCHASE}.get(call, frozenset())
    return {
        name: _value(name, value)
        for name, value in given.items()
        if name not in taken and not (isinstance(value, str) and len(value) > LONGEST_TEXT)
    }


def _says(given: object, value: object) -> bool:
    return isinstance(value, bool) or text(given).lower() == text(value).lower()


def _value(name: str, value: object) -> object:
    """Return a number where one is meant, so that conditions and macros can reckon with it."""
    found = number(value) if name in _NUMBERS else None
    return value if found is None else found
