"""How the catalogue's rows are written: a group, and rows of name, type, example, description."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from postbacks.callbacks.macros.macro import Macro, MacroGroup, MacroType

APPLE: Final = ("ios", "tv")
ANDROID: Final = ("android", "amazon", "tv")

TEXT: Final = MacroType.TEXT
INT: Final = MacroType.INTEGER
DEC: Final = MacroType.DECIMAL
BOOL: Final = MacroType.BOOLEAN
TIME: Final = MacroType.TIME
JSON: Final = MacroType.JSON

UUID: Final = "0198c1f0-5b7e-7c3a-9d40-2f6a1c8e7b55"
MS: Final = "1767225600000"
SECONDS: Final = "1767225600"

Row = tuple[str, MacroType, str, str]


def _rows(group: MacroGroup, *rows: Row) -> Iterator[Macro]:
    for name, kind, example, description in rows:
        yield Macro(name, group, description, kind, example)


def personal(macros: Iterable[Macro], *platforms: str) -> Iterator[Macro]:
    """These are the same macros, marked as telling who somebody is."""
    yield from (replace(it, personal=True, platforms=platforms) for it in macros)


def as_money(macros: Iterable[Macro]) -> Iterator[Macro]:
    """These are the same macros, marked as telling revenue."""
    yield from (replace(it, money=True) for it in macros)


event_ = partial(_rows, MacroGroup.EVENT)
time_ = partial(_rows, MacroGroup.TIME)
app_ = partial(_rows, MacroGroup.APP)
attribution_ = partial(_rows, MacroGroup.ATTRIBUTION)
id_ = partial(_rows, MacroGroup.DEVICE_IDS)
device_ = partial(_rows, MacroGroup.DEVICE)
privacy_ = partial(_rows, MacroGroup.PRIVACY)
money_ = partial(_rows, MacroGroup.MONEY)
ad_ = partial(_rows, MacroGroup.AD_IMPRESSION)
skan_ = partial(_rows, MacroGroup.SKADNETWORK)
postback_ = partial(_rows, MacroGroup.POSTBACK)

# The other ads that a person touched before the one that won, as apps may report them.
CONTRIBUTORS: Final[tuple[Row, ...]] = tuple(
    row
    for number in (1, 2, 3)
    for row in (
        (
            f"contributor{number}_ad_network", TEXT, "Unity Ads",
            f"The network of touch {number} before the one that won, if the event reports it",
        ),
        (
            f"contributor{number}_campaign_id", TEXT, "spring-7",
            f"The campaign of touch {number} before the one that won, if the event reports it",
        ),
        (
            f"contributor{number}_touch_time", TIME, SECONDS,
            f"When touch {number} before the one that won was made, if the event reports it",
        ),
    )
)  # fmt: skip
