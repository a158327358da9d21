"""The names of tracking links' parameters, ours and other vendors'. Plain Python.

Links of Adjust, AppsFlyer, Airbridge, AppMetrica, Branch, Singular and Tenjin work as they are
pasted (facts: their public documentation of link parameters). Names are compared in small letters
and without the `~` and `$` that Branch puts before its own.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from postbacks.values.placeholders import is_no_value, is_placeholder

# Our name, then the aliases, best first. Our own name always wins.
_ALIASES: Final[Mapping[str, str]] = {
    "click_id": "clickid cl external_click_id transaction_id adjust_external_click_id",
    # campaign, ad set, ad, creative, publisher
    "campaign_name": "campaign c pcn",
    "campaign_id": "af_c_id pcid",
    "adset_name": "adset adgroup adgroup_name ad_group ad_group_name af_adset ad_set_name pscn",
    "adset_id": "adgroup_id ad_group_id af_adset_id ad_set_id pscid",
    "ad_name": "ad af_ad",
    "ad_id": "af_ad_id",
    "creative_name": "creative ad_creative pcrn",
    "creative_id": "ad_creative_id pcrid",
    "site_id": "af_siteid psid sub_id secondary_publisher_id publisher_id",
    "site_name": "psn secondary_publisher",
    "sub_site_id": "af_sub_siteid sub_site",
    "keyword": "af_keywords keywords term",
    "agency": "af_prt",
    "channel": "af_channel",
    "cost_type": "af_cost_model cost_model",
    "cost_amount": "af_cost_value cost_value",
    "cost_currency": "af_cost_currency",
    # the device, as a network's server reports it
    "ip_address": "ip af_ip device_ip client_ip",
    "user_agent": "ua af_ua device_ua",
    "language": "lang af_lang lc",
    "os_version": "ve af_os_version",
    "click_time": "click_timestamp clicktime impression_time impression_timestamp created_at_unix "
    "event_time timestamp",
    # where it leads
    "deep_link": "deeplink deeplink_url af_dp _dl",
    "fallback": "fallback_url _fallback_redirect",
    # raw ids
    "idfa": "ios_ifa ifa ifa_raw",
    "gaid": "gps_adid aifa google_aid gaid_raw aaid google_advertising_id",
    "oaid": "",
    "amazon_id": "fire_adid amazon_aid fire_id amazon_fire_id",
    "advertising_id": "",
    "idfv": "developer_device_id ifv",
    "app_set_id": "",
    "android_id": "andi",
    **{f"sub{n}": f"sub_{n} sub_id_{n} af_sub{n} subid{n} aff_sub{n}" for n in range(1, 11)},
}
CANONICAL: Final[Mapping[str, tuple[str, ...]]] = {
    ours: (ours, *theirs.split()) for ours, theirs in _ALIASES.items()
}
_OURS: Final[Mapping[str, str]] = {
    name: ours for ours, names in CANONICAL.items() for name in names
}
_PLACES: Final = {name: place for place, name in enumerate(_OURS)}  # the best name of each first
ID_KINDS: Final = (
    *("idfa", "gaid", "oaid", "amazon_id", "advertising_id"),
    *("idfv", "app_set_id", "android_id"),
)
_IDS: Final = frozenset({"click_id", *ID_KINDS})

# Singular writes 1 for SHA-1 and 5 for MD5 at the end of its short names.
_SHORT_HASHES: Final = re.compile(r"(ifa|ifv|aif|and|oaid)([15])")
_SHORT_KINDS: Final = {"aif": "gaid", "and": "android_id", "ifa": "idfa", "ifv": "idfv"}
_SHORTEST_HASH: Final = 32
_HASH_PREFIX: Final = re.compile(r"(sha1|md5)_(.+)")
_HASH_SUFFIX: Final = re.compile(
    r"(.+?)(?:_(?:lower|upper))?_(sha1|md5)(?:_hex)?(?:_(?:lower|upper))?"
)


def normalize_name(name: str) -> str:
    return name.strip().lower().lstrip("~$")


def our_name(name: str) -> str | None:
    """Return our name of a parameter; None if it has no meaning here."""
    return _OURS.get(normalize_name(name))


def hashed_kind(name: str) -> str | None:
    """Return the kind of id that a parameter holds hashed, for example idfa for `ifa1`."""
    normalized = normalize_name(name)
    if short := _SHORT_HASHES.fullmatch(normalized):
        return _SHORT_KINDS.get(short[1], short[1])
    match = _HASH_PREFIX.fullmatch(normalized)
    base = match[2] if match else None
    if base is None and (match := _HASH_SUFFIX.fullmatch(normalized)):
        base = match[1]
    kind = _OURS.get(base) if base else None
    return kind if kind in ID_KINDS else None


def by_our_names(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters with a meaning, by our names; ids that are none are left out."""
    sent = {normalize_name(name): value for name, value in reversed([*parameters.items()])}
    values: dict[str, str] = {}
    for name in sorted(sent.keys() & _PLACES.keys(), key=_PLACES.__getitem__):
        ours, value = _OURS[name], sent[name]
        if ours not in values and value and not has_no_value(ours, value):
            values[ours] = value.strip()
    return values


def hashed_ids(parameters: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in parameters.items():
        kind = hashed_kind(name)
        if kind is not None and not is_placeholder(value):
            yield kind, value.strip()


def has_no_value(ours: str, value: str) -> bool:
    """Tell whether a parameter is empty, unfilled, or a word in place of an id."""
    return is_placeholder(value) if ours in _IDS else is_no_value(value)


def stands_for_id(name: str, placeholder: str) -> bool:
    """Tell whether a placeholder stands where the id of a click or a device belongs, or its hash.

    A few zeros in place of a hash name nobody anyway, and stay as they were sent.
    """
    if our_name(name) in _IDS:
        return True
    is_short = len(placeholder) < _SHORTEST_HASH and not placeholder.strip("0-")
    return hashed_kind(name) is not None and not is_short
