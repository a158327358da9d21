"""⑥ Finds the partners and rules that were notified of an event, so that none is notified twice."""

from collections.abc import Iterable, Sequence
from typing import Any

from postbacks.infrastructure.database import prepared
from postbacks.models import PostbackStatus
from postbacks.models.days import whole_days
from postbacks.values.events import StoredEvent

# The postback's version of its rule says which partner it notified, and of whose installs.
_NOTIFIED_AS_OWN = f"""
SELECT input.event_id
FROM unnest(
    %(events)s::bigint[], %(organizations)s::bigint[], %(uuids)s::uuid[],
    %(moments)s::timestamptz[], %(partners)s::bigint[]
) AS input (event_id, organization_id, uuid, received_at, partner_id)
WHERE EXISTS (
    SELECT FROM postback AS p
    JOIN callback_rule_version AS v ON v.organization_id = p.organization_id
        AND v.rule_id = p.rule_id AND v.number = p.rule_version
    WHERE p.organization_id = input.organization_id AND p.sdk_event_id = input.uuid
      AND p.event_id = input.event_id AND p.event_received_at = input.received_at
      AND p.event_received_at BETWEEN %(first)s AND %(last)s AND NOT p.test
      AND p.status IN ('{PostbackStatus.PENDING}', '{PostbackStatus.DELIVERED}')
      AND (v.definition ->> 'partner_id')::bigint = input.partner_id
      AND v.definition ->> 'attribution_scope' IN ('partner', 'partner_and_organic')
)
"""  # noqa: S608  # only our own words are put in

_APPLIED_RULES = f"""
SELECT p.event_id, p.rule_id, bool_or(p.status <> '{PostbackStatus.SKIPPED}')
FROM unnest(
    %(events)s::bigint[], %(organizations)s::bigint[], %(uuids)s::uuid[], %(moments)s::timestamptz[]
) AS input (event_id, organization_id, uuid, received_at)
JOIN postback AS p ON p.organization_id = input.organization_id AND p.sdk_event_id = input.uuid
    AND p.event_id = input.event_id AND p.event_received_at = input.received_at
WHERE p.event_received_at BETWEEN %(first)s AND %(last)s AND NOT p.test
GROUP BY p.event_id, p.rule_id
"""  # noqa: S608  # only our own words are put in


def already_notified(earned: Sequence[tuple[StoredEvent, int]]) -> set[int]:
    """Return the ids of the events of which the partner beside each was notified as its own.

    Only rules that are scoped to the partner claim that. A pending postback counts as notified.
    """
    if not earned:
        return set()
    partners = {"partners": [partner for _, partner in earned]}
    rows = prepared.run(_NOTIFIED_AS_OWN, {**_parameters(event for event, _ in earned), **partners})
    return {event_id for (event_id,) in rows}


def rules_already_applied(events: Sequence[StoredEvent]) -> dict[tuple[int, int], bool]:
    """Return event and rule of each existing postback; False where it was only skipped."""
    if not events:
        return {}
    rows = prepared.run(_APPLIED_RULES, _parameters(events))
    return {(event_id, rule_id): is_sent for event_id, rule_id, is_sent in rows}


def _parameters(events: Iterable[StoredEvent]) -> dict[str, Any]:
    events = list(events)
    first, last = whole_days(event.received_at for event in events)
    return {
        "events": [event.id for event in events],
        "organizations": [event.organization_id for event in events],
        "uuids": [event.event_id for event in events],
        "moments": [event.received_at for event in events],
        "first": first,
        "last": last,
    }
