"""Moves what a rule has in the queue after a save that sends it elsewhere or at another pace.

The save itself moves nothing, for a queue may be long: it leaves `queue_version` behind, the
version whose lane and pace the queued postbacks have. A task moves them in batches and sets
`queue_version` at the end, so a worker that is killed leaves the rest to the next one. Whatever a
pump claims before, or while, it moves itself.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connection

from postbacks.callbacks.rules.compiled import CompiledRule, load_rule_versions
from postbacks.infrastructure.database.prepared import load_sql

BATCH = 1_000
_RULES_IN_ONE_RUN = 200

_MOVE_QUEUED = load_sql("postbacks.rulebook", "move_queued")
_RULES_TO_MOVE = """
SELECT id, version FROM callback_rule WHERE queue_version <> version ORDER BY id LIMIT %(limit)s
"""
_SET_QUEUE_VERSION = """
UPDATE callback_rule SET queue_version = %(version)s WHERE id = %(rule)s
"""


@dataclass(frozen=True, slots=True)
class _RuleToMove:
    id: int
    version: int


def is_any_to_move() -> bool:
    """Tell whether a rule was saved whose queued postbacks may have to move."""
    return bool(_rules_to_move(1))


def move_queued(
    seconds: float, *, batch: int = BATCH, clock: Callable[[], float] = time.monotonic
) -> int:
    """Move queued postbacks for at most so many seconds; return how many were moved.

    Only the role worker may do this; it sees every organization's rows.
    """
    until = clock() + seconds
    moved = 0
    for rule in _rules_to_move(_RULES_IN_ONE_RUN):
        current = _current(rule)
        after = 0
        while current is not None and current.lane:
            ids = _move_batch(current, after, batch)
            moved += len(ids)
            if len(ids) < batch:
                break
            after = max(ids)
            if clock() >= until:
                return moved  # the next run goes on: what is moved no longer matches
        _set_queue_version(rule, current)
        if clock() >= until:
            break
    return moved


def _rules_to_move(limit: int) -> list[_RuleToMove]:
    with connection.cursor() as cursor:
        cursor.execute(_RULES_TO_MOVE, {"limit": limit})
        return [_RuleToMove(*row) for row in cursor.fetchall()]


def _current(rule: _RuleToMove) -> CompiledRule | None:
    """Return the current version, which may be a newer one by now; None if it can't be read."""
    versions = load_rule_versions([(rule.id, rule.version)]).values()
    return next((v for v in versions if v.version == v.current_version), None)


def _move_batch(rule: CompiledRule, after: int, limit: int) -> list[int]:
    parameters: dict[str, Any] = {
        "rule": rule.rule_id,
        "after": after,
        "host": rule.lane,
        "paced": rule.definition.is_paced,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MOVE_QUEUED, parameters)
        return [postback_id for (postback_id,) in cursor.fetchall()]


def _set_queue_version(rule: _RuleToMove, current: CompiledRule | None) -> None:
    version = rule.version if current is None else current.version
    with connection.cursor() as cursor:
        cursor.execute(_SET_QUEUE_VERSION, {"rule": rule.id, "version": version})
