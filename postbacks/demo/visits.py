"""Players who come right now: a browser follows the tracking link, then the game opens."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from postbacks.demo.calls import SdkCall, SentEvent
from postbacks.demo.networks import DemoApp
from postbacks.demo.touches import SimulatedTouch, Truth

_DOWNLOAD = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class SimulatedVisit:
    """This is a tap on an ad and what its player does then; `events` get their time when sent.

    Without a `click` the player comes back by themselves.
    What the redirect hands to the Play store is all that a player without an advertising id has. A
    messenger `previews` the link before the tap; that is no click, whatever id it has.
    """

    app: DemoApp
    truth: Truth
    events: tuple[SentEvent, ...]
    click: SimulatedTouch | None = None
    preview_id: str = ""

    @property
    def device(self) -> tuple[DemoApp, str]:
        """The device, as truths name it."""
        return self.app, self.events[0].install_id

    @property
    def call_without_time(self) -> SdkCall:
        """The events of its call, to be counted."""
        return SdkCall(self.app, b"", gzip=False, events=self.events)

    def call(self, at: datetime, referrer: str) -> SdkCall:
        """Return the first call of the app, opened at `at`, with what the store handed on."""
        evidence: Mapping[str, object] = {}
        if self.app is DemoApp.ANDROID:
            begin = int((at - _DOWNLOAD).timestamp())
            evidence = {"install_referrer": referrer, "install_begin_time_server": begin}
        time = at.isoformat(timespec="milliseconds")
        items = [{**event.fields, **evidence, "event_time": time} for event in self.events]
        body = json.dumps({"events": items}).encode()
        return SdkCall(self.app, gzip.compress(body, mtime=0), gzip=True, events=self.events)
