"""③ The queue of installs whose credit is looked at again: after a minute, for each touchpoint that
comes late, and a last time when nothing can change it any more.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from postbacks.attribution.known_installs import known_install
from postbacks.infrastructure.database import prepared
from postbacks.models.stored import load_events
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import KnownInstall

_IS_ANY_DUE = "SELECT EXISTS (SELECT FROM unsettled_install WHERE due_at <= now())"

# A row whose time is that of its end waits for nothing else: no touchpoint has come since.
_TAKE = """
WITH taken AS (
    SELECT install_id, due_at = final_at AS is_quiet, final_at <= now() AS is_over
    FROM unsettled_install WHERE due_at <= now()
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
SELECT taken.install_id, is_quiet, is_over FROM taken
"""

_TAKE_ONE = """
SELECT install_id, due_at = final_at, final_at <= now()
FROM unsettled_install WHERE install_id = %(install)s AND due_at <= now() FOR UPDATE SKIP LOCKED
"""

_LOAD = """
SELECT i.id, i.device, i.number, i.kind, i.install_id, i.installed_at, i.last_open_at, i.event_ref,
       i.public_id, i.attribution_version, i.campaign_id, i.link_id, i.touchpoint, a.facts::text,
       i.before_id, i.event_received_at, i.organization_id, i.app_id,
       coalesce(a.candidates, '[]')::text, coalesce(a.rejections, '[]')::text
FROM install AS i
LEFT JOIN attribution AS a ON a.organization_id = i.organization_id AND a.install_id = i.id
    AND a.version = i.attribution_version
WHERE i.id = ANY(%(ids)s::bigint[])
"""

_WAIT = """
UPDATE unsettled_install SET due_at = final_at WHERE install_id = ANY(%(ids)s::bigint[])
"""

_CLOSE = """
WITH closed AS (
    DELETE FROM unsettled_install WHERE install_id = ANY(%(ids)s::bigint[]) RETURNING install_id
), unnamed AS (
    DELETE FROM install_key USING closed
    WHERE install_key.install_id = closed.install_id AND NOT lasting
)
UPDATE install SET state = 'final' FROM closed WHERE install.id = closed.install_id
"""

_PUT_OFF = """
UPDATE unsettled_install SET due_at = now() + interval '10 minutes' WHERE install_id = %(install)s
"""

_KNOWN = len(KnownInstall.__slots__)


@dataclass(frozen=True, slots=True)
class QueuedInstall:
    """An install in a worker's hands. `is_quiet` means that nothing has come since the last look,
    `is_over` that this look is the last one.
    """

    install_id: int
    is_quiet: bool
    is_over: bool


@dataclass(frozen=True, slots=True)
class StoredCredit:
    """An install as it stands: its credit, what was said of the losers, and the one before it."""

    organization_id: int
    app_id: int
    install: KnownInstall
    event: StoredEvent | None
    before: KnownInstall | None
    candidates: list[dict[str, Any]]
    rejections: list[dict[str, Any]]


def is_any_due() -> bool:
    """Tell whether installs are due, of which another worker may be looking at some."""
    ((is_due,),) = prepared.run(_IS_ANY_DUE, {})
    return bool(is_due)


def dequeue_installs(limit: int) -> list[QueuedInstall]:
    """Take the installs that are longest due, for as long as the caller's transaction."""
    return [QueuedInstall(*row) for row in prepared.run(_TAKE, {"limit": limit})]


def dequeue_install(install_id: int) -> list[QueuedInstall]:
    """Take one install, unless another worker has it."""
    return [QueuedInstall(*row) for row in prepared.run(_TAKE_ONE, {"install": install_id})]


def load_credits(ids: Iterable[int]) -> list[StoredCredit]:
    """Return how installs stand, in the order of their ids."""
    rows = _rows(ids)
    befores = {row[0]: known_install(row[:_KNOWN]) for row in _rows({row[_KNOWN] for row in rows})}
    events = {event.id: event for event in load_events((row[7], row[_KNOWN + 1]) for row in rows)}
    return [_standing(row, befores, events) for row in sorted(rows)]


def await_late_touchpoints(ids: Iterable[int]) -> None:
    """Leave installs alone until their end, unless a touchpoint comes late."""
    _run(_WAIT, ids)


def finalize(ids: Iterable[int]) -> None:
    """Make credits final, and forget the names that were there to find late touchpoints."""
    _run(_CLOSE, ids)


def postpone(install_id: int) -> None:
    """Leave an install alone for a while: something about it fails."""
    prepared.run(_PUT_OFF, {"install": install_id})


def _run(statement: str, ids: Iterable[int]) -> None:
    if these := sorted(ids):
        prepared.run(statement, {"ids": these})


def _rows(ids: Iterable[int | None]) -> list[tuple[Any, ...]]:
    these = sorted(id_ for id_ in set(ids) if id_ is not None)
    return prepared.run(_LOAD, {"ids": these}) if these else []


def _standing(
    row: tuple[Any, ...], befores: dict[int, KnownInstall], events: dict[int, StoredEvent]
) -> StoredCredit:
    before_id, _, organization_id, app_id, candidates, rejections = row[_KNOWN:]
    install = known_install(row[:_KNOWN])
    return StoredCredit(
        organization_id=organization_id,
        app_id=app_id,
        install=install,
        event=events.get(install.event_ref),
        before=befores.get(before_id),
        candidates=msgspec.json.decode(candidates),
        rejections=msgspec.json.decode(rejections),
    )
