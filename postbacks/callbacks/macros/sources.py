"""Where each macro of the catalogue gets its value from."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from ipaddress import ip_address, ip_network
from typing import Final, Protocol
from uuid import UUID

from postbacks.callbacks.facts import ORGANIC, AttributionFacts, Facts
from postbacks.callbacks.macros.catalogue import CATALOGUE, MacroType
from postbacks.callbacks.macros.value import (
    EXACT,
    Rates,
    Value,
    number_of,
    time_of,
    trimmed,
    unix_milliseconds,
)

# What an advertising id is called on each platform, best first.
_ADVERTISING_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "ios": ("idfa",),
    "tv": ("idfa", "gaid", "amazon_id"),
    "android": ("gaid", "oaid", "amazon_id"),
    "amazon": ("amazon_id", "gaid"),
}
_ANY_PLATFORM: Final = ("idfa", "gaid", "amazon_id", "oaid")
_CLICK_PARAMETERS: Final = (
    *("adset_id", "adset_name", "ad_id", "ad_name", "creative_id", "site_name", "sub_site_id"),
    *("keyword", "agency", "gclid", "gbraid", "wbraid", "tracker_id", "tracker_name"),
    *("cost_type", "cost_amount", "cost_currency", "conversion_type", "payout", "payout_pct"),
    *(f"sub{number}" for number in range(1, 11)),
)
_KEPT_BITS: Final = {4: 24, 6: 48}
_LIFE_CYCLE: Final = frozenset(
    {
        *("install", "reinstall", "reattribution", "reengagement", "open", "purchase"),
        *("skan_postback", "rejected_install", "attribution_updated", "ad_impression"),
    }
)


class Reading(Protocol):
    """This is one event being read: its facts, and other macros that a macro is made of."""

    @property
    def facts(self) -> Facts:
        """This is what is known about the event."""

    @property
    def params(self) -> Mapping[str, object]:
        """This is the event's own parameters, none if they are withheld."""

    @property
    def click(self) -> Mapping[str, object]:
        """This is the click URL's parameters, none if they are withheld."""

    @property
    def rates(self) -> Rates | None:
        """This is the day's exchange rates."""

    def get(self, name: str, /) -> Value:
        """This is the value of another macro."""

    def field(self, name: str) -> object:
        """This is a field of the event, or else the parameter of that name."""


Source = Callable[[Reading], object]


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


def _value(values: Reading) -> Value:
    """Return the revenue, or the number that a custom event in Tenjin's words calls its value."""
    revenue = values.get("revenue")
    if revenue is None and values.facts.event.source == "tenjin":
        return number_of(values.params.get("value"))
    return revenue


def _milliseconds(name: str) -> Source:
    def source(values: Reading) -> int | None:
        time = time_of(values.get(name))
        return None if time is None else unix_milliseconds(time)

    return source


def _device_id(name: str) -> Source:
    """This reads an id, all zeros being none."""

    def source(values: Reading) -> object:
        found = values.field(name)
        return None if isinstance(found, str) and not found.strip("0-") else found

    return source


def _ids_of_platform(values: Reading) -> tuple[str, ...]:
    platform = values.facts.event.platform or values.facts.app.platform
    return _ADVERTISING_IDS.get(platform, _ANY_PLATFORM)


def _advertising_id(values: Reading) -> object:
    for name in ("advertising_id", *_ids_of_platform(values)):
        found = _device_id(name)(values)
        if found:
            return found
    return None


def _id_of(platform: str, name: str) -> Source:
    """This reads a platform's own id, which apps may also send under the general name."""
    own = _device_id(name)

    def source(values: Reading) -> object:
        found = own(values)
        if found or (values.facts.event.platform or values.facts.app.platform) != platform:
            return found
        return _device_id("advertising_id")(values)

    return source


def _is_event(name: str) -> Source:
    return lambda values: values.facts.event.event_name == name


def _began(kind: str) -> Source:
    """This tells whether the event began such an install, or is called so."""

    def source(values: Reading) -> bool:
        return _beginning(values) == kind or values.facts.event.event_name == kind

    return source


def _beginning(values: Reading) -> str | None:
    install = values.facts.install
    is_begun = install is not None and install.is_begun
    return values.facts.attribution.install_kind if is_begun else None


def _time_of_event(
    event_name: str, name: str, known: Callable[[AttributionFacts], datetime | None] | None = None
) -> Source:
    """This reads a time that an event of its own tells, that others may report, or that we know."""

    def source(values: Reading) -> datetime | None:
        reported = time_of(values.field(name))
        if reported is not None:
            return reported
        if values.facts.event.event_name == event_name:
            return values.facts.event.event_time
        return known(values.facts.attribution) if known else None

    return source


def _event_type(values: Reading) -> str:
    name = _beginning(values) or values.facts.event.event_name
    return name if name in _LIFE_CYCLE else "event"


def _partner_event_name(values: Reading) -> str:
    postback = values.facts.postback
    mapped = postback.partner_event_name if postback is not None else None
    return mapped or values.facts.event.event_name


def _touched(*types: str) -> Source:
    def source(values: Reading) -> datetime | None:
        attribution = values.facts.attribution
        return attribution.touched_at if not types or attribution.type in types else None

    return source


def _is_attributed_to_destination(values: Reading) -> bool:
    attribution, postback = values.facts.attribution, values.facts.postback
    partner = postback.partner if postback is not None else None
    return attribution.type != ORGANIC and partner is not None and attribution.partner == partner


def _ad_network(values: Reading) -> str | None:
    attribution = values.facts.attribution
    if attribution.type == ORGANIC:
        return ORGANIC
    return attribution.partner_name or attribution.partner


def _of_click(name: str) -> Source:
    """This reads a parameter of the click, unless those are withheld."""
    read = _READERS.get(CATALOGUE[name].type)

    def source(values: Reading) -> object:
        click = values.get("click")
        found = (click.get(name) if isinstance(click, Mapping) else None) or values.field(name)
        return found if read is None else read(found)

    return source


def _of_link(name: str, known: Callable[[AttributionFacts], str | None]) -> Source:
    """This reads what the click says of its link, else what we know of ours."""
    said = _of_click(name)
    return lambda values: said(values) or known(values.facts.attribution)


def _ip_anonymized(values: Reading) -> str | None:
    try:
        address = ip_address(str(values.field("ip_address")))
    except ValueError:
        return None
    network = ip_network((address, _KEPT_BITS[address.version]), strict=False)
    return str(network.network_address)


def _price(values: Reading) -> object:
    price = number_of(values.field("price"))
    if price is not None or (number_of(values.field("quantity")) or 1) != 1:
        return price
    return values.facts.event.revenue


def _revenue_usd_gross(values: Reading) -> Decimal | None:
    revenue, currency = values.facts.event.revenue, values.facts.event.currency
    if revenue is None or not currency:
        return None
    if currency.upper() == "USD":
        return revenue
    return None if values.rates is None else values.rates.convert(revenue, currency.upper(), "USD")


def _revenue_usd_net(values: Reading) -> Decimal | None:
    gross = _revenue_usd_gross(values)
    if gross is None:
        return None
    return trimmed(EXACT.multiply(gross, EXACT.subtract(1, values.facts.app.store_share)))


def _revenue_usd_cents(values: Reading) -> int | None:
    gross = _revenue_usd_gross(values)
    return None if gross is None else int(gross.scaleb(2, EXACT).to_integral_value(ROUND_HALF_UP))


def _third_party_sharing(values: Reading) -> object:
    reported = values.field("third_party_sharing")
    partners = values.field("sharing_opt_out")
    if reported is not None or not isinstance(partners, list):
        return reported
    return "all" not in {str(name).strip().lower() for name in partners}


def _limit_ad_tracking_integer(values: Reading) -> int | None:
    limited = values.field("limit_ad_tracking")
    return None if limited is None else int(bool(number_of(limited)) or limited == "true")


def _seed(values: Reading, purpose: str) -> bytes | None:
    """These are bytes that look random and are the same for each attempt of one postback."""
    postback = values.facts.postback
    if postback is None:
        return None
    text = f"{purpose}:{postback.id}:{unix_milliseconds(postback.created_at)}"
    return hashlib.sha256(text.encode()).digest()


def _uuid(values: Reading) -> UUID | None:
    seed = _seed(values, "uuid")
    return None if seed is None else UUID(bytes=seed[:16], version=4)


def _random(values: Reading) -> int | None:
    seed = _seed(values, "random")
    return None if seed is None else int.from_bytes(seed[:8], "big") % 10_000_000_000


_SPECIAL: Final[Mapping[str, Source]] = {
    # Event
    "event_id": lambda it: it.facts.event.event_id,
    "event_name": lambda it: it.facts.event.event_name,
    "partner_event_name": _partner_event_name,
    "event_token": _partner_event_name,
    "event_type": _event_type,
    "event_params_json": lambda it: it.params or None,
    "params": lambda it: it.params or None,
    "partner_params_json": lambda it: it.params.get("partner_params"),
    "source": lambda it: it.facts.event.source,
    # Time
    "event_time": lambda it: it.facts.event.event_time,
    "time_in_ms": _milliseconds("event_time"),
    "received_at": lambda it: it.facts.event.received_at,
    "received_time": _same_as("received_at"),
    "acquired_at": lambda it: it.facts.install.installed_at if it.facts.install else None,
    "acquired_at_ms": _milliseconds("acquired_at"),
    "install_time": _same_as("acquired_at"),
    "engaged_at": _touched(),
    "engaged_at_ms": _milliseconds("engaged_at"),
    "engagement_time": _same_as("engaged_at"),
    "click_time": _touched("click"),
    "impression_time": _touched("impression"),
    "reattributed_time": _time_of_event(
        "reattribution", "reattributed_time", lambda it: it.reattributed_at
    ),
    "reinstalled_time": _time_of_event(
        "reinstall", "reinstalled_time", lambda it: it.reinstalled_at
    ),
    "reattributed_at": _same_as("reattributed_time"),
    "reinstalled_at": _same_as("reinstalled_time"),
    "uninstalled_time": _time_of_event("uninstall", "uninstalled_time"),
    # App
    "app_id": lambda it: it.facts.app.id,
    "app_name": lambda it: it.facts.app.name,
    "bundle_id": lambda it: it.facts.event.bundle_id,
    "store_id": lambda it: it.facts.app.store_id,
    "platform": lambda it: it.facts.event.platform or it.facts.app.platform,
    # Attribution
    "ad_network": _ad_network,
    "campaign_id": lambda it: it.facts.attribution.campaign_id,
    "campaign_name": lambda it: it.facts.attribution.campaign_name,
    "creative_name": lambda it: it.facts.attribution.creative_name,
    "site_id": lambda it: it.facts.attribution.site_id,
    "click_id": lambda it: it.facts.attribution.click_id,
    "click": lambda it: it.click or None,
    "is_organic": lambda it: it.facts.attribution.type == ORGANIC,
    "is_attributed": lambda it: it.facts.attribution.type != ORGANIC,
    "is_attributed_to_destination": _is_attributed_to_destination,
    "is_reattribution": _began("reattribution"),
    "is_reengagement": _is_event("reengagement"),
    "is_view_through": lambda it: it.facts.attribution.type == "impression",
    "attribution_type": lambda it: it.facts.attribution.type,
    "match_type": lambda it: it.facts.attribution.method,
    **{name: _of_click(name) for name in _CLICK_PARAMETERS},
    "tracker_id": _of_link("tracker_id", lambda it: it.tracker_id),
    "tracker_name": _of_link("tracker_name", lambda it: it.tracker_name),
    "rejection_reason": _same_as("reject_reason"),
    # Device
    "advertising_id": _advertising_id,
    "idfa": _id_of("ios", "idfa"),
    "gaid": _id_of("android", "gaid"),
    "amazon_id": _id_of("amazon", "amazon_id"),
    **{name: _device_id(name) for name in ("install_id", "idfv", "oaid")},
    **{name: _device_id(name) for name in ("android_id", "app_set_id", "imei", "web_id")},
    "fire_adid": _same_as("amazon_id"),
    "ip_anonymized": _ip_anonymized,
    "consent_ad_user_data": _same_as("ad_user_data"),
    "consent_ad_personalization": _same_as("ad_personalization"),
    "mmp_device_id": _same_as("install_id"),
    "referrer": _same_as("install_referrer"),
    "device": lambda it: it.field("device_model") or it.field("device"),
    "os_name": lambda it: it.field("os_name") or it.get("platform"),
    "third_party_sharing": _third_party_sharing,
    "limit_ad_tracking_integer": _limit_ad_tracking_integer,
    # Money
    "revenue": lambda it: it.facts.event.revenue,
    "value": _value,
    "event_value": _same_as("revenue"),
    "price": _price,
    "currency": lambda it: it.facts.event.currency,
    "revenue_usd_gross": _revenue_usd_gross,
    "revenue_usd_net": _revenue_usd_net,
    "revenue_usd": _revenue_usd_gross,
    "revenue_net_usd": _revenue_usd_net,
    "revenue_usd_cents": _revenue_usd_cents,
    "revenue_reporting": _revenue_usd_gross,
    "reporting_currency": lambda it: "USD",
    # Postback
    "postback_id": lambda it: it.facts.postback.id if it.facts.postback else None,
    "callback_id": _same_as("postback_id"),
    "attempt": lambda it: it.facts.postback.attempt if it.facts.postback else None,
    "now": lambda it: it.facts.postback.created_at if it.facts.postback else None,
    "uuid": _uuid,
    "random": _random,
}

SOURCES: Final[Mapping[str, Source]] = {
    name: _SPECIAL.get(name) or _field(name) for name in CATALOGUE
}
