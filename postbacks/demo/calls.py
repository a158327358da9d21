"""What the simulator sends: events, and the HTTP bodies that carry them."""

from collections.abc import Mapping
from dataclasses import dataclass

from postbacks.demo.networks import DemoApp

DemoDevice = tuple[DemoApp, str]  # the app, and the id that its SDK made at the install


@dataclass(frozen=True, slots=True)
class SentEvent:
    """This is one event as it is sent; a malformed one must be rejected, and it alone."""

    fields: Mapping[str, object]
    well_formed: bool = True

    @property
    def event_id(self) -> str:
        """The id that its client made once, by which a retry is recognized."""
        return str(self.fields["event_id"])

    @property
    def name(self) -> str:
        """The event name; empty where the client forgot it."""
        return str(self.fields.get("event_name", ""))

    @property
    def install_id(self) -> str:
        """The id of the device."""
        return str(self.fields["install_id"])


@dataclass(frozen=True, slots=True)
class SdkCall:
    """This is one POST to /api/v1/events: the body as it goes out, compressed if `gzip` says so."""

    app: DemoApp
    body: bytes
    gzip: bool
    events: tuple[SentEvent, ...]
