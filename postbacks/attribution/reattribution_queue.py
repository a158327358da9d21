"""③ The queue of installs to reevaluate: after a minute, for each touchpoint that comes late, and a
last time when nothing can change the credit any more.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from postbacks.attribution.known_installs import known_install
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models.installs import InstallState
from postbacks.models.stored import load_events
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import KnownInstall

_IS_ANY_DUE = "SELECT EXISTS (SELECT FROM unsettled_install WHERE due_at <= now())"

# A row that is due at its end waits for nothing else: no touchpoint has come since.
_DEQUEUE = """
WITH due AS (
    SELECT install_id, due_at = final_at AS is_quiet, final_at <= now() AS is_over
    FROM unsettled_install WHERE due_at <= now()
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
SELECT due.install_id, is_quiet, is_over FROM due
"""

_DEQUEUE_ONE = """
SELECT install_id, due_at = final_at AS is_quiet, final_at <= now() AS is_over
FROM unsettled_install WHERE install_id = %(install)s AND due_at <= now() FOR UPDATE SKIP LOCKED
"""

_LOAD_CREDITS = load_sql("postbacks.attribution", "load_credits")

_AWAIT = """
UPDATE unsettled_install SET due_at = final_at WHERE install_id = ANY(%(ids)s::bigint[])
"""

_FINALIZE = load_sql("postbacks.attribution", "finalize_credits", InstallState)

_POSTPONE = """
UPDATE unsettled_install SET due_at = now() + interval '10 minutes' WHERE install_id = %(install)s
"""


@dataclass(frozen=True, slots=True)
class QueuedInstall:
    """An install to reevaluate. `is_quiet`: no touchpoint has arrived since the last time;
    `is_over`: this is the last time.
    """

    install_id: int
    is_quiet: bool
    is_over: bool


@dataclass(frozen=True, slots=True)
class StoredCredit:
    """An install as stored: its credit, what lost against it, and the install before it."""

    organization_id: int
    app_id: int
    install: KnownInstall
    event: StoredEvent | None
    before: KnownInstall | None
    candidates: list[dict[str, Any]]
    rejections: list[dict[str, Any]]


def is_any_due() -> bool:
    """Tell whether installs are due; another worker may be at some of them."""
    ((is_due,),) = prepared.run(_IS_ANY_DUE, {})
    return bool(is_due)


def dequeue_installs(limit: int) -> list[QueuedInstall]:
    """Lock the installs that are longest due until the caller's transaction ends."""
    return prepared.fetch(QueuedInstall, _DEQUEUE, {"limit": limit})


def dequeue_install(install_id: int) -> list[QueuedInstall]:
    """Lock one install, unless another worker has it."""
    return prepared.fetch(QueuedInstall, _DEQUEUE_ONE, {"install": install_id})


def load_stored_credits(ids: Iterable[int]) -> list[StoredCredit]:
    """Return installs with their credit, in the order of their ids."""
    rows = _load_rows(ids)
    befores = {row.install.id: row.install for row in _load_rows(row.before_id for row in rows)}
    events = load_events((row.install.event_ref, row.event_received_at) for row in rows)
    events_by_id = {event.id: event for event in events}
    return [
        StoredCredit(
            organization_id=row.organization_id,
            app_id=row.app_id,
            install=row.install,
            event=events_by_id.get(row.install.event_ref),
            before=None if row.before_id is None else befores.get(row.before_id),
            candidates=msgspec.json.decode(row.candidates_json),
            rejections=msgspec.json.decode(row.rejections_json),
        )
        for row in rows
    ]


def await_late_touchpoints(ids: Iterable[int]) -> None:
    """Make installs due at their end; a touchpoint that comes late makes them due before."""
    _run(_AWAIT, ids)


def finalize(ids: Iterable[int]) -> None:
    """Make credits final, and delete the identifiers that only find late touchpoints."""
    _run(_FINALIZE, ids)


def postpone(install_id: int) -> None:
    """Make an install due later: its reevaluation fails."""
    prepared.run(_POSTPONE, {"install": install_id})


@dataclass(frozen=True, slots=True)
class _CreditRow:
    install: KnownInstall
    organization_id: int
    app_id: int
    before_id: int | None
    event_received_at: datetime
    candidates_json: str
    rejections_json: str


def _credit_row(
    *,
    organization_id: int,
    app_id: int,
    before_id: int | None,
    event_received_at: datetime,
    candidates_json: str,
    rejections_json: str,
    **install: Any,
) -> _CreditRow:
    return _CreditRow(
        install=known_install(**install),
        organization_id=organization_id,
        app_id=app_id,
        before_id=before_id,
        event_received_at=event_received_at,
        candidates_json=candidates_json,
        rejections_json=rejections_json,
    )


def _load_rows(ids: Iterable[int | None]) -> list[_CreditRow]:
    distinct = sorted(id_ for id_ in set(ids) if id_ is not None)
    return prepared.fetch(_credit_row, _LOAD_CREDITS, {"ids": distinct}) if distinct else []


def _run(statement: str, ids: Iterable[int]) -> None:
    if in_order := sorted(ids):
        prepared.run(statement, {"ids": in_order})
