"""The demo's ad networks, which differ in click ids and attribution windows."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from uuid import UUID


class DemoApp(StrEnum):
    """The demo's two apps."""

    IOS = "ios"
    ANDROID = "android"


@dataclass(frozen=True, slots=True)
class Network:
    """An ad network with its form of click ids and, unless None, its own click window.

    `short` is its name in paths.
    """

    name: str
    short: str
    campaign: str
    new_click_id: Callable[[Random], str]
    click_window_hours: int | None = None
    skadnetwork_id: str = ""


def _dotted(rng: Random) -> str:
    return f"LA.{rng.randrange(10**12):012d}.{rng.getrandbits(48):012x}"


def _uuid(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


def _base64(rng: Random) -> str:
    """Return an id that contains +, / and =, which postbacks must return unchanged."""
    return base64.b64encode(b"\xfb\xff" + rng.randbytes(14)).decode()


LUMEN = Network("Lumen Ads", "lumen", "Summer", _dotted, skadnetwork_id="com.example.skadnetwork")
TIDAL = Network("Tidal Reach", "tidal", "Rewarded video", _uuid)
KITEBIRD = Network("Kitebird", "kitebird", "Playable", _base64, click_window_hours=1)
NETWORKS = (LUMEN, TIDAL, KITEBIRD)
