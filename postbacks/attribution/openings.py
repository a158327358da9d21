"""③ Which events open an app anew: first installs, devices that come back, people won back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from postbacks.attribution.evidence import SettingsByScope
from postbacks.attribution.known_installs import KnownInstalls
from postbacks.attribution.settings import AppKey, every_level
from postbacks.models import InstallKind
from postbacks.values.attribution import AttributionFacts
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import KnownInstall

INSTALL = "install"
OPEN = "open"
LIFE_CYCLE = frozenset({INSTALL, OPEN})

# A second `install` of the same SDK id within this time is the first one told twice: so long is a
# credit not final. Later it is a device that was emptied and set up again with its old id.
REPEATED_WITHIN = timedelta(hours=24)
# How far the last open must move to be noted: not every open is worth a write.
OPEN_MOVES = timedelta(hours=1)


class OpeningKind(StrEnum):
    """What an opening of the app may be."""

    INSTALL = InstallKind.INSTALL.value
    RETURN = "return"
    REENGAGEMENT = "reengagement"


@dataclass(frozen=True, slots=True)
class Opening:
    """An event that begins an install, or that may have won a person back."""

    event: StoredEvent
    occasion: OpeningKind
    install: KnownInstall  # the one that it begins, or after which the person was away
    before: KnownInstall | None = None

    @property
    def not_before(self) -> datetime | None:
        """Return from when on a touchpoint may have led to it: older ones led to what was."""
        if self.before is None:
            return None
        if self.occasion is OpeningKind.REENGAGEMENT:
            return self.before.last_seen_at
        return self.before.installed_at


@dataclass(slots=True)
class Plan:
    """What a batch of events changes: what they open anew, and when apps were opened last."""

    openings: list[Opening] = field(default_factory=list)
    last_opens: dict[UUID, datetime] = field(default_factory=dict)


def plan(
    events: Sequence[StoredEvent],
    known: KnownInstalls,
    ladders: Mapping[AppKey, SettingsByScope],
) -> Plan:
    """Return what events in the order of their arrival change; notes it in `known` as it goes."""
    found = Plan()
    for event in events:
        if event.device and event.event_name in LIFE_CYCLE:
            ladder = ladders[event.organization_id, event.app.id]
            _consider(event, known, ladder, found)
    return found


def _consider(
    event: StoredEvent, known: KnownInstalls, ladder: SettingsByScope, found: Plan
) -> None:
    install = known.of(event)
    if install is None:
        occasion = OpeningKind.INSTALL
    elif event.id <= install.event_ref:
        return  # it is the one that began the install, or was overtaken by it
    elif _comes_back(event, install):
        age = event.event_time - install.first_installed_at
        within = age <= ladder.app.reattribution_window
        occasion = OpeningKind.RETURN if within else OpeningKind.INSTALL
    else:
        _note_open(event, install, ladder, found)
        return
    begun = _begun(event, install)
    found.openings.append(Opening(event, occasion, begun, install))
    known.add(event, begun)


def _comes_back(event: StoredEvent, install: KnownInstall) -> bool:
    """Tell whether a device that is known by its ids has the app anew."""
    new_id = event.fields.get("install_id")
    if new_id and install.install_id and new_id != install.install_id:
        return True
    return event.event_name == INSTALL and event.event_time - install.installed_at > REPEATED_WITHIN


def _note_open(
    event: StoredEvent, install: KnownInstall, ladder: SettingsByScope, found: Plan
) -> None:
    last = found.last_opens.get(install.public_id, install.last_seen_at)
    away = event.event_time - last
    if away < OPEN_MOVES:
        return
    found.last_opens[install.public_id] = event.event_time
    if away >= min(rung.inactivity for rung in every_level(ladder)):
        seen = replace(install, last_open_at=last)
        found.openings.append(Opening(event, OpeningKind.REENGAGEMENT, seen, seen))


def _begun(event: StoredEvent, before: KnownInstall | None) -> KnownInstall:
    install_id = event.fields.get("install_id")
    return KnownInstall(
        id=0,
        device=event.device,
        number=before.number + 1 if before else 1,
        kind=InstallKind.INSTALL,
        install_id=install_id if isinstance(install_id, str) else "",
        installed_at=event.event_time,
        last_open_at=event.event_time,
        event_ref=event.id,
        public_id=uuid4(),
        facts=AttributionFacts(),
    )
