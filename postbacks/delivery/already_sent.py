"""⑥ Who has been told of an event already, so that nobody hears of it twice or gets it revoked."""

from collections.abc import Iterable, Sequence
from typing import Any

from postbacks.infrastructure.database import prepared
from postbacks.models import PostbackStatus
from postbacks.models.days import whole_days
from postbacks.values.events import StoredEvent

# Of the rule as it was: its version says whom it told, and of whose installs.
_OF_PARTNER = f"""
SELECT wanted.event_id
FROM unnest(
    %(events)s::bigint[], %(organizations)s::bigint[], %(uuids)s::uuid[],
    %(moments)s::timestamptz[], %(partners)s::bigint[]
) AS wanted (event_id, o, uuid, received_at, partner_id)
WHERE EXISTS (
    SELECT FROM postback AS p
    JOIN callback_rule_version AS v ON v.organization_id = p.organization_id
        AND v.rule_id = p.rule_id AND v.number = p.rule_version
    WHERE p.organization_id = wanted.o AND p.sdk_event_id = wanted.uuid
      AND p.event_id = wanted.event_id AND p.event_received_at = wanted.received_at
      AND p.event_received_at BETWEEN %(first)s AND %(last)s AND NOT p.test
      AND p.status IN ('{PostbackStatus.PENDING}', '{PostbackStatus.DELIVERED}')
      AND (v.definition ->> 'partner_id')::bigint = wanted.partner_id
      AND v.definition ->> 'attribution_scope' IN ('partner', 'partner_and_organic')
)
"""  # noqa: S608  # only our own words are put in

_RULES = f"""
SELECT p.event_id, p.rule_id, bool_or(p.status <> '{PostbackStatus.SKIPPED}')
FROM unnest(
    %(events)s::bigint[], %(organizations)s::bigint[], %(uuids)s::uuid[], %(moments)s::timestamptz[]
) AS wanted (event_id, o, uuid, received_at)
JOIN postback AS p ON p.organization_id = wanted.o AND p.sdk_event_id = wanted.uuid
    AND p.event_id = wanted.event_id AND p.event_received_at = wanted.received_at
WHERE p.event_received_at BETWEEN %(first)s AND %(last)s AND NOT p.test
GROUP BY p.event_id, p.rule_id
"""  # noqa: S608  # only our own words are put in


def already_notified(earned: Sequence[tuple[StoredEvent, int]]) -> set[int]:
    """Return those events, by our numbers, of which the partner beside it was told as its own.

    Only rules that are scoped to the partner tell it that; what is pending will be told.
    """
    if not earned:
        return set()
    partners = {"partners": [partner for _, partner in earned]}
    rows = prepared.run(_OF_PARTNER, {**_named(event for event, _ in earned), **partners})
    return {event_id for (event_id,) in rows}


def rules_already_applied(events: Sequence[StoredEvent]) -> dict[tuple[int, int], bool]:
    """Return event and rule of each postback there is; False where it was only skipped."""
    if not events:
        return {}
    rows = prepared.run(_RULES, _named(events))
    return {(event_id, rule_id): is_told for event_id, rule_id, is_told in rows}


def _named(events: Iterable[StoredEvent]) -> dict[str, Any]:
    these = list(events)
    first, last = whole_days(event.received_at for event in these)
    return {
        "events": [event.id for event in these],
        "organizations": [event.organization_id for event in these],
        "uuids": [event.event_id for event in these],
        "moments": [event.received_at for event in these],
        "first": first,
        "last": last,
    }
