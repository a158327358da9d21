"""The macros that a template may name. `postbacks.callbacks.values` gives them their values.

catalogue.csv has a row for each, in the order in which people see them. `platforms` is empty for
macros of every platform. `withheld` says `personal` where values identify a person or a device,
which takes consent, and `money` where they tell revenue, which a rule may keep from its partner.
Click ids are not personal: they are the partner's own numbers for its clicks, returned to it.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final


class MacroGroup(StrEnum):
    """The heading under which people find a macro."""

    EVENT = "Event"
    TIME = "Time"
    APP = "App"
    ATTRIBUTION = "Attribution"
    DEVICE_IDS = "Device IDs"
    DEVICE = "Device"
    PRIVACY = "Privacy"
    MONEY = "Money"
    AD_IMPRESSION = "Ad impressions"
    SKADNETWORK = "SKAdNetwork"
    POSTBACK = "Postback"


class MacroType(StrEnum):
    """The type of a macro's value; it decides its form in JSON and which endings fit."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    TIME = "time"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Macro:
    """One row of the catalogue."""

    name: str
    group: MacroGroup
    description: str
    type: MacroType
    example: str
    platforms: tuple[str, ...] = ()
    personal: bool = False
    money: bool = False


def base_name(name: str) -> str | None:
    """Return a macro's name without endings; None if the catalogue does not have it."""
    while name not in CATALOGUE:
        ending = next((ending for ending in ENDINGS if name.endswith(ending)), None)
        if ending is None:
            return None
        name = name.removesuffix(ending)
    return name


def in_us_dollars(name: str) -> bool:
    """Tell whether a macro's money is in US dollars, whatever the event's currency."""
    return name in _IN_US_DOLLARS


def _read_rows(path: Path) -> Iterator[Macro]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield Macro(
                name=row["name"],
                group=MacroGroup(row["group"]),
                description=row["description"],
                type=MacroType(row["type"]),
                example=row["example"],
                platforms=tuple(row["platforms"].split()),
                personal=row["withheld"] == "personal",
                money=row["withheld"] == "money",
            )


ENTRIES: Final = tuple(_read_rows(Path(__file__).with_name("catalogue.csv")))
CATALOGUE: Final[Mapping[str, Macro]] = MappingProxyType({macro.name: macro for macro in ENTRIES})

# What may stand after a name in place of a filter, that filter, and the types that it fits.
ENDINGS: Final[Mapping[str, tuple[str, frozenset[MacroType]]]] = {
    "_md5": ("md5", frozenset({MacroType.TEXT})),
    "_sha1": ("sha1", frozenset({MacroType.TEXT})),
    "_sha256": ("sha256", frozenset({MacroType.TEXT})),
    "_upper": ("upper", frozenset({MacroType.TEXT})),
    "_lower": ("lower", frozenset({MacroType.TEXT})),
    "_ms": ("unix_ms", frozenset({MacroType.TIME})),
    "_integer": ("int", frozenset({MacroType.BOOLEAN, MacroType.INTEGER, MacroType.DECIMAL})),
}

_IN_US_DOLLARS: Final = frozenset(
    {
        *("revenue_usd", "revenue_usd_gross", "revenue_usd_net", "revenue_net_usd"),
        *("revenue_usd_cents", "revenue_reporting"),
    }
)
