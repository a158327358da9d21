"""What people did with ads: clicks and impressions as the networks report them, and the truth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from postbacks.demo.networks import DemoApp, Network


class TouchKind(StrEnum):
    """This is what a person did with an ad."""

    CLICK = "click"
    IMPRESSION = "impression"


class Began(StrEnum):
    """This is what the first opening of a game on a device is, also as a trigger of rules."""

    INSTALL = "install"
    REINSTALL = "reinstall"
    REATTRIBUTION = "reattribution"


@dataclass(frozen=True, slots=True)
class SimulatedTouch:
    """This is one click or impression; `ids` name the device as the network knows it.

    The networks' servers report most of them all together; with `by_link` each is a request to its
    tracking link, as other networks do it.
    """

    network: Network
    app: DemoApp
    kind: TouchKind
    at: datetime
    click_id: str
    site_id: str
    ids: Mapping[str, str]
    ip_address: str
    user_agent: str
    by_link: bool = False


@dataclass(frozen=True, slots=True)
class Truth:
    """This is what really brought a player, as the story knows it and the product must find out.

    `earned` is the touch that earned the install, None for those who came by themselves; `at_first`
    the one that was known before the `late` reports came. `refused` are the frauds that pretended.
    Who has had the game before `began` a reinstall, which leaves the credit where it was, or a
    reattribution.
    """

    began: Began = Began.INSTALL
    earned: SimulatedTouch | None = None
    at_first: SimulatedTouch | None = None
    refused: tuple[SimulatedTouch, ...] = ()


@dataclass(frozen=True, slots=True)
class Journey:
    """This is a player's way to the game: its touches, and what the device can show of them."""

    touches: tuple[SimulatedTouch, ...] = ()
    late: tuple[SimulatedTouch, ...] = ()
    evidence: Mapping[str, object] = field(default_factory=dict)
    truth: Truth = Truth()

    @property
    def all_touches(self) -> tuple[SimulatedTouch, ...]:
        """The touches that were reported in time, and those that came late."""
        return (*self.touches, *self.late)


def earned_by(earned: SimulatedTouch | None, *, refused: tuple[SimulatedTouch, ...] = ()) -> Truth:
    """Return the truth of an install whose touches were all known before it."""
    return Truth(earned=earned, at_first=earned, refused=refused)
