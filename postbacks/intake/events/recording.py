"""② Records events: each is checked on its own, all good ones are stored by one statement.

Nothing is answered before the commit, and a commit holds the event, its key and its place in the
queue of undecided events together.
"""

import itertools
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Final

import msgspec

from apps_registry.tenancy import tenant
from postbacks.infrastructure import loop_requests
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.metrics import Counter
from postbacks.intake.events.body import BodyError, read_events
from postbacks.intake.events.device_clock import ClockError, DeviceClock
from postbacks.intake.events.fields import EXACT
from postbacks.intake.events.validation import CheckedEvent, EventChecker, keep_order
from postbacks.intake.group_commit import GroupCommit, run_for_organizations
from postbacks.intake.receipts import (
    FieldError,
    FieldWarning,
    Receipt,
    Rejection,
    json_pointer,
)
from postbacks.intake.sdk_keys import Reporter
from postbacks.models import EventSource
from postbacks.models.heartbeats import Channel
from postbacks.privacy import tombstones
from postbacks.values.identifiers import AS_WRITTEN, written_identifier

DEVICE_FORGOTTEN = (
    "The device with this ID was forgotten on request; nothing is kept of it any more."
)

# What is larger is read one at a time, and is not committed with what is small.
FEW_EVENTS: Final = 16
SMALL_BODY_BYTES: Final = 64 * 1024

EVENTS = Counter(
    "postbacks_events",
    "Events that were reported: taken, duplicates of taken ones, and rejected ones.",
    ("source", "result"),
)

# A number stays a number with all its digits, also in `params`.
_encoder = msgspec.json.Encoder(decimal_format="number")

_PACKAGE = "postbacks.intake.events"
_ROWS = load_sql(_PACKAGE, "read_rows")
_READ = load_sql(_PACKAGE, "read_reports", read_rows=_ROWS)
_READ_WITH_DIGESTS = load_sql(_PACKAGE, "read_reports_with_digests", read_rows=_ROWS)
_RECORD = load_sql(_PACKAGE, "record_events", Channel, read_reports=_READ)
# Of an organization that has forgotten devices, whose ids are to be found in new events.
_RECORD_UNLESS_FORGOTTEN = load_sql(
    _PACKAGE, "record_events", Channel, read_reports=_READ_WITH_DIGESTS
)

# What most events of a commit have in common is sent once: to read it with each of them takes
# PostgreSQL as long as to index one. A single event would rather have it with itself.
_USUAL = (
    *("request", "app_id", "source", "event_name", "event_time", "bundle_id", "platform"),
    *("customer_user_id", "currency"),
)
_ENOUGH_FOR_USUAL = 4


def record_events(body: bytes, *, encoding: str, reporter: Reporter) -> Receipt:
    """Record the events of a request's body durably.

    Raises BodyError when the whole request is refused, and Django's OperationalError when the
    database is away; in both cases nothing was stored.
    """
    loop_requests.gather()
    source = EventSource.SERVER if reporter.is_server else EventSource.SDK
    is_large = len(body) > SMALL_BODY_BYTES
    with _one_is_read if is_large else nullcontext():
        parsed = read_events(body, encoding=encoding, exact=EXACT)
        try:
            clock = DeviceClock.read(parsed.sent_at, now=datetime.now(UTC))
        except ClockError as error:
            raise BodyError(422, f"The request's sent_at is wrong: {error.detail}") from None
        checked = _check(parsed.events, EventChecker(reporter, clock, parsed.text))
    return _record(parsed.events, checked, reporter, source, is_large=is_large)


def record_parsed_events(
    events: Sequence[object], *, reporter: Reporter, source: EventSource
) -> Receipt:
    """Record events that the caller has parsed.

    Raises Django's OperationalError when the database is away; then nothing was stored.
    """
    checked = _check(events, EventChecker(reporter, DeviceClock(datetime.now(UTC))))
    return _record(events, checked, reporter, source)


def _check(events: Sequence[object], checker: EventChecker) -> list[CheckedEvent]:
    checked = list(map(checker.check, events))
    if len(checked) > 1 and any(event.is_time_corrected for event in checked):
        keep_order(checked)
    return checked


def _record(
    events: Sequence[object],
    checked: Sequence[CheckedEvent],
    reporter: Reporter,
    source: EventSource,
    *,
    is_large: bool = False,
) -> Receipt:
    is_large = is_large or len(checked) > FEW_EVENTS
    stored = _store(checked, reporter, source, commits=_large_commits if is_large else _commits)
    receipt = _receipt(events, checked, stored)
    for result, count in (("duplicate", receipt.duplicates), ("rejected", len(receipt.rejected))):
        if count:
            EVENTS.add((source.value, result), count)
    return receipt


def _receipt(events: Sequence[object], checked: Sequence[CheckedEvent], stored: int) -> Receipt:
    ids: list[str | None] = []
    rejected: list[Rejection] = []
    warnings: list[FieldWarning] = []
    remarks: list[FieldWarning] = []
    for index, event in enumerate(checked):
        if event.errors:
            ids.append(None)
            rejected.append(Rejection(index, tuple(event.errors), events[index]))
            continue
        ids.append(str(event.row["event_id"]))
        for name, detail in event.warnings.items():
            is_left_out = name in event.left_out_ids
            warnings.append(FieldWarning(index, json_pointer(name), detail, is_left_out))
        for remark in event.remarks:
            remarks.append(FieldWarning(index, remark.pointer, remark.detail))
    return Receipt(
        accepted=stored,
        duplicates=len(ids) - len(rejected) - stored,
        rejected=tuple(rejected),
        ids=tuple(ids),
        warnings=(*warnings, *remarks),
    )


def _store(
    checked: Sequence[CheckedEvent],
    reporter: Reporter,
    source: EventSource,
    *,
    commits: "_Commits",
) -> int:
    """Store the events without errors; return how many were new. Refuse those of forgotten devices.

    Events that share an id within the request are stored once, the first of them.
    """
    good: dict[object, CheckedEvent] = {}
    for event in checked:
        if not event.errors:
            good.setdefault(event.row["event_id"], event)
    if not good:
        return 0
    report = _Report(reporter.organization_id, reporter.app_id, source, list(good.values()))
    stored, forgotten = commits.commit(report)
    if not forgotten:
        return stored
    for event in checked:
        if not event.errors and (blocked := forgotten.get(str(event.row["event_id"]))):
            event.errors += [
                FieldError(f"/{kind}", DEVICE_FORGOTTEN)
                for kind, identifier in _identifiers(event)
                if identifier in blocked
            ] or [FieldError("/event_id", DEVICE_FORGOTTEN)]  # another event with this id is its
    return stored


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


_numbers = itertools.count(1)


@dataclass(slots=True)
class _Report:
    """The good events of one request, to be stored together with other requests'."""

    organization_id: int
    app_id: int
    source: EventSource
    events: Sequence[CheckedEvent]
    number: int = field(default_factory=lambda: next(_numbers))
    identifiers: dict[str, str] = field(default_factory=dict)  # by the digests that were asked

    def rows(self, key: bytes | None) -> list[dict[str, object]]:
        """Return the events as rows; `key` is that of the organization's forgotten devices."""
        own = {"request": self.number, "app_id": self.app_id, "source": self.source}
        for event in self.events:
            event.row |= own
            if key is not None:
                digests = tombstones.digests(
                    key, self.app_id, {identifier for _, identifier in _identifiers(event)}
                )
                self.identifiers |= digests
                event.row["digests"] = list(digests)
        return [event.row for event in self.events]


def _write(reports: Sequence[_Report]) -> list[tuple[int, Mapping[str, set[str]]]]:
    """Commit reports; return of each how many events were new, and ids of forgotten devices.

    The latter by event, for events that were not stored.
    """
    by_organization: dict[int, list[_Report]] = {}
    for report in reports:
        by_organization.setdefault(report.organization_id, []).append(report)
    stored: dict[int, int] = {}
    forgotten: dict[int, dict[str, set[str]]] = {report.number: {} for report in reports}
    keys = {each: tombstones.known_key(each) for each in by_organization}
    while by_organization:
        answers = run_for_organizations(
            {
                each: _RECORD if keys[each] is None else _RECORD_UNLESS_FORGOTTEN
                for each in by_organization
            },
            {
                each: {
                    "organization": each,
                    **_as_json([row for report in own for row in report.rows(keys[each])]),
                }
                for each, own in by_organization.items()
            },
        )
        for organization_id, ((counts, blocked, has_key, _notified),) in answers.items():
            if (
                has_key and keys[organization_id] is None
            ):  # its first device was forgotten meanwhile
                with tenant(organization_id):
                    keys[organization_id] = tombstones.find_key(organization_id)
                continue
            own = {report.number: report for report in by_organization.pop(organization_id)}
            stored |= msgspec.json.decode(counts or "{}", type=dict[int, int])
            for number, event_id, digests in msgspec.json.decode(blocked or "[]"):
                identifiers = own[number].identifiers
                forgotten[number][event_id] = {identifiers[digest] for digest in digests}
    _count_taken(reports, stored)
    return [(stored.get(report.number, 0), forgotten[report.number]) for report in reports]


def _as_json(rows: list[dict[str, object]]) -> dict[str, str]:
    """Return rows as `read_rows.sql` reads them: what is usual, and what each row has besides."""
    usual: dict[str, object] = {}
    if len(rows) >= _ENOUGH_FOR_USUAL:
        usual = {name: rows[0][name] for name in _USUAL}
        rows = [_unusual(row, usual) for row in rows]
    return {"usual": _encoder.encode(usual).decode(), "events": _encoder.encode(rows).decode()}


def _unusual(row: dict[str, object], usual: Mapping[str, object]) -> dict[str, object]:
    own = row.copy()
    for name, value in usual.items():
        if own[name] == value:
            del own[name]  # quicker than to make a row of the rest
    return own


def _count_taken(reports: Sequence[_Report], stored: Mapping[int, int]) -> None:
    taken: Tally[str] = Tally()
    for report in reports:
        taken[report.source.value] += stored.get(report.number, 0)
    for source, count in taken.items():
        if count:
            EVENTS.add((source, "taken"), count)


_Commits = GroupCommit[_Report, tuple[int, Mapping[str, set[str]]]]
_commits: _Commits = GroupCommit(_write)
_large_commits: _Commits = GroupCommit(_write)  # a single event waits for none of these
_one_is_read = Lock()  # else several large reports would have the processor in turn, before others
