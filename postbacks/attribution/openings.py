"""③ Finds the openings among events: first installs, returning devices, reengaged people."""

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
from postbacks.values.events import INSTALL, LIFE_CYCLE, StoredEvent
from postbacks.values.identifiers import read_id
from postbacks.values.install_context import KnownInstall

# A second `install` of the same SDK id within this time repeats the first one: a credit is
# provisional for as long. Later it is a device that was reset and set up again with its old id.
REPEATED_WITHIN = timedelta(hours=24)
# The last open is saved in steps of this size: not every open is worth a write.
OPEN_MOVES = timedelta(hours=1)


class OpeningKind(StrEnum):
    """What an opening of the app may be."""

    INSTALL = InstallKind.INSTALL.value
    RETURN = "return"
    REENGAGEMENT = "reengagement"


@dataclass(frozen=True, slots=True)
class Opening:
    """An event that begins an install, or that may have reengaged a person."""

    event: StoredEvent
    kind: OpeningKind
    install: KnownInstall  # the one that it begins, or after which the person was away
    before: KnownInstall | None = None

    @property
    def not_before(self) -> datetime | None:
        """Return the earliest time of a touchpoint for it: older ones led to what was before."""
        if self.before is None:
            return None
        if self.kind is OpeningKind.REENGAGEMENT:
            return self.before.last_seen_at
        return self.before.installed_at


@dataclass(slots=True)
class Plan:
    """The changes that a batch of events brings: new openings, and the last open of each app."""

    openings: list[Opening] = field(default_factory=list)
    last_opens: dict[UUID, datetime] = field(default_factory=dict)


def plan(
    events: Sequence[StoredEvent],
    known_installs: KnownInstalls,
    settings: Mapping[AppKey, SettingsByScope],
) -> Plan:
    """Return the changes of events in the order of their arrival; add installs that begin."""
    changes = Plan()
    for event in events:
        if event.device and event.event_name in LIFE_CYCLE:
            _plan_event(
                event, known_installs, settings[event.organization_id, event.app.id], changes
            )
    return changes


def _plan_event(
    event: StoredEvent, known_installs: KnownInstalls, settings: SettingsByScope, changes: Plan
) -> None:
    install = known_installs.of(event)
    if install is None:
        kind = OpeningKind.INSTALL
    elif event.id <= install.event_ref:
        return  # the event began the install, or a later one overtook it
    elif _comes_back(event, install):
        age = event.event_time - install.first_installed_at
        # The window is in days, and its last day counts whole.
        is_return = age < settings.app.reattribution_window + timedelta(days=1)
        kind = OpeningKind.RETURN if is_return else OpeningKind.INSTALL
    else:
        _plan_open(event, install, settings, changes)
        return
    begun = _begun(event, install)
    changes.openings.append(Opening(event, kind, begun, install))
    known_installs.add(event, begun)


def _comes_back(event: StoredEvent, install: KnownInstall) -> bool:
    """Tell whether a device that is known by its ids has installed the app again."""
    new_id = event.fields.get("install_id")
    if isinstance(new_id, str) and _is_another_installation(new_id, install.install_id):
        return True
    since_install = event.event_time - install.installed_at
    return event.event_name == INSTALL and since_install > REPEATED_WITHIN


def _is_another_installation(new_id: str, known_id: str) -> bool:
    new_id, known_id = (read_id("install_id", id_) for id_ in (new_id, known_id))
    return bool(new_id and known_id) and new_id != known_id


def _plan_open(
    event: StoredEvent, install: KnownInstall, settings: SettingsByScope, changes: Plan
) -> None:
    last_open = changes.last_opens.get(install.public_id, install.last_seen_at)
    away = event.event_time - last_open
    if away < OPEN_MOVES:
        return
    changes.last_opens[install.public_id] = event.event_time
    if away >= min(level.inactivity for level in every_level(settings)):
        away_since = replace(install, last_open_at=last_open)
        changes.openings.append(Opening(event, OpeningKind.REENGAGEMENT, away_since, away_since))


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
