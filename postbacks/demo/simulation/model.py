"""What the simulator produces: events, SDK calls, ad touches, visits, and the ground truth.

The ground truth is what the scenarios say. Nothing here asks the product, or decides as it does.
"""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from postbacks.demo.networks import DemoApp, Network

DeviceKey = tuple[DemoApp, str]  # the app, and the id that its SDK made at the install
_DOWNLOAD_TIME = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class SentEvent:
    """An event as it is sent; one that is not well-formed must be rejected, and only that one."""

    fields: Mapping[str, object]
    well_formed: bool = True

    @property
    def event_id(self) -> str:
        """Return the id that the client made once, by which a retry is recognized."""
        return str(self.fields["event_id"])

    @property
    def name(self) -> str:
        """Return the event name, empty if the client left it out."""
        return str(self.fields.get("event_name", ""))

    @property
    def install_id(self) -> str:
        return str(self.fields["install_id"])


@dataclass(frozen=True, slots=True)
class SdkCall:
    """A POST to /api/v1/events with its body as sent, compressed if `gzip`."""

    app: DemoApp
    body: bytes
    gzip: bool
    events: tuple[SentEvent, ...]


class TouchKind(StrEnum):
    """The kind of an ad touch."""

    CLICK = "click"
    IMPRESSION = "impression"


class OpenKind(StrEnum):
    """The kind of an app's first open on a device, named like the trigger of rules."""

    INSTALL = "install"
    REINSTALL = "reinstall"
    REATTRIBUTION = "reattribution"


@dataclass(frozen=True, slots=True)
class SimulatedTouch:
    """A click or an impression; `ids` identify the device as the network knows it.

    Networks report most touches in batches; with `by_link` their server calls the tracking link.
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
class GroundTruth:
    """The true attribution of a device, which the product must find out.

    `earned` is the touch that earned the install, None if it is organic; `at_first` the one that
    was known before the late reports. `refused` are fraudulent touches. A reinstall leaves the
    credit as it was.
    """

    open_kind: OpenKind = OpenKind.INSTALL
    earned: SimulatedTouch | None = None
    at_first: SimulatedTouch | None = None
    refused: tuple[SimulatedTouch, ...] = ()


@dataclass(frozen=True, slots=True)
class Acquisition:
    """The touches before an install, the evidence that the device can show, and the truth."""

    touches: tuple[SimulatedTouch, ...] = ()
    late: tuple[SimulatedTouch, ...] = ()
    evidence: Mapping[str, object] = field(default_factory=dict)
    truth: GroundTruth = GroundTruth()

    @property
    def all_touches(self) -> tuple[SimulatedTouch, ...]:
        return (*self.touches, *self.late)


@dataclass(frozen=True, slots=True)
class LiveVisit:
    """A click on a tracking link while the demo runs, and the events that follow.

    The events get their time when they are sent. Without a `click` the user comes back organically.
    With a `preview_id` a messenger fetches the link before the click, which must not count.
    """

    app: DemoApp
    truth: GroundTruth
    events: tuple[SentEvent, ...]
    click: SimulatedTouch | None = None
    preview_id: str = ""

    @property
    def device(self) -> DeviceKey:
        return self.app, self.events[0].install_id

    @property
    def call_without_time(self) -> SdkCall:
        """Return the call without a body, to count its events."""
        return SdkCall(self.app, b"", gzip=False, events=self.events)

    def call(self, at: datetime, referrer: str) -> SdkCall:
        """Return the app's first call, opened at `at`, with the referrer that the store passed."""
        evidence: Mapping[str, object] = {}
        if self.app is DemoApp.ANDROID:
            begin = int((at - _DOWNLOAD_TIME).timestamp())
            evidence = {"install_referrer": referrer, "install_begin_time_server": begin}
        time = at.isoformat(timespec="milliseconds")
        items = [{**event.fields, **evidence, "event_time": time} for event in self.events]
        body = json.dumps({"events": items}).encode()
        return SdkCall(self.app, gzip.compress(body, mtime=0), gzip=True, events=self.events)


def truth_of(
    earned: SimulatedTouch | None, *, refused: tuple[SimulatedTouch, ...] = ()
) -> GroundTruth:
    """Return the truth of an install whose touches were all reported before it."""
    return GroundTruth(earned=earned, at_first=earned, refused=refused)
