"""⑤ Where each macro of the catalogue gets its value from."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from ipaddress import ip_network
from typing import Final
from uuid import UUID

from apps_registry.addresses import parse_address
from postbacks.callbacks.macros.catalogue import CATALOGUE, MacroType
from postbacks.callbacks.macros.value import (
    EXACT,
    EventValues,
    Value,
    number_of,
    time_of,
    trimmed,
    unix_milliseconds,
)
from postbacks.values.attribution import ORGANIC, AttributionFacts
from postbacks.values.identifiers import advertising_ids_on
from postbacks.values.placeholders import is_placeholder, unfilled_macro
from postbacks.values.touchpoints import CLICK, IMPRESSION

CLICK_PARAMETERS: Final = (
    *("adset_id", "adset_name", "ad_id", "ad_name", "creative_id", "site_name", "sub_site_id"),
    *("keyword", "agency", "gclid", "gbraid", "wbraid", "tracker_id", "tracker_name"),
    *("cost_type", "cost_amount", "cost_currency", "conversion_type", "payout", "payout_pct"),
    *(f"sub{number}" for number in range(1, 11)),
)
_KEPT_BITS: Final = {4: 24, 6: 48}
LIFE_CYCLE_TYPES: Final = frozenset(
    {
        *("install", "reinstall", "reattribution", "reengagement", "open", "purchase"),
        *("skan_postback", "rejected_install", "attribution_updated", "ad_impression"),
    }
)


Source = Callable[[EventValues], object]


_READERS: Final[Mapping[MacroType, Callable[[object], object]]] = {
    MacroType.TIME: time_of,
    MacroType.DECIMAL: number_of,
}


def _field(name: str) -> Source:
    read = _READERS.get(CATALOGUE[name].type)
    if read is None:
        return lambda values: values.field(name)
    return lambda values: read(values.field(name))


def _same_as(name: str) -> Source:
    return lambda values: values.get(name)


def _value(values: EventValues) -> Value:
    """Return the revenue, or a custom Tenjin event's own value."""
    revenue = values.get("revenue")
    if revenue is None and values.facts.event.source == "tenjin":
        return number_of(values.params.get("value"))
    return revenue


def _milliseconds(name: str) -> Source:
    def source(values: EventValues) -> int | None:
        time = time_of(values.get(name))
        return None if time is None else unix_milliseconds(time)

    return source


def _device_id(name: str) -> Source:
    """Read an id; words and macros in its place mean none."""

    def source(values: EventValues) -> object:
        device_id = values.field(name)
        is_none = isinstance(device_id, str) and is_placeholder(device_id)
        return None if is_none else device_id

    return source


def _platform(values: EventValues) -> str:
    return values.facts.event.platform or values.facts.app.platform


def _advertising_id(values: EventValues) -> object:
    for name in ("advertising_id", *advertising_ids_on(_platform(values))):
        device_id = _device_id(name)(values)
        if device_id:
            return device_id
    return None


def _id_of(platform: str, name: str) -> Source:
    """Read a platform's own id, which apps may also send under the general name."""
    read_own_id = _device_id(name)

    def source(values: EventValues) -> object:
        own_id = read_own_id(values)
        if own_id or _platform(values) != platform:
            return own_id
        return _device_id("advertising_id")(values)

    return source


def _is_event(name: str) -> Source:
    return lambda values: values.facts.event.event_name == name


def _began(kind: str) -> Source:
    """Tell whether the event began such an install, or is named so."""

    def source(values: EventValues) -> bool:
        return _beginning(values) == kind or values.facts.event.event_name == kind

    return source


def _beginning(values: EventValues) -> str | None:
    install = values.facts.install
    began_install = install is not None and install.began_install
    return values.facts.attribution.install_kind if began_install else None


def _time_of_event(
    event_name: str, name: str, stored: Callable[[AttributionFacts], datetime | None] | None = None
) -> Source:
    """Read a time that any event may report, else that of an event by its name, else ours."""

    def source(values: EventValues) -> datetime | None:
        reported = time_of(values.field(name))
        if reported is not None:
            return reported
        if values.facts.event.event_name == event_name:
            return values.facts.event.event_time
        return stored(values.facts.attribution) if stored else None

    return source


def _event_type(values: EventValues) -> str:
    name = _beginning(values) or values.facts.event.event_name
    return name if name in LIFE_CYCLE_TYPES else "event"


def _partner_event_name(values: EventValues) -> str:
    postback = values.facts.postback
    mapped = postback.partner_event_name if postback is not None else None
    return mapped or values.facts.event.event_name


def _acquired_at(values: EventValues) -> datetime | None:
    install = values.facts.install
    return None if install is None else install.installed_at


def _touched(*types: str) -> Source:
    def source(values: EventValues) -> datetime | None:
        attribution = values.facts.attribution
        return attribution.touched_at if not types or attribution.type in types else None

    return source


def _is_attributed_to_destination(values: EventValues) -> bool:
    attribution, postback = values.facts.attribution, values.facts.postback
    partner = postback.partner if postback is not None else None
    return attribution.type != ORGANIC and partner is not None and attribution.partner == partner


def _ad_network(values: EventValues) -> str | None:
    attribution = values.facts.attribution
    if attribution.type == ORGANIC:
        return ORGANIC
    return attribution.partner_name or attribution.partner


def _click(values: EventValues) -> Mapping[str, object] | None:
    """Return the click's parameters; older clicks still hold macros that nobody filled."""
    return {
        name: value
        for name, value in values.click.items()
        if not (isinstance(value, str) and unfilled_macro(value))
    } or None


def _click_id(values: EventValues) -> str | None:
    click_id = values.facts.attribution.click_id
    return None if click_id is None or is_placeholder(click_id) else click_id


def _of_click(name: str) -> Source:
    """Read a parameter of the click, unless those are withheld, else the event's field."""
    read = _READERS.get(CATALOGUE[name].type)

    def source(values: EventValues) -> object:
        click = values.get("click")
        value = (click.get(name) if isinstance(click, Mapping) else None) or values.field(name)
        return value if read is None else read(value)

    return source


def _of_link(name: str, stored: Callable[[AttributionFacts], str | None]) -> Source:
    """Read a link's data from the click, else from our own tracking link."""
    from_click = _of_click(name)
    return lambda values: from_click(values) or stored(values.facts.attribution)


def _ip_anonymized(values: EventValues) -> str | None:
    address = parse_address(str(values.field("ip_address")))
    if address is None:
        return None
    network = ip_network((address, _KEPT_BITS[address.version]), strict=False)
    return str(network.network_address)


def _price(values: EventValues) -> object:
    price = number_of(values.field("price"))
    if price is not None or (number_of(values.field("quantity")) or 1) != 1:
        return price
    return values.facts.event.revenue


def _revenue_usd_gross(values: EventValues) -> Decimal | None:
    revenue, currency = values.facts.event.revenue, values.facts.event.currency
    if revenue is None or not currency:
        return None
    if currency.upper() == "USD":
        return revenue
    return None if values.rates is None else values.rates.convert(revenue, currency.upper(), "USD")


def _revenue_usd_net(values: EventValues) -> Decimal | None:
    gross = _revenue_usd_gross(values)
    if gross is None:
        return None
    return trimmed(EXACT.multiply(gross, EXACT.subtract(1, values.facts.app.store_share)))


def _revenue_usd_cents(values: EventValues) -> int | None:
    gross = _revenue_usd_gross(values)
    return None if gross is None else int(gross.scaleb(2, EXACT).to_integral_value(ROUND_HALF_UP))


def _third_party_sharing(values: EventValues) -> object:
    reported = values.field("third_party_sharing")
    partners = values.field("sharing_opt_out")
    if reported is not None or not isinstance(partners, list):
        return reported
    return "all" not in {str(name).strip().lower() for name in partners}


def _limit_ad_tracking_integer(values: EventValues) -> int | None:
    limited = values.field("limit_ad_tracking")
    return None if limited is None else int(bool(number_of(limited)) or limited == "true")


def _seed(values: EventValues, purpose: str) -> bytes | None:
    """Return bytes that look random and are the same for each attempt of one postback."""
    postback = values.facts.postback
    if postback is None:
        return None
    text = f"{purpose}:{postback.id}:{unix_milliseconds(postback.created_at)}"
    return hashlib.sha256(text.encode()).digest()


def _uuid(values: EventValues) -> UUID | None:
    seed = _seed(values, "uuid")
    return None if seed is None else UUID(bytes=seed[:16], version=4)


def _random(values: EventValues) -> int | None:
    seed = _seed(values, "random")
    return None if seed is None else int.from_bytes(seed[:8], "big") % 10_000_000_000


_SPECIAL: Final[Mapping[str, Source]] = {
    # Event
    "event_id": lambda values: values.facts.event.event_id,
    "event_name": lambda values: values.facts.event.event_name,
    "partner_event_name": _partner_event_name,
    "event_token": _partner_event_name,
    "event_type": _event_type,
    "event_params_json": lambda values: values.params or None,
    "params": lambda values: values.params or None,
    "partner_params_json": lambda values: values.params.get("partner_params"),
    "source": lambda values: values.facts.event.source,
    # Time
    "event_time": lambda values: values.facts.event.event_time,
    "time_in_ms": _milliseconds("event_time"),
    "received_at": lambda values: values.facts.event.received_at,
    "received_time": _same_as("received_at"),
    "acquired_at": _acquired_at,
    "acquired_at_ms": _milliseconds("acquired_at"),
    "install_time": _same_as("acquired_at"),
    "engaged_at": _touched(),
    "engaged_at_ms": _milliseconds("engaged_at"),
    "engagement_time": _same_as("engaged_at"),
    "click_time": _touched(CLICK),
    "impression_time": _touched(IMPRESSION),
    "reattributed_time": _time_of_event(
        "reattribution", "reattributed_time", lambda credit: credit.reattributed_at
    ),
    "reinstalled_time": _time_of_event(
        "reinstall", "reinstalled_time", lambda credit: credit.reinstalled_at
    ),
    "reattributed_at": _same_as("reattributed_time"),
    "reinstalled_at": _same_as("reinstalled_time"),
    "uninstalled_time": _time_of_event("uninstall", "uninstalled_time"),
    # App
    "app_id": lambda values: values.facts.app.id,
    "app_name": lambda values: values.facts.app.name,
    "bundle_id": lambda values: values.facts.event.bundle_id,
    "store_id": lambda values: values.facts.app.store_id,
    "platform": _platform,
    # Attribution
    "ad_network": _ad_network,
    "campaign_id": lambda values: values.facts.attribution.campaign_id,
    "campaign_name": lambda values: values.facts.attribution.campaign_name,
    "creative_name": lambda values: values.facts.attribution.creative_name,
    "site_id": lambda values: values.facts.attribution.site_id,
    "click_id": _click_id,
    "click": _click,
    "is_organic": lambda values: values.facts.attribution.type == ORGANIC,
    "is_attributed": lambda values: values.facts.attribution.type != ORGANIC,
    "is_attributed_to_destination": _is_attributed_to_destination,
    "is_reattribution": _began("reattribution"),
    "is_reengagement": _is_event("reengagement"),
    "is_view_through": lambda values: values.facts.attribution.type == IMPRESSION,
    "attribution_type": lambda values: values.facts.attribution.type,
    "match_type": lambda values: values.facts.attribution.method,
    **{name: _of_click(name) for name in CLICK_PARAMETERS},
    "tracker_id": _of_link("tracker_id", lambda credit: credit.tracker_id),
    "tracker_name": _of_link("tracker_name", lambda credit: credit.tracker_name),
    "rejection_reason": _same_as("reject_reason"),
    # Device
    "advertising_id": _advertising_id,
    "idfa": _id_of("ios", "idfa"),
    "gaid": _id_of("android", "gaid"),
    "amazon_id": _id_of("amazon", "amazon_id"),
    **{name: _device_id(name) for name in ("install_id", "idfv", "oaid")},
    **{name: _device_id(name) for name in ("android_id", "app_set_id", "imei", "web_id")},
    "customer_user_id": _device_id("customer_user_id"),
    "fire_adid": _same_as("amazon_id"),
    "ip_anonymized": _ip_anonymized,
    "consent_ad_user_data": _same_as("ad_user_data"),
    "consent_ad_personalization": _same_as("ad_personalization"),
    "mmp_device_id": _same_as("install_id"),
    "referrer": _same_as("install_referrer"),
    "device": lambda values: values.field("device_model") or values.field("device"),
    "os_name": lambda values: values.field("os_name") or values.get("platform"),
    "third_party_sharing": _third_party_sharing,
    "limit_ad_tracking_integer": _limit_ad_tracking_integer,
    # Money
    "revenue": lambda values: values.facts.event.revenue,
    "value": _value,
    "event_value": _same_as("revenue"),
    "price": _price,
    "currency": lambda values: values.facts.event.currency,
    "revenue_usd_gross": _revenue_usd_gross,
    "revenue_usd_net": _revenue_usd_net,
    "revenue_usd": _revenue_usd_gross,
    "revenue_net_usd": _revenue_usd_net,
    "revenue_usd_cents": _revenue_usd_cents,
    "revenue_reporting": _revenue_usd_gross,
    "reporting_currency": lambda values: "USD",
    # Postback
    "postback_id": lambda values: values.facts.postback.id if values.facts.postback else None,
    "callback_id": _same_as("postback_id"),
    "attempt": lambda values: values.facts.postback.attempt if values.facts.postback else None,
    "now": lambda values: values.facts.postback.created_at if values.facts.postback else None,
    "uuid": _uuid,
    "random": _random,
}

SOURCES: Final[Mapping[str, Source]] = {
    name: _SPECIAL.get(name) or _field(name) for name in CATALOGUE
}
