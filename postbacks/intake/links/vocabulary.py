"""The names of tracking links' parameters, ours and other vendors'. Plain Python.

Links of Adjust, AppsFlyer, Airbridge, AppMetrica, Branch, Singular and Tenjin work as they are
pasted (facts: their public documentation of link parameters). Names are compared in small letters
and without the `~` and `$` that Branch puts before its own.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

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
ID_KINDS: Final = (
    *("idfa", "gaid", "oaid", "amazon_id", "advertising_id"),
    *("idfv", "app_set_id", "android_id"),
)

# Singular writes 1 for SHA-1 and 5 for MD5 at the end of its short names.
_SHORT_HASHES: Final = re.compile(r"(ifa|ifv|aif|and|oaid)([15])")
_SHORT_KINDS: Final = {"aif": "gaid", "and": "android_id", "ifa": "idfa", "ifv": "idfv"}
_HASH_PREFIX: Final = re.compile(r"(sha1|md5)_(.+)")
_HASH_SUFFIX: Final = re.compile(
    r"(.+?)(?:_(?:lower|upper))?_(sha1|md5)(?:_hex)?(?:_(?:lower|upper))?"
)
# `{clickid}`, `[IDFA]`, `%GAID%`, `__IP__`, `$$ID$$`: a macro that nobody has replaced.
_UNFILLED: Final = re.compile(
    r"\{[^{}]*\}|\{\{[^{}]*\}\}|\$\{[^{}]*\}|\[[^\[\]]*\]|%[A-Za-z_]+%|__[A-Z_]+__|<[^<>]*>"
    r"|\(null\)|null|none|undefined|n/a",
    re.IGNORECASE,
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


def is_unfilled(value: str) -> bool:
    """Tell whether a value is empty, or a macro that the network did not replace."""
    text = value.strip()
    return not text or _UNFILLED.fullmatch(text) is not None


def by_our_names(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters with a meaning, by our names and without unfilled macros."""
    sent = {normalize_name(name): value for name, value in reversed([*parameters.items()])}
    values: dict[str, str] = {}
    for ours, names in CANONICAL.items():
        for name in names:
            value = sent.get(name, "")
            if not is_unfilled(value):
                values[ours] = value.strip()
                break
    return values


def hashed_ids(parameters: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in parameters.items():
        kind = hashed_kind(name)
        if kind is not None and not is_unfilled(value):
            yield kind, value.strip()
