"""Converts a call of Tenjin's API to an event of ours, and remarks on what was not taken as sent.

Nothing is lost: a parameter without a field of ours is kept in `params` as it was sent. What an SDK
can't help, such as a country that is none, does not cost the event; what its developer can fix,
such as a price that is no number, is left for the check of the event to refuse. Remarks are plain
ASCII, since a header carries them.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from apps_registry.addresses import first_address
from postbacks.intake.events.body import BodyError
from postbacks.intake.events.device_clock import MOST_OFF, OLDEST, TOLERANCE, as_text
from postbacks.intake.receipts import FieldWarning
from postbacks.intake.tenjin.consent import unread_consent
from postbacks.intake.tenjin.device import Fields, device_fields, is_country, left_out_ids
from postbacks.intake.tenjin.parameters import (
    DEVICE,
    FLAGS,
    OURS_TO_THEIRS,
    SECRETS,
    TRACKING_STATUS,
    SentParameters,
    calculate_exactly,
    in_known_case,
    parse_number,
    parse_text,
    read_platform,
)
from postbacks.values import refusals
from postbacks.values.events import OPEN
from postbacks.values.timestamps import parse_timestamp

LONGEST_TEXT = 16 * 1024  # characters in `params`; a longer receipt is left out, not its purchase
# The mediations whose impressions have an address of their own.
MEDIATIONS = ("admob", "max", "ironsource", "hyperbid", "topon", "cas", "tradplus")
SERVER = "server"  # what a server writes as its `sdk_version`

_PURCHASE = frozenset({"price", "quantity", "currency", "product_id", "transaction_id"})
_NUMBERS = frozenset({"value", "conversion_value"})

# How many of each unit are one unit of the currency.
_AMOUNTS = (
    ("publisher_revenue_decimal", 1),
    ("revenue_decimal", 1),
    ("revenue", 1),
    ("ad_revenue", 1),
    ("publisher_revenue", 1),
    ("publisher_revenue_micro", 1_000_000),
    ("revenue_micros", 1_000_000),
    ("value_micros", 1_000_000),
    ("revenue_cpm", 1_000),  # of a thousand impressions
    ("ecpm", 1_000),
    ("cpm", 1_000),
)
_CURRENCIES = ("ad_revenue_currency", "currency", "currency_code", "publisher_revenue_currency")
_MOST_DIGITS = 19  # of a quantity; it takes a minute to write out 1e1000000
_DIGITS = Decimal("1e-12")  # as many as an event's revenue keeps

_EVENT_IDS = uuid.UUID("5f3c7c0e-2d1a-5b7e-9a44-8a0c5b1d7e21")
# These can differ between a call and its retry, and so do not identify the event.
_CIRCUMSTANCES = (
    DEVICE.keys()
    | FLAGS
    | SECRETS
    | {TRACKING_STATUS, "advertising_id", "developer_device_id", "signature", "retry_enabled"}
) - {"analytics_installation_id"}
_LONGEST_SHOWN = 40
_PLAIN_QUOTES = str.maketrans("“”", "''")
_MOST_NAMED = 5


class Call(StrEnum):
    """The kind of report that a call makes."""

    EVENT = "event"
    PURCHASE = "purchase"
    AD_IMPRESSION = "ad_impression"
    CONVERSION_VALUE = "conversion_value"


def to_sdk_event(
    call: Call, parameters: Mapping[str, object], *, app_id: int, platform: str, now: datetime
) -> Fields:
    """Return the event that a call reports; `platform` is the app's, if the call names none."""
    if call is Call.PURCHASE:
        parameters = in_known_case(parameters, _PURCHASE)
    sent = {name: value for name, value in parameters.items() if value not in (None, "")}
    device = device_fields(sent, platform=platform)
    event: Fields = {
        **device,
        "event_id": _event_id(call, sent, app_id=app_id),
        **_sent_time(sent, now=now),
        **_reported(call, sent),
        "params": _params(call, sent, device),
    }
    return {name: value for name, value in event.items() if value is not None}


def tenjin_name(pointer: str) -> str:
    """Return Tenjin's name of the field that a JSON pointer into our event leads to."""
    name = pointer.removeprefix("/").partition("/")[0]
    return OURS_TO_THEIRS.get(name, name)


def _event_id(call: str, sent: Mapping[str, object], *, app_id: int) -> str | None:
    """Return the id by which a retry of a call is recognized; None if it can't be.

    Tenjin's API has no id of a request. Its SDKs send `sent_at`, which a retry repeats: then the id
    is a digest of the call, and the retry is a duplicate. Without it two equal calls are two
    events, unless the caller adds an `event_id` of its own.
    """
    if own_id := sent.get("event_id"):
        return str(own_id)
    if not sent.get("sent_at") or not sent.get("analytics_installation_id"):
        return None
    identifying = {name: value for name, value in sent.items() if name not in _CIRCUMSTANCES}
    text = msgspec.json.encode([app_id, call, identifying], order="sorted").decode()
    return str(uuid.uuid5(_EVENT_IDS, text))


def _sent_time(sent: Mapping[str, object], *, now: datetime) -> Fields:
    """Return when the call was sent; nothing, which means now, if that can't be believed.

    A time in the past may be that of a first try. Only one ahead shows that the clock is wrong, and
    is passed on as `sent_at`, by which the event is corrected.
    """
    sent_at = parse_timestamp(sent.get("sent_at"))
    if sent_at is None or not now - OLDEST <= sent_at <= now + MOST_OFF:
        return {}
    time = as_text(sent_at)
    return {"event_time": time, **({"sent_at": time} if sent_at > now + TOLERANCE else {})}


def _reported(call: Call, sent: Mapping[str, object]) -> Fields:
    if call is Call.PURCHASE:
        return _purchase(sent)
    if call is Call.AD_IMPRESSION:
        return {"event_name": "ad_impression", **_impression_revenue(sent)}
    if call is Call.CONVERSION_VALUE:
        return {"event_name": "conversion_value"}
    return {"event_name": parse_text(sent.get("event")) or OPEN}  # unnamed: the app was opened


def _purchase(sent: Mapping[str, object]) -> Fields:
    """Return a purchase; Tenjin's `price` is that of one piece, before the store's share.

    Raises BodyError (400) for a price that only programs read as a number.
    """
    if "_" in (text := parse_text(sent.get("price"))):
        raise BodyError(400, f"price: {refusals.not_amount(text)}")
    price, quantity = parse_number(sent.get("price")), parse_number(sent.get("quantity", 1))
    revenue: Decimal | None = None
    if price is not None and quantity is not None:
        each, pieces = price, quantity
        revenue = calculate_exactly(lambda: each * pieces)
    return {
        "event_name": "purchase",
        "revenue": revenue,
        "price": sent.get("price") if price is None else price,
        "quantity": sent.get("quantity") if quantity is None else _whole(quantity),
        **{name: parse_text(sent.get(name)) or None for name in _PURCHASE - {"price", "quantity"}},
    }


def _whole(number: Decimal) -> int | Decimal:
    """Return 2.0 as 2; what is no quantity as it is, to be refused."""
    if number.adjusted() >= _MOST_DIGITS or number != number.to_integral_value():
        return number
    return int(number)


def _impression_revenue(sent: Mapping[str, object]) -> Fields:
    """Return `revenue` and `currency` of an impression; nothing where no amount is named.

    AppLovin MAX sends `revenue` and `ad_revenue_currency`, and Tenjin's SDKs add
    `publisher_revenue_decimal` and `…_micro`; the endpoint for other mediations takes
    `revenue_decimal` or `revenue_cpm`. All names count for every call, best first. An amount
    without a currency is in US dollars, as all these mediations report.
    """
    nested = dict(_nested_first(sent))
    nested = {name.lower(): value for name, value in nested.items()} | nested
    amounts = [
        amount
        for name, units in _AMOUNTS
        if (amount := _amount(nested.get(name), units)) is not None
    ]
    if not amounts:
        return {}
    revenue = next((amount for amount in amounts if amount), amounts[0])  # some send zeros beside
    currency = next((nested[name] for name in _CURRENCIES if nested.get(name)), "USD")
    return {"revenue": revenue, "currency": str(currency)}


def _nested_first(sent: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield the members of objects first, so that in a dict the parameters outside win."""
    for value in sent.values():
        if isinstance(value, dict):
            yield from value.items()
    yield from sent.items()


def _amount(value: object, units: int) -> Decimal | None:
    number = parse_number(value)
    if number is None:
        return None
    return calculate_exactly(lambda: (number / units).quantize(_DIGITS).normalize())


def _params(call: Call, sent: Mapping[str, object], device: Fields) -> Fields:
    """Return the parameters that no field of ours holds, or holds in another form."""
    mapped = SECRETS | {"event_id", "advertising_id"}
    mapped |= {OURS_TO_THEIRS[name] for name in device.keys() & OURS_TO_THEIRS.keys()}
    mapped |= {name for name, value in device.items() if _is_same(sent.get(name), value)}
    mapped -= unread_consent(sent).keys()
    mapped |= {Call.EVENT: {"event"}, Call.PURCHASE: _PURCHASE}.get(call, frozenset())
    return {
        name: _number_or_as_sent(name, value)
        for name, value in sent.items()
        if name not in mapped and not (isinstance(value, str) and len(value) > LONGEST_TEXT)
    }


def _is_same(sent: object, value: object) -> bool:
    return isinstance(value, bool) or parse_text(sent).lower() == parse_text(value).lower()


def _number_or_as_sent(name: str, value: object) -> object:
    """Return a number where one is meant, so that conditions and macros can calculate with it."""
    number = parse_number(value) if name in _NUMBERS else None
    return value if number is None else number


def remarks_on_device(sent: Mapping[str, object]) -> Iterator[str]:
    """Yield a sentence for each parameter of the device or person that was not taken as sent."""
    if names := left_out_ids(sent):
        yield f"No IDs, so they were left out: {', '.join(names)}"
    for name, taken_as in unread_consent(sent).items():
        yield (
            f"{name}: {_shown(sent[name])} is no known value, so it was taken as {taken_as}; "
            f"{'send 0, 1, 2 or 3' if taken_as[0].isdigit() else 'send 0 or 1'}"
        )
    country, address, platform = (
        parse_text(sent.get(name)) for name in ("country", "ip_address", "platform")
    )
    if country and not is_country(country):
        yield f"country: {_shown(country)} is no code of two letters such as DE; kept in params"
    if address and not first_address(address):
        yield f"ip_address: {_shown(address)} is no IP address; kept in params"
    if platform and not read_platform(platform):
        yield f"platform: {_shown(platform)} is unknown and counts as other; send ios or android"


def remarks_on_time(sent: Mapping[str, object], *, now: datetime) -> Iterator[str]:
    """Yield a sentence where `sent_at` can't be believed."""
    if sent.get("sent_at") and not _sent_time(sent, now=now):
        yield (
            f"sent_at: {_shown(sent['sent_at'])} is no time of the last {OLDEST.days} days, so the "
            "event counts as now; send the device's time in milliseconds or as 2026-01-31T12:00:00Z"
        )


def remarks_on_event(warnings: Iterable[FieldWarning]) -> Iterator[str]:
    """Yield, under Tenjin's names, what was taken of an event otherwise than it was sent.

    What was left out in place of an id is named by `remarks_on_device`.
    """
    for warning in warnings:
        if not warning.is_left_out_id:
            yield f"{tenjin_name(warning.pointer)}: {_plain(warning.detail)}"


def remarks_on_repeated(parameters: SentParameters) -> Iterator[str]:
    """Yield a sentence for the parameters that were sent with several values, if any."""
    if parameters.repeated:
        names = sorted(map(_shown, parameters.repeated))[:_MOST_NAMED]
        yield f"Sent with several values, of which the last counts: {', '.join(names)}"


def _shown(value: object) -> str:
    text = parse_text(value)[:_LONGEST_SHOWN]
    return f"'{_plain(text.replace(chr(39), '?'))}'"


def _plain(text: str) -> str:
    """Return a text as a header can carry it between double quotes."""
    text = text.translate(_PLAIN_QUOTES)
    return "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "?" for c in text)
