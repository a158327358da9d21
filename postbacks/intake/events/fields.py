"""The fields of an event as the SDK API takes them (contract, section 3), and their errors.

An error says why a field's value can't be taken, and what to send.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Final, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from postbacks.intake.receipts import FieldError
from postbacks.values import refusals
from postbacks.values.touchpoints import LONGEST_CLICK_ID

# The most characters of a value.
MOST_OF_NAME: Final = 64
MOST_OF_ID: Final = 255
MOST_OF_TEXT: Final = 4_096

MOST_PIECES: Final = 1_000_000_000

Text = Annotated[str, Meta(max_length=MOST_OF_TEXT)] | None
Id = Annotated[str, Meta(max_length=MOST_OF_ID)] | None
Flag = bool | Literal[0, 1] | None  # consent frameworks write 0 and 1
TimestampText = Annotated[str, Meta(max_length=64)] | int | None  # stores write texts or Unix times
Platform = Literal["ios", "android", "amazon", "windows", "web", "tv", "other"]
_LONGEST: Final = {"click_id": LONGEST_CLICK_ID}
_ATT_STATUS: Final = {
    "notdetermined": 0,
    "restricted": 1,
    "denied": 2,
    "authorized": 3,
    "authorised": 3,
}
_EXAMPLES: Final = {"event_name": "purchase", "currency": "EUR", "os_version": "17.5"}


class EventFields(Struct, kw_only=True, omit_defaults=True):
    """Every field with a meaning of its own. Anything else is kept in `params`."""

    event_id: str | None = None
    event_name: Annotated[str, Meta(min_length=1, max_length=MOST_OF_NAME)]
    event_time: object = None  # a text or a number; checked by hand
    sent_at: object = None  # likewise
    bundle_id: Id = None
    platform: Platform | None = None

    # device
    install_id: Id = None
    advertising_id: Id = None
    idfa: Id = None
    idfv: Id = None
    gaid: Id = None
    oaid: Id = None
    amazon_id: Id = None
    android_id: Id = None
    app_set_id: Id = None
    web_id: Id = None
    customer_user_id: Id = None
    ip_address: Id = None
    user_agent: Text = None
    os_name: Text = None
    os_version: Text = None
    api_level: Text = None
    app_version: Text = None
    sdk_version: Text = None
    device: Text = None
    device_name: Text = None
    device_model: Text = None
    device_brand: Text = None
    device_type: Text = None
    language: Text = None
    locale: Text = None
    country: Text = None
    region: Text = None
    city: Text = None
    postal_code: Text = None
    timezone: Text = None
    carrier: Text = None
    mcc: Text = None
    mnc: Text = None
    connection_type: Text = None

    # money
    revenue: Decimal | None = None
    currency: str | None = None
    quantity: Annotated[int, Meta(ge=0, le=MOST_PIECES)] | None = None
    price: Decimal | None = None
    product_id: Text = None
    transaction_id: Text = None

    # attribution evidence
    click_id: Annotated[str, Meta(max_length=LONGEST_CLICK_ID)] | None = None
    install_referrer: Text = None
    install_begin_time: TimestampText = None
    install_begin_time_server: TimestampText = None
    install_finish_time: TimestampText = None
    referrer_click_time: TimestampText = None
    referrer_click_time_server: TimestampText = None
    install_version: Text = None
    google_play_instant: Flag = None
    adservices_token: Text = None
    gclid: Text = None
    gbraid: Text = None
    wbraid: Text = None

    # privacy
    limit_ad_tracking: Flag = None
    att_status: Annotated[int, Meta(ge=0, le=3)] | None = None
    gdpr_applies: Flag = None
    tcf_string: Text = None
    eea: Flag = None
    ad_user_data: Flag = None
    ad_personalization: Flag = None
    us_privacy: Text = None
    sharing_opt_out: list[Annotated[str, Meta(max_length=MOST_OF_ID)]] | None = None

    params: dict[str, object] | None = None


# Ids beside the device's: a click's, or a network's own.
CLICK_IDS = ("click_id", "gclid", "gbraid", "wbraid")

FIELD_NAMES = frozenset(EventFields.__struct_fields__)

FLAGS = frozenset(
    {
        "limit_ad_tracking",
        "gdpr_applies",
        "eea",
        "ad_user_data",
        "ad_personalization",
        "google_play_instant",
    }
)
TIMESTAMPS = frozenset(
    {
        "install_begin_time",
        "install_begin_time_server",
        "install_finish_time",
        "referrer_click_time",
        "referrer_click_time_server",
    }
)

# Stored in columns of their own; all others go together into `fields`.
IN_COLUMNS = frozenset(
    {
        *("event_id", "event_name", "event_time", "bundle_id", "platform", "customer_user_id"),
        *("revenue", "currency", "params"),
    }
)

WHOLE_NUMBERS = frozenset({"quantity", "att_status"})

# The best id of a device first: what an SDK makes at the install outlives a reset advertising id.
DEVICE_IDS = (
    *("install_id", "advertising_id", "idfa", "gaid", "amazon_id", "oaid", "idfv", "app_set_id"),
    *("android_id", "web_id", "customer_user_id"),
)
# With the ids of clicks: what is no id is left out of all of these.
ID_NAMES = frozenset({*DEVICE_IDS, *CLICK_IDS})

# Half a character in one of these would make it another value.
EXACT = frozenset(
    {
        *("event_id", "event_name", "bundle_id", "product_id", "transaction_id"),
        *("adservices_token", "install_referrer"),
        *ID_NAMES,
    }
)


def field_errors(item: Mapping[str, object]) -> list[FieldError]:
    """Return the errors of each field whose value has a wrong type or form."""
    return [error for name in EventFields.__struct_fields__ for error in _errors(name, item)]


def _errors(name: str, item: Mapping[str, object]) -> Iterator[FieldError]:
    if name not in item:
        if name == "event_name":
            detail = (
                "The event has no event_name. Write one of 1 to 64 characters, such as “purchase”."
            )
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
