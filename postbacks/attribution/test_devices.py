"""③ Finds the installs of test devices, which the fraud checks leave alone."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from postbacks.attribution.evidence import InstallEvidence
from postbacks.infrastructure.database import prepared
from postbacks.privacy.device_marks import mark_keys
from postbacks.values.events import StoredEvent

_LOAD = """
SELECT organization_id, key, created_at, ends_at FROM test_device
WHERE organization_id = ANY(%(organizations)s::bigint[]) AND key = ANY(%(keys)s::uuid[])
"""

_Spans = dict[tuple[int, UUID], tuple[datetime, datetime]]  # by organization and key


def mark_evidences(
    events: Sequence[StoredEvent],
    evidences: Sequence[InstallEvidence],
    organizations: set[int],
) -> list[InstallEvidence]:
    """Return the evidence of each event, marked where a test device sent it.

    `organizations` are those that have test devices; without any the database is not asked. An
    event counts by when it came: that it is judged again after the mark's end changes nothing.
    """
    keys = {
        event.id: mark_keys(event.fields)
        for event in events
        if event.organization_id in organizations
    }
    if not any(keys.values()):
        return list(evidences)
    searched = sorted({str(key) for of_event in keys.values() for key in of_event})
    rows = prepared.run(_LOAD, {"organizations": sorted(organizations), "keys": searched})
    spans: _Spans = {(row[0], row[1]): (row[2], row[3]) for row in rows}
    return [
        replace(evidence, is_test_device=True)
        if _is_marked(event, keys.get(event.id, set()), spans)
        else evidence
        for event, evidence in zip(events, evidences, strict=True)
    ]


def _is_marked(event: StoredEvent, keys: set[UUID], spans: _Spans) -> bool:
    marks = (spans.get((event.organization_id, key)) for key in keys)
    return any(mark and mark[0] <= event.received_at < mark[1] for mark in marks)
