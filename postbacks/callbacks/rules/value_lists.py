"""④ The fields whose values are the members of a list, for conditions to compare and to check.

A member is compared in any letter case and under each of its names. Only a closed list knows all
of its members: a condition that asks for another value could never hold.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from postbacks.callbacks.macros.value import text_of
from postbacks.values.countries import COUNTRIES, COUNTRY_BY_NAME, OTHER_CODES
from postbacks.values.currencies import CURRENCIES

_MOST_LISTED: Final = 16
_LONGEST_COMPARED: Final = 64  # difflib is quadratic
_SHORT: Final = 64  # characters; anybody may report longer values, of which thousands fill memory
_WHOLE: Final = re.compile(r"([0-9]{1,18})\.0{1,18}")


@dataclass(frozen=True, slots=True)
class ValueList:
    """The values of a field.

    `noun` names one value, with its article. `members` is empty where the list is open. `same`
    leads from another name of a member to that member; `meant` from a name that no event has.
    `notes` says what to do where no member was meant. All keys are case-folded.
    """

    noun: str
    members: tuple[str, ...] = ()
    same: Mapping[str, str] = field(default_factory=dict)
    meant: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    _keys: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keys", frozenset(map(str.casefold, self.members)))

    def key(self, value: object) -> str:
        """Return the form in which two values are equal if they mean the same member."""
        key = _folded(text_of(value))
        if key not in self._keys and (whole := _WHOLE.fullmatch(key)) and whole[1] in self._keys:
            return whole[1]  # 3.0 is 3, as in events
        return self.same.get(key, key)

    def spellings(self, value: object) -> tuple[str, ...]:
        """Return all names of a value, case-folded, for a condition on a part of the text."""
        key = self.key(value)
        return (key, *(name for name, same in self.same.items() if same == key))

    def has(self, value: object) -> bool:
        """Tell whether an event may have the value."""
        return not self.members or self.key(value) in self._keys

    def nearest(self, value: object) -> str | None:
        """Return the member that was probably meant."""
        key = _folded(text_of(value))
        if key in self.meant:
            return self.meant[key]
        if key in self.notes or len(key) > _LONGEST_COMPARED:
            return None
        by_key = {member.casefold(): member for member in self.members}
        names = {**{name: by_key[same] for name, same in self.same.items()}, **self.meant, **by_key}
        close = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
        if not close and len(key) <= 3:
            close = [member for member in sorted(by_key) if member[:1] == key[:1]]
        return names[close[0]] if close else None

    def remedy(self, value: object) -> str:
        """Return what to write in place of a value, as half a sentence."""
        if note := self.notes.get(_folded(text_of(value))):
            return note
        if len(self.members) <= _MOST_LISTED:
            return f"write one of {', '.join(self.members)}"
        return f"write {self.noun}"


def _folded(text: str) -> str:
    return _folded_short(text) if len(text) <= _SHORT else text.strip().casefold()


@lru_cache(maxsize=4096)
def _folded_short(text: str) -> str:
    return text.strip().casefold()


def values_of(name: str) -> ValueList | None:
    """Return the list of a field's values; None if anything may be in it.

    The endings that change nothing but the letter case belong to their macro.
    """
    return _LISTS.get(name) or _LISTS.get(name.removesuffix("_lower").removesuffix("_upper"))


def _listed(
    noun: str, *members: str, meant: Mapping[str, Iterable[str]] | None = None
) -> ValueList:
    by_member = (meant or {}).items()
    return ValueList(
        noun, members, meant={name: member for member, names in by_member for name in names}
    )


_COUNTRIES: Final = ValueList(
    "two letters such as DE",
    tuple(sorted(COUNTRIES)),
    same={other.casefold(): code.casefold() for other, code in OTHER_CODES.items()},
    meant={name: code for name, code in COUNTRY_BY_NAME.items() if name != code.casefold()},
    notes=dict.fromkeys(
        ("eu", "europe", "european union", "eea"), "name each country, or compare eea with true"
    ),
)
_CURRENCIES: Final = _listed(
    "the three letters of a currency such as EUR",
    *sorted(CURRENCIES),
    meant={
        "EUR": ("€", "euro", "euros"),
        "USD": ("$", "us$", "dollar", "dollars", "us dollar", "usdt"),
        "GBP": ("£", "pound", "pounds", "sterling"),
        "JPY": ("¥", "yen"),
        "CNY": ("rmb", "yuan", "renminbi", "cnh"),
        "INR": ("₹", "rupee", "rupees"),
        "KRW": ("₩", "won"),
        "UAH": ("₴", "hryvnia", "grn"),
        "TRY": ("₺", "lira", "tl", "trl"),
        "PLN": ("zł", "zloty"),
        "BRL": ("r$", "real", "reais"),
        "CHF": ("franc", "francs", "sfr"),
        "RUB": ("₽", "rur", "ruble", "rubles"),
    },
)
_PLATFORMS: Final = _listed(
    "a platform",
    *("ios", "android", "amazon", "windows", "web", "tv", "other"),
    meant={
        "ios": ("iphone", "iphoneos", "iphone os", "ipad", "ipados", "ipod", "apple", "app store"),
        "android": ("google", "google play", "google_play", "play store", "huawei", "android os"),
        "amazon": ("fire", "fireos", "fire os", "fire_os", "kindle", "amazon fire"),
        "windows": ("pc", "win", "win32", "desktop", "microsoft", "xbox", "uwp"),
        "web": ("browser", "website", "pwa", "html5"),
        "tv": ("appletv", "apple tv", "tvos", "androidtv", "android tv", "ctv", "roku"),
    },
)
_ATT_STATUSES: Final = _listed(
    "a number from 0 to 3",
    *("0", "1", "2", "3"),
    meant={
        "0": ("not asked", "not determined", "notdetermined", "not_determined", "undetermined"),
        "1": ("restricted",),
        "2": ("denied", "no", "refused"),
        "3": ("authorized", "authorised", "allowed", "given", "yes", "granted"),
    },
)
_EVENT_TYPES: Final = _listed(
    "a kind of event",
    *("install", "reinstall", "reattribution", "reengagement", "open", "purchase"),
    *("skan_postback", "rejected_install", "attribution_updated", "ad_impression", "event"),
    meant={"reengagement": ("re-engagement",), "open": ("session", "launch")},
)
_MATCH_TYPES: Final = _listed(
    "a way of matching",
    *("referrer", "claim", "advertising_id", "click_id", "vendor_id", "own_id", "probabilistic"),
    meant={
        "advertising_id": ("idfa", "gaid", "device_id", "deterministic", "id_matching"),
        "probabilistic": ("fingerprint", "fingerprinting", "ip", "modeled"),
        "referrer": ("install_referrer", "gp_referrer"),
        "claim": ("srn", "adservices"),
        "vendor_id": ("idfv", "app_set_id"),
    },
)
_ATTRIBUTION_TYPES: Final = _listed(
    "a kind of attribution",
    *("click", "impression", "organic"),
    meant={
        "impression": ("view", "view-through", "view_through", "vta"),
        "click": ("click-through", "click_through", "cta", "non-organic", "paid", "attributed"),
        "organic": ("none", "unattributed"),
    },
)

_CLOSED: Final[Mapping[str, ValueList]] = {
    "country": _COUNTRIES,
    "currency": _CURRENCIES,
    "reporting_currency": _listed("a currency", "USD"),
    "platform": _PLATFORMS,
    "source": _listed("a source", "sdk", "server", "tenjin", "system"),
    "event_type": _EVENT_TYPES,
    "attribution_type": _ATTRIBUTION_TYPES,
    "match_type": _MATCH_TYPES,
    "att_status": _ATT_STATUSES,
    "limit_ad_tracking_integer": _listed(
        "1 or 0", "0", "1", meant={"1": ("true", "yes"), "0": ("false", "no")}
    ),
    "skan_coarse_value": _listed("a coarse value", "low", "medium", "high"),
    "skan_ad_type": _listed("a type", "click", "view", meant={"view": ("impression",)}),
    "skan_protocol": _listed(
        "a framework",
        *("skadnetwork", "adattributionkit"),
        meant={"skadnetwork": ("skan", "ska"), "adattributionkit": ("aak",)},
    ),
    "skan_signature_state": _listed(
        "a state", *("valid", "invalid", "unverifiable", "development")
    ),
}
# Lists that apps and click URLs add to: compared in any letter case, and never complete.
_OPEN: Final = (
    *("language", "locale", "os_name", "device_type", "connection_type", "environment"),
    *("us_privacy", "cost_type", "cost_currency", "conversion_type", "skan_currency"),
    *("skan_conversion_type", "reject_reason", "rejection_reason"),
)
_LISTS: Final[Mapping[str, ValueList]] = {
    **_CLOSED,
    **{name: ValueList("a value") for name in _OPEN},
}
CLOSED_LISTS: Final = tuple(_CLOSED)
