"""The macros that a template may name.

`entries` lists them, `postbacks.callbacks.values` gives them their values.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from postbacks.callbacks.macros.entries import ENTRIES
from postbacks.callbacks.macros.macro import Group, Macro, MacroType

__all__ = ["CATALOGUE", "ENDINGS", "Group", "Macro", "MacroType", "in_us_dollars"]

CATALOGUE: Final[Mapping[str, Macro]] = MappingProxyType({it.name: it for it in ENTRIES})

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
    return name.startswith("revenue_usd") or name == "revenue_net_usd"
