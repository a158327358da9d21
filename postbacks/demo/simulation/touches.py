"""One player before the install: what the ads around them leave behind, by chance and in time."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from urllib.parse import urlencode

from postbacks.demo.networks import NETWORKS, DemoApp, Network
from postbacks.demo.simulation.devices import NO_ID, SimulatedDevice
from postbacks.demo.simulation.model import SimulatedTouch, TouchKind

_SITES = ("merge-meadow", "tile-town", "word-harbor", "daily-sudoku")
_DOWNLOAD = timedelta(seconds=60)
ORGANIC_REFERRER = "utm_source=google-play&utm_medium=organic"
_BROWSERS = {
    DemoApp.IOS: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15",
    DemoApp.ANDROID: "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 Chrome/138.0",
}


@dataclass(frozen=True, slots=True)
class TouchSimulator:
    """This is a player who first opens the game at `start`, and their choice of networks."""

    rng: Random
    player: SimulatedDevice
    start: datetime
    now: datetime

    @property
    def advertising_id(self) -> tuple[str, str] | None:
        """The name and value of the id that ads and the game both may read."""
        for name in ("idfa", "gaid"):
            value = str(self.player.facts.get(name, NO_ID))
            if value != NO_ID:
                return name, value
        return None

    @property
    def download_begins(self) -> datetime:
        """When the store begins the download."""
        return self.start - _DOWNLOAD

    def networks(self, count: int) -> list[Network]:
        """Return some networks, in an order that chance decides."""
        return self.rng.sample(NETWORKS, count)

    def tap(self, network: Network, *, least: float = 2, most: float = 40) -> SimulatedTouch:
        """Return a click some minutes before the first open; the install's download came after."""
        return self._touch(network, TouchKind.CLICK, least, most)

    def view(self, network: Network, *, least: float = 2, most: float = 150) -> SimulatedTouch:
        """Return an impression some minutes before the first open."""
        return self._touch(network, TouchKind.IMPRESSION, least, most)

    def moved(self, touch: SimulatedTouch, at: datetime) -> SimulatedTouch:
        """Return the touch at another time."""
        return replace(touch, at=at)

    def proof(self, click: SimulatedTouch) -> Mapping[str, object]:
        """Return what the device can show of the click that led it to the store.

        Play hands on a referrer; on iOS a link that opens the game can hold the click's id.
        """
        if self.player.app is DemoApp.ANDROID:
            referrer = urlencode({"click_id": click.click_id, "utm_source": click.network.short})
            hands_on = not click.ids or self.rng.random() < 0.4
            return self.store_facts(referrer if hands_on else ORGANIC_REFERRER, click.at)
        return {} if click.ids else {"click_id": click.click_id}

    def store_facts(
        self, referrer: str = ORGANIC_REFERRER, clicked_at: datetime | None = None
    ) -> Mapping[str, object]:
        """Return what Play tells an Android app of its install; Apple's store tells nothing."""
        if self.player.app is DemoApp.IOS:
            return {}
        facts: dict[str, object] = {
            "install_referrer": referrer,
            "install_begin_time": int(self.download_begins.timestamp()),
            "install_begin_time_server": int(self.download_begins.timestamp()),
        }
        if clicked_at is not None and referrer != ORGANIC_REFERRER:
            facts["referrer_click_time"] = int(clicked_at.timestamp())
            facts["referrer_click_time_server"] = int(clicked_at.timestamp())
        return facts

    def _touch(
        self, network: Network, kind: TouchKind, least: float, most: float
    ) -> SimulatedTouch:
        return SimulatedTouch(
            network=network,
            app=self.player.app,
            kind=kind,
            at=self.start - timedelta(minutes=self.rng.uniform(least, most)),
            click_id=network.new_click_id(self.rng),
            site_id=self.rng.choice(_SITES),
            ids=self._ids(),
            ip_address=str(self.player.facts["ip_address"]),
            user_agent=_BROWSERS[self.player.app],
            by_link=self.rng.random() < 0.25,
        )

    def _ids(self) -> Mapping[str, str]:
        """Return the device's id as this network hands it on: as it is, or hashed in some case."""
        if self.advertising_id is None:
            return {}
        name, value = self.advertising_id
        written = self.rng.choice((value, value, value.lower(), value.upper()))
        form = self.rng.choice(("raw", "raw", "sha1", "md5"))
        if form == "raw":
            return {name: written}
        digest = hashlib.new(form, written.encode(), usedforsecurity=False).hexdigest()
        return {f"{name}_{form}": digest}
