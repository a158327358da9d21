"""The fields of an event as the SDK API takes them (contract, section 3)."""

from decimal import Decimal
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

# The most characters of a value.
MOST_OF_NAME: Final = 64
MOST_OF_ID: Final = 255
MOST_OF_TEXT: Final = 4_096
MOST_OF_CLICK_ID: Final = 2_048  # as long as a touchpoint keeps it

MOST_PIECES: Final = 1_000_000_000

Text = Annotated[str, Meta(max_length=MOST_OF_TEXT)] | None
Id = Annotated[str, Meta(max_length=MOST_OF_ID)] | None
Flag = bool | Literal[0, 1] | None  # consent frameworks write 0 and 1
TimestampText = Annotated[str, Meta(max_length=64)] | int | None  # stores write texts or Unix times
Platform = Literal["ios", "android", "amazon", "windows", "web", "tv", "other"]


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
    click_id: Annotated[str, Meta(max_length=MOST_OF_CLICK_ID)] | None = None
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
