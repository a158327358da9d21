"""③ Recognizes installs and credits them: new devices, returning devices, reengaged people.

A device is known by its event's device key, else by any lasting identifier that it shares with an
earlier install. `known_installs` loads what is known, `openings` plans what events change,
`crediting` finds and judges the touchpoints, `recording` saves the result, and `system_events`
reports reengagements and fraud to rules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from postbacks.attribution import recording, system_events
from postbacks.attribution.credited import CreditedOpening
from postbacks.attribution.crediting import credit_openings
from postbacks.attribution.known_installs import KnownInstalls, load_known_installs
from postbacks.attribution.openings import OpeningKind, plan
from postbacks.attribution.settings import load_settings
from postbacks.values.events import LIFE_CYCLE, StoredEvent
from postbacks.values.install_context import KnownInstall

_ROUNDS = 3  # how often a batch is evaluated while other workers begin the same installs

__all__ = ["KnownInstall", "KnownInstalls", "foresee_installs", "recognize_installs"]


def recognize_installs(
    events: Sequence[StoredEvent], *, rounds: int = _ROUNDS
) -> Mapping[int, KnownInstall]:
    """Record the installs among the events and return each event's install, by the event's id.

    An event whose device never opened the app has none. Two workers may see one device at once: the
    unique key lets one of them win, and both then read its install. `rounds` bounds the recursion.
    """
    known_installs = load_known_installs(events)
    if not rounds:  # The rounds are used up: another worker recorded these installs.
        return _installs_of(events, known_installs)
    changes = _evaluate(events, known_installs)
    ids = recording.record_installs(changes.installs, changes.last_opens, now=datetime.now(UTC))
    recording.save_last_opens(_stored_opens(events, known_installs, changes.last_opens))
    recorded = [c for c in changes.installs if c.opening.install.public_id in ids]
    system_events.emit_install_events(recorded, changes.reengagements)
    if len(recorded) < len(changes.installs):  # another worker was first: evaluate the rest again
        return recognize_installs(events, rounds=rounds - 1)
    known_installs.replace({c.opening.install.public_id: _known_install(c, ids) for c in recorded})
    return _installs_of(events, known_installs)


def foresee_installs(
    events: Sequence[StoredEvent], foreseen: KnownInstalls
) -> Mapping[int, KnownInstall]:
    """Return each event's install as `recognize_installs` would, and record none.

    `foreseen` keeps from one batch to the next what would have been recorded.
    """
    known_installs = load_known_installs(events)
    known_installs.add_missing(foreseen)
    installs = _evaluate(events, known_installs).installs
    known_installs.replace({c.opening.install.public_id: _known_install(c, {}) for c in installs})
    for credited in installs:
        foreseen.add(credited.opening.event, _known_install(credited, {}))
    return _installs_of(events, known_installs)


@dataclass(frozen=True, slots=True)
class _Changes:
    """The changes that a batch of events brings, with the credit of each."""

    last_opens: Mapping[UUID, datetime]
    installs: list[CreditedOpening]
    reengagements: list[CreditedOpening]


def _evaluate(events: Sequence[StoredEvent], known_installs: KnownInstalls) -> _Changes:
    apps = {
        (event.organization_id, event.app.id)
        for event in events
        if event.device and event.event_name in LIFE_CYCLE
    }
    settings = load_settings(apps)
    planned = plan(events, known_installs, settings)
    changes = _Changes(planned.last_opens, [], [])
    for credited in credit_openings(planned.openings, settings):
        if credited.opening.kind is not OpeningKind.REENGAGEMENT:
            changes.installs.append(credited)
        elif credited.winner is not None:
            changes.reengagements.append(credited)
    return changes


def _stored_opens(
    events: Sequence[StoredEvent],
    known_installs: KnownInstalls,
    last_opens: Mapping[UUID, datetime],
) -> list[tuple[int, UUID, datetime]]:
    organizations = {
        install.public_id: event.organization_id
        for event in events
        if (install := known_installs.of(event)) and install.id and install.public_id in last_opens
    }
    return [
        (organizations[install], install, opened_at)
        for install, opened_at in last_opens.items()
        if install in organizations
    ]


def _known_install(credited: CreditedOpening, ids: Mapping[UUID, int]) -> KnownInstall:
    install, facts = credited.opening.install, credited.facts()
    columns = recording.credit_columns(credited, facts)
    return replace(
        install,
        id=ids.get(install.public_id, 0),
        kind=credited.kind,
        facts=facts,
        campaign_id=columns["campaign_id"],
        link_id=columns["link_id"],
        touchpoint=columns["touchpoint"],
    )


def _installs_of(
    events: Sequence[StoredEvent], known_installs: KnownInstalls
) -> dict[int, KnownInstall]:
    return {
        event.id: install
        for event in events
        if event.device and (install := known_installs.of(event)) is not None
    }
