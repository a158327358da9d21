"""② Records events: each is checked on its own, all good ones are stored by one statement.

Nothing is answered before the commit, and a commit holds the event, its key and its place in the
queue of undecided events together.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.metrics import Counter
from postbacks.intake.events.body import BodyError, read_events
from postbacks.intake.events.device_clock import ClockError, DeviceClock
from postbacks.intake.events.fields import EXACT
from postbacks.intake.events.validation import CheckedEvent, check_event, keep_order
from postbacks.intake.receipts import (
    FieldError,
    FieldWarning,
    Receipt,
    Rejection,
    json_pointer,
)
from postbacks.intake.sdk_keys import Reporter
from postbacks.models import EventSource
from postbacks.privacy import tombstones
from postbacks.values.identifiers import AS_WRITTEN, written_identifier

DEVICE_FORGOTTEN = (
    "The device with this ID was forgotten on request; nothing is kept of it any more."
)

EVENTS = Counter(
    "postbacks_events",
    "Events that were reported: taken, duplicates of taken ones, and rejected ones.",
    ("source", "result"),
)

# A number stays a number with all its digits, also in `params`.
_encoder = msgspec.json.Encoder(decimal_format="number")

_RECORD = load_sql("postbacks.intake.events", "record_events")


def record_events(body: bytes, *, encoding: str, reporter: Reporter) -> Receipt:
    """Record the events of a request's body durably.

    Raises BodyError when the whole request is refused, and Django's OperationalError when the
    database is away; in both cases nothing was stored.
    """
    source = EventSource.SERVER if reporter.is_server else EventSource.SDK
    events, sent_at = read_events(body, encoding=encoding, exact=EXACT)
    return record_parsed_events(events, reporter=reporter, source=source, sent_at=sent_at)


def record_parsed_events(
    events: Sequence[object], *, reporter: Reporter, source: EventSource, sent_at: object = None
) -> Receipt:
    """Record events that the caller has parsed; `sent_at` is the whole request's.

    Raises BodyError (422) for a wrong `sent_at`, and Django's OperationalError when the database
    is away; then nothing was stored.
    """
    now = datetime.now(UTC)
    try:
        clock = DeviceClock.read(sent_at, now=now)
    except ClockError as error:
        raise BodyError(422, f"The request's sent_at is wrong: {error.detail}") from None
    checked = [
        check_event(event, reporter=reporter, now=now, request_clock=clock) for event in events
    ]
    if len(checked) > 1 and any(event.is_time_corrected for event in checked):
        keep_order(checked)
    _refuse_blocked_devices(checked, reporter)
    rows = _rows_to_store(checked)
    stored = _store(rows, reporter, source) if rows else 0
    accepted = sum(not event.errors for event in checked)
    results = {
        "taken": stored,
        "duplicate": accepted - stored,
        "rejected": len(checked) - accepted,
    }
    for result, count in results.items():
        if count:
            EVENTS.add((source.value, result), count)
    return Receipt(
        accepted=stored,
        duplicates=accepted - stored,
        rejected=tuple(
            Rejection(index, tuple(event.errors))
            for index, event in enumerate(checked)
            if event.errors
        ),
        ids=tuple(None if event.errors else str(event.row["event_id"]) for event in checked),
        warnings=tuple(
            FieldWarning(index, json_pointer(name), detail)
            for index, event in enumerate(checked)
            if not event.errors
            for name, detail in event.warnings.items()
        )
        + tuple(
            FieldWarning(index, remark.pointer, remark.detail)
            for index, event in enumerate(checked)
            if not event.errors
            for remark in event.remarks
        ),
    )


def _refuse_blocked_devices(events: Sequence[CheckedEvent], reporter: Reporter) -> None:
    """Add an error to each event of a forgotten device, at every id that is blocked."""
    identifiers = {
        identifier for event in events if not event.errors for _, identifier in _identifiers(event)
    }
    if not identifiers:
        return
    with tenant(reporter.organization_id):
        blocked = tombstones.blocked_identifiers(
            reporter.organization_id, reporter.app_id, identifiers
        )
    if not blocked:
        return
    for event in events:
        if not event.errors:
            event.errors += [
                FieldError(f"/{kind}", DEVICE_FORGOTTEN)
                for kind, identifier in _identifiers(event)
                if identifier in blocked
            ]


def _identifiers(event: CheckedEvent) -> list[tuple[str, str]]:
    """Return the kinds and identifiers of an event's ids; an oddly written one has two."""
    fields = event.row.get("fields")
    ids = dict(fields) if isinstance(fields, Mapping) else {}
    ids[tombstones.CUSTOMER] = event.row.get("customer_user_id") or None
    named = [*tombstones.identifiers_by_kind(ids).items()]
    written = ids.get(AS_WRITTEN)
    if isinstance(written, Mapping):
        named += [(kind, written_identifier(kind, value)) for kind, value in written.items()]
    return named


def _rows_to_store(checked: Sequence[CheckedEvent]) -> list[dict[str, object]]:
    """Return the rows without errors, the first of each event id."""
    rows: dict[object, dict[str, object]] = {}
    for event in checked:
        if not event.errors:
            rows.setdefault(event.row["event_id"], event.row)
    return list(rows.values())


def _store(rows: list[dict[str, object]], reporter: Reporter, source: EventSource) -> int:
    with tenant(reporter.organization_id):
        ((stored, _notified),) = prepared.run(
            _RECORD,
            {
                "events": _encoder.encode(rows).decode(),
                "organization": reporter.organization_id,
                "app": reporter.app_id,
                "source": source,
            },
        )
    return int(stored)
