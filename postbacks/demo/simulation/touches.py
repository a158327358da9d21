"""The ad touches before a device's install, and the evidence of them that the device can show."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from urllib.parse import urlencode

from postbacks.demo.networks import NETWORKS, DemoApp, Network
from postbacks.demo.simulation.devices import NO_ID, SimulatedDevice
from postbacks.demo.simulation.model import SimulatedTouch, TouchKind

ORGANIC_REFERRER = "utm_source=google-play&utm_medium=organic"
_SITES = ("merge-meadow", "tile-town", "word-harbor", "daily-sudoku")
_DOWNLOAD_TIME = timedelta(seconds=60)
_BROWSERS = {
    DemoApp.IOS: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15",
    DemoApp.ANDROID: "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 Chrome/138.0",
}


@dataclass(frozen=True, slots=True)
class TouchSimulator:
    """Makes the touches of a device that first opens the app at `start`."""

    rng: Random
    device: SimulatedDevice
    start: datetime
    now: datetime

    @property
    def advertising_id(self) -> tuple[str, str] | None:
        """Return name and value of the advertising id, which ads and the app both may read."""
        for name in ("idfa", "gaid"):
            value = str(self.device.sdk_fields.get(name, NO_ID))
            if value != NO_ID:
                return name, value
        return None

    @property
    def download_begins(self) -> datetime:
        return self.start - _DOWNLOAD_TIME

    def pick_networks(self, count: int) -> list[Network]:
        return self.rng.sample(NETWORKS, count)

    def click(self, network: Network, *, least: float = 2, most: float = 40) -> SimulatedTouch:
        """Return a click some minutes before the first open, and so before the download."""
        return self._touch(network, TouchKind.CLICK, least, most)

    def impression(
        self, network: Network, *, least: float = 2, most: float = 150
    ) -> SimulatedTouch:
        """Return an impression some minutes before the first open."""
        return self._touch(network, TouchKind.IMPRESSION, least, most)

    def click_evidence(self, click: SimulatedTouch) -> Mapping[str, object]:
        """Return the evidence of the click that led the device to the store.

        Play passes on a referrer; on iOS a link that opens the app can hold the click id.
        """
        if self.device.app is DemoApp.ANDROID:
            referrer = urlencode({"click_id": click.click_id, "utm_source": click.network.short})
            passes_referrer = not click.ids or self.rng.random() < 0.4
            return self.store_evidence(referrer if passes_referrer else ORGANIC_REFERRER, click.at)
        return {} if click.ids else {"click_id": click.click_id}

    def store_evidence(
        self, referrer: str = ORGANIC_REFERRER, clicked_at: datetime | None = None
    ) -> Mapping[str, object]:
        """Return the install fields that Play gives an Android app; Apple's store gives none."""
        if self.device.app is DemoApp.IOS:
            return {}
        fields: dict[str, object] = {
            "install_referrer": referrer,
            "install_begin_time": int(self.download_begins.timestamp()),
            "install_begin_time_server": int(self.download_begins.timestamp()),
        }
        if clicked_at is not None and referrer != ORGANIC_REFERRER:
            fields["referrer_click_time"] = int(clicked_at.timestamp())
            fields["referrer_click_time_server"] = int(clicked_at.timestamp())
        return fields

    def _touch(
        self, network: Network, kind: TouchKind, least: float, most: float
    ) -> SimulatedTouch:
        return SimulatedTouch(
            network=network,
            app=self.device.app,
            kind=kind,
            at=self.start - timedelta(minutes=self.rng.uniform(least, most)),
            click_id=network.new_click_id(self.rng),
            site_id=self.rng.choice(_SITES),
            ids=self._ids(),
            ip_address=str(self.device.sdk_fields["ip_address"]),
            user_agent=_BROWSERS[self.device.app],
            by_link=self.rng.random() < 0.25,
        )

    def _ids(self) -> Mapping[str, str]:
        """Return the advertising id as the network sends it: plain or hashed, in any case."""
        if self.advertising_id is None:
            return {}
        name, value = self.advertising_id
        spelling = self.rng.choice((value, value, value.lower(), value.upper()))
        form = self.rng.choice(("raw", "raw", "sha1", "md5"))
        if form == "raw":
            return {name: spelling}
        digest = hashlib.new(form, spelling.encode(), usedforsecurity=False).hexdigest()
        return {f"{name}_{form}": digest}
