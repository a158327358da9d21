"""What the catalogue says about one macro."""

from dataclasses import dataclass
from enum import StrEnum


class MacroGroup(StrEnum):
    """This is the heading under which people find a macro."""

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
    """This is the type of a macro's value; it decides how JSON shows it and which endings fit."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    TIME = "time"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Macro:
    """This is one name of the catalogue.

    `platforms` is empty for macros of every platform. `personal` values identify a person or a
    device and are withheld without consent; `money` values are withheld from partners who are not
    to see revenue.
    """

    name: str
    group: MacroGroup
    description: str
    type: MacroType
    example: str
    platforms: tuple[str, ...] = ()
    personal: bool = False
    money: bool = False
