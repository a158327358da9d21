"""All rows of the catalogue, by group and in the order in which people see them."""

from dataclasses import replace
from typing import Final

from postbacks.callbacks.macros.entries_device import DEVICE
from postbacks.callbacks.macros.entries_money import MONEY
from postbacks.callbacks.macros.entries_story import STORY
from postbacks.callbacks.macros.macro import Macro

# What only some platforms have, beside their ids.
_ONLY_ON: Final = {
    "install_begin_time": ("android", "tv"),
    "install_finish_time": ("android", "tv"),
    "referrer_click_time": ("android", "tv"),
    "install_referrer": ("android", "tv"),
    "referrer": ("android", "tv"),
    "api_level": ("android", "amazon", "tv"),
    "adservices_token": ("ios",),
    "att_status": ("ios", "tv"),
    "gbraid": ("ios",),
    "wbraid": ("ios",),
    **{it.name: ("ios",) for it in MONEY if it.name.startswith("skan_")},
}

ENTRIES: Final[tuple[Macro, ...]] = tuple(
    replace(it, platforms=_ONLY_ON.get(it.name, it.platforms)) for it in (*STORY, *DEVICE, *MONEY)
)
