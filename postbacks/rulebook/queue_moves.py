"""Moves what a rule has in the queue after a save that sends it elsewhere or at another pace.

The save itself moves nothing, for a queue may be long: it leaves `queue_version` behind, the
version whose lane and pace the queued postbacks have. A task moves them in batches and sets
`queue_version` at the end, so a worker that is killed leaves the rest to the next one. Whatever a
pump claims before, or while, it moves itself.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import connection

from postbacks.callbacks.rules.compiled import CompiledRule, load_rule_versions
from postbacks.infrastructure.database.prepared import load_sql

BATCH = 1_000
_RULES_IN_ONE_WALK = 200

_MOVE_QUEUED = load_sql("postbacks.rulebook", "move_queued")
_RULES_TO_MOVE = """
SELECT id, version FROM callback_rule WHERE queue_version <> version ORDER BY id LIMIT %(limit)s
"""
_SET_QUEUE_VERSIONS = """
UPDATE callback_rule SET queue_version = moved.version
FROM unnest(%(rules)s::bigint[], %(versions)s::integer[]) AS moved (rule_id, version)
WHERE id = moved.rule_id
"""


RuleToMove = tuple[int, int]  # a rule's id and version


def is_any_to_move() -> bool:
    """Tell whether a rule was saved whose queued postbacks may have to move."""
    return bool(_rules_to_move(1))


def move_queued(
    seconds: float, *, batch: int = BATCH, clock: Callable[[], float] = time.monotonic
) -> int:
    """Move queued postbacks for at most so many seconds; return how many were moved.

    Many rules are done in one walk through the queue. Only the role worker may do this; it sees
    every organization's rows.
    """
    until = clock() + seconds
    moved = 0
    while rules := _rules_to_move(_RULES_IN_ONE_WALK):
        current = _current_versions(rules)
        after = 0
        while ids := _move_batch([rule for rule in current if rule.lane], after, batch):
            moved += len(ids)
            after = max(ids)
            if clock() >= until:
                return moved  # the next run goes on: what is moved no longer matches
        _set_queue_versions(dict(rules) | {rule.rule_id: rule.version for rule in current})
        if clock() >= until:
            break
    return moved


def _rules_to_move(limit: int) -> list[RuleToMove]:
    with connection.cursor() as cursor:
        cursor.execute(_RULES_TO_MOVE, {"limit": limit})
        return [(rule_id, version) for rule_id, version in cursor.fetchall()]


def _current_versions(rules: Sequence[RuleToMove]) -> list[CompiledRule]:
    """Return the current versions, which may be newer by now; those that can't be read miss."""
    versions = load_rule_versions(rules).values()
    return [rule for rule in versions if rule.version == rule.current_version]


def _move_batch(rules: Sequence[CompiledRule], after: int, limit: int) -> list[int]:
    parameters: dict[str, Any] = {
        "rules": [rule.rule_id for rule in rules],
        "hosts": [rule.lane for rule in rules],
        "paced": [rule.definition.is_paced for rule in rules],
        "after": after,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MOVE_QUEUED, parameters)
        return [postback_id for (postback_id,) in cursor.fetchall()]


def _set_queue_versions(versions: Mapping[int, int]) -> None:
    parameters = {"rules": list(versions), "versions": list(versions.values())}
    with connection.cursor() as cursor:
        cursor.execute(_SET_QUEUE_VERSIONS, parameters)
