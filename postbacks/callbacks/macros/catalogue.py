"""The macros that a template may name.

`entries` lists them, `postbacks.callbacks.values` gives them their values.
"""

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from postbacks.callbacks.macros.elsewhere import VENDORS
from postbacks.callbacks.macros.entries import ENTRIES
from postbacks.callbacks.macros.macro import Macro, MacroGroup, MacroType

__all__ = ["CATALOGUE", "ENDINGS", "Macro", "MacroGroup", "MacroType", "elsewhere", "in_us_dollars"]

CATALOGUE: Final[Mapping[str, Macro]] = MappingProxyType({it.name: it for it in ENTRIES})

_NAME: Final = re.compile(r"\w+")

_IN_US_DOLLARS: Final = frozenset(
    {
        "revenue_usd", "revenue_usd_gross", "revenue_usd_net", "revenue_net_usd",
        "revenue_usd_cents", "revenue_reporting",
    }
)  # fmt: skip

# What may be written after a name instead of a filter, the filter, and the types that it fits.
ENDINGS: Final[Mapping[str, tuple[str, frozenset[MacroType]]]] = {
    "_md5": ("md5", frozenset({MacroType.TEXT})),
    "_sha1": ("sha1", frozenset({MacroType.TEXT})),
    "_sha256": ("sha256", frozenset({MacroType.TEXT})),
    "_upper": ("upper", frozenset({MacroType.TEXT})),
    "_lower": ("lower", frozenset({MacroType.TEXT})),
    "_ms": ("unix_ms", frozenset({MacroType.TIME})),
    "_integer": ("int", frozenset({MacroType.BOOLEAN, MacroType.INTEGER, MacroType.DECIMAL})),
}


def in_us_dollars(name: str) -> bool:
    """This tells whether a macro's money is in US dollars, whatever the event's currency."""
    return name in _IN_US_DOLLARS


def base_name(name: str) -> str | None:
    """This is a macro's name without endings; None if the catalogue does not have it."""
    while name not in CATALOGUE:
        ending = next((each for each in ENDINGS if name.endswith(each)), None)
        if ending is None:
            return None
        name = name.removesuffix(ending)
    return name


def elsewhere(name: str) -> Mapping[str, tuple[str, ...]]:
    """This is what other vendors call a macro, as their URLs spell it, by the vendor's key."""
    return _elsewhere().get(name, {})


@cache
def _elsewhere() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for vendor in VENDORS.values():
        for theirs, expression in vendor.macros.items():
            written = _NAME.match(expression)
            name = base_name(written[0]) if written else None
            if name is not None:
                names = found.setdefault(name, {})
                names[vendor.key] = (*names.get(vendor.key, ()), vendor.spelled(theirs))
    return found
