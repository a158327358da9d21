"""③ Recognizes installs and credits them: new devices, those that come back, people won back.

A device is known by the id that its events name, else by any lasting id that they share with an
earlier install. The steps are files of their own: `known` loads what is known, `planning` tells
what events change, `crediting` finds the touchpoints that led there, `recording` writes it down,
and `announcing` tells rules what no SDK can: who was won back, and which touchpoints were fraud.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from postbacks.attribution import recording, system_events
from postbacks.attribution.crediting import Credited, credit
from postbacks.attribution.known_installs import KnownInstalls, load_known_installs
from postbacks.attribution.openings import LIFE_CYCLE, OpeningKind, Plan, plan
from postbacks.attribution.settings import load_settings
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import KnownInstall

_ROUNDS = 3  # how often a batch is looked at while other workers begin the same installs

__all__ = ["KnownInstall", "KnownInstalls", "foresee_installs", "recognize_installs"]


def recognize_installs(
    events: Sequence[StoredEvent], *, rounds: int = _ROUNDS
) -> Mapping[int, KnownInstall]:
    """Record the installs among the events and return each event's install, by the event's id.

    An event of a device that never opened the app has none. Two workers may see the same device
    at once: the unique key lets one of them win, and both then read who it was.
    """
    known = load_known_installs(events)
    if not rounds:  # what still seems to begin has begun by an event that came later
        return _installs_of(events, known)
    planned, new, won_back = _evaluate(events, known)
    ids = recording.record(new, planned.last_opens, now=datetime.now(UTC))
    recording.note_opens(_opens(events, known, planned))
    begun = [it for it in new if it.opening.install.public_id in ids]
    system_events.emit_install_events(begun, won_back)
    if len(begun) < len(new):  # another worker was first: what is left is seen with other eyes
        return recognize_installs(events, rounds=rounds - 1)
    known.put({it.opening.install.public_id: _as_known(it, ids) for it in begun})
    return _installs_of(events, known)


def foresee_installs(
    events: Sequence[StoredEvent], seen: KnownInstalls
) -> Mapping[int, KnownInstall]:
    """Return each event's install as `recognize_installs` would, and record none.

    `seen` keeps from one batch to the next what would have been recorded.
    """
    known = load_known_installs(events)
    known.take_over(seen)
    _, new, _ = _evaluate(events, known)
    known.put({it.opening.install.public_id: _as_known(it, {}) for it in new})
    for it in new:
        seen.add(it.opening.event, _as_known(it, {}))
    return _installs_of(events, known)


def _evaluate(
    events: Sequence[StoredEvent], known: KnownInstalls
) -> tuple[Plan, list[Credited], list[Credited]]:
    """Return what events change: the plan, the installs that begin, and the people won back."""
    apps = {
        (event.organization_id, event.app.id)
        for event in events
        if event.device and event.event_name in LIFE_CYCLE
    }
    ladders = load_settings(apps)
    planned = plan(events, known, ladders)
    credited = credit(planned.openings, ladders)
    returns = [it for it in credited if it.opening.occasion is OpeningKind.REENGAGEMENT]
    new = [it for it in credited if it.opening.occasion is not OpeningKind.REENGAGEMENT]
    return planned, new, [it for it in returns if it.winner is not None]


def _opens(
    events: Sequence[StoredEvent], known: KnownInstalls, planned: Plan
) -> list[tuple[int, UUID, datetime]]:
    organizations = {
        install.public_id: event.organization_id
        for event in events
        if (install := known.of(event)) and install.id and install.public_id in planned.last_opens
    }
    return [
        (organizations[install], install, moment)
        for install, moment in planned.last_opens.items()
        if install in organizations
    ]


def _as_known(it: Credited, ids: Mapping[UUID, int]) -> KnownInstall:
    install = it.opening.install
    return replace(install, id=ids.get(install.public_id, 0), kind=it.kind, facts=it.facts())


def _installs_of(events: Sequence[StoredEvent], known: KnownInstalls) -> dict[int, KnownInstall]:
    return {
        event.id: install
        for event in events
        if event.device and (install := known.of(event)) is not None
    }
