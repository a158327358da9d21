"""The install that an event belongs to and its credit, as rules and macros read them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from postbacks.values.attribution import NOT_CREDITED, AttributionFacts
from postbacks.values.events import INSTALL, SYSTEM, StoredEvent
from postbacks.values.identifiers import normalize_device


@dataclass(frozen=True, slots=True)
class KnownInstall:
    """One install of a device, with its current credit. `event_ref` is the event that began it."""

    id: int
    device: str
    number: int
    kind: str
    install_id: str
    installed_at: datetime
    last_open_at: datetime | None
    event_ref: int
    public_id: UUID
    version: int = 1
    campaign_id: int | None = None
    link_id: int | None = None
    touchpoint: UUID | None = None
    facts: AttributionFacts = NOT_CREDITED

    @property
    def since(self) -> datetime:
        """Return when the app was acquired, as partners are notified of it."""
        return self.facts.acquired_at or self.installed_at

    @property
    def first_installed_at(self) -> datetime:
        """Return when the device was new."""
        return self.facts.first_installed_at or self.installed_at

    @property
    def last_seen_at(self) -> datetime:
        """Return the last open that was stored; not every open is."""
        return self.last_open_at or self.installed_at


@dataclass(frozen=True, slots=True)
class InstallContext:
    """The install of an event, and its credit.

    `began_kind` is the kind of install that this event began: an install, a reinstall or a
    reattribution; empty for every other event. `device` is the event's as the install spells it, so
    that a sample by device stays the same.
    """

    began_kind: str = ""
    installed_at: datetime | None = None
    install_id: int | None = None
    attribution_version: int = 1
    attribution: AttributionFacts = NOT_CREDITED
    campaign_id: int | None = None
    device: str = ""


def install_context(event: StoredEvent, install: KnownInstall | None) -> InstallContext:
    """Return the context of an event; a credit of its own precedes the install's."""
    own = own_attribution(event)
    if install is None:  # a device without an id can't be known from before
        is_install = event.event_name == INSTALL and not event.device
        return InstallContext(
            began_kind=INSTALL if is_install else "", attribution=own or NOT_CREDITED
        )
    return InstallContext(
        began_kind=install.kind if install.event_ref == event.id else "",
        installed_at=install.since,
        install_id=install.id or None,
        attribution_version=install.version,
        attribution=own or install.facts,
        campaign_id=install.campaign_id,
        device=install.device if normalize_device(install.device) == event.device else "",
    )


def own_attribution(event: StoredEvent) -> AttributionFacts | None:
    """Return the credit that a system event reports; None of all other events."""
    attribution = event.fields.get("attribution")
    if event.source != SYSTEM or not isinstance(attribution, dict):
        return None
    return msgspec.convert(attribution, AttributionFacts)
