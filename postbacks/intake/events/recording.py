"""Records events: each is checked by itself, all good ones are stored by one statement.

Nothing is answered before the commit, and a commit holds the event, its key and its place in the
queue of undecided events together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import prepared
from postbacks.intake.events.body import read_events
from postbacks.intake.events.faults import FieldError
from postbacks.intake.events.forgotten import refuse_forgotten
from postbacks.intake.events.validation import CheckedEvent, Reporter, check_event
from postbacks.models import EventSource

# A number stays a number with all its digits, also in `params`.
_encoder = msgspec.json.Encoder(decimal_format="number")

_STORE = """
WITH input AS MATERIALIZED (
    -- Ids in the order of the request; keys below in the order of event ids, the same for all
    -- requests, so that two that retry the same events never wait for each other in a ring.
    SELECT nextval('event_key_id_seq') AS id, row.*
    FROM jsonb_to_recordset(%(events)s::jsonb) AS row (
        event_id uuid, event_name text, event_time timestamptz, bundle_id text,
        platform text, device text, customer_user_id text, revenue numeric, currency text,
        fields jsonb, params jsonb
    )
), fresh AS (
    INSERT INTO event_key (id, organization_id, app_id, event_id, received_at)
    SELECT id, %(organization)s, %(app)s, event_id, date_trunc('milliseconds', now())
    FROM input ORDER BY event_id
    ON CONFLICT DO NOTHING
    RETURNING id, event_id, received_at
), stored AS (
    INSERT INTO event (
        id, organization_id, app_id, event_id, event_name, event_time, received_at, source,
        platform, bundle_id, device, customer_user_id, revenue, currency, fields, params
    )
    SELECT fresh.id, %(organization)s, %(app)s, fresh.event_id, event_name, event_time,
           fresh.received_at, %(source)s, platform, bundle_id, device, customer_user_id, revenue,
           currency, fields, params
    FROM fresh JOIN input USING (id, event_id)
), queued AS (
    INSERT INTO undecided_event (id, organization_id, received_at)
    SELECT id, %(organization)s, received_at FROM fresh
)
SELECT (SELECT count(*) FROM fresh), pg_notify('postbacks_work', '')
"""


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that was not taken, by its place in the request."""

    index: int
    faults: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class Warned:
    """An event that was taken with a remark."""

    index: int
    fault: FieldError


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request's events; `ids` has one entry per event, None where rejected."""

    accepted: int
    duplicates: int
    rejected: tuple[Rejection, ...]
    ids: tuple[str | None, ...]
    warnings: tuple[Warned, ...]


def record_events(body: bytes, *, encoding: str, reporter: Reporter) -> Receipt:
    """Record the events of a request's body durably.

    Raises BodyError when nothing of it can be taken, and Django's OperationalError when the
    database is away, in which case nothing was stored.
    """
    source = EventSource.SERVER if reporter.is_server else EventSource.SDK
    return record_read(read_events(body, encoding=encoding), reporter=reporter, source=source)


def record_read(events: Sequence[object], *, reporter: Reporter, source: EventSource) -> Receipt:
    """Record events that were read already, by whichever door they came.

    Raises Django's OperationalError when the database is away; then nothing was stored.
    """
    now = datetime.now(UTC)
    checked = [check_event(event, reporter=reporter, now=now) for event in events]
    refuse_forgotten(checked, reporter)
    good = _first_of_each_id(checked)
    accepted = _store(good, reporter, source) if good else 0
    taken = sum(not event.faults for event in checked)
    return Receipt(
        accepted=accepted,
        duplicates=taken - accepted,
        rejected=tuple(
            Rejection(index, tuple(event.faults))
            for index, event in enumerate(checked)
            if event.faults
        ),
        ids=tuple(None if event.faults else str(event.row["event_id"]) for event in checked),
        warnings=tuple(
            Warned(index, FieldError(_pointer(name), remark))
            for index, event in enumerate(checked)
            if not event.faults
            for name, remark in event.remarks.items()
        ),
    )


def _pointer(name: str) -> str:
    """Return the JSON pointer of a field whose name the client chose (RFC 6901)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _first_of_each_id(checked: list[CheckedEvent]) -> list[dict[str, object]]:
    rows: dict[object, dict[str, object]] = {}
    for event in checked:
        if not event.faults:
            rows.setdefault(event.row["event_id"], event.row)
    return list(rows.values())


def _store(rows: list[dict[str, object]], reporter: Reporter, source: EventSource) -> int:
    with tenant(reporter.organization_id):
        ((accepted, _notified),) = prepared.run(
            _STORE,
            {
                "events": _encoder.encode(rows).decode(),
                "organization": reporter.organization_id,
                "app": reporter.app_id,
                "source": source,
            },
        )
    return int(accepted)
