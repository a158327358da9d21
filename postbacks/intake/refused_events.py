"""② Keeps what the SDK's doors refused: a bounded sample as rows, and counters of all of it.

A public key is in every copy of an app, so nothing here grows with what is sent: of a key at most
`ROWS_PER_SECOND` become rows, of an organization at most `ROWS_PER_DAY`; beyond these only counters
go on. A caller's answer waits for none of it: refusals are put into a bounded queue, and a thread
of the web process writes them about a second later. What the queue can't take is counted.
"""

import atexit
import logging
import os
import time
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from threading import Event, Lock, Thread
from typing import Final, NamedTuple

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import Sum

from apps_registry.tenancy import current_organization, tenant
from postbacks.infrastructure.database.jobs import take_turns
from postbacks.infrastructure.database.outages import is_outage
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.metrics import Counter
from postbacks.intake import masking
from postbacks.intake.events.body import BodyError, parse_json
from postbacks.intake.links.vocabulary import our_name
from postbacks.intake.receipts import FieldError
from postbacks.intake.sdk_keys import KnownKey, Reporter
from postbacks.models import (
    ErasureTombstone,
    RefusalCount,
    RefusalDoor,
    RefusalReason,
    RefusedEvent,
)
from postbacks.models.refused_events import (
    LONGEST_CONTENT,
    LONGEST_POINTER,
    LONGEST_VERSION,
    OTHER,
)
from postbacks.privacy import tombstones
from postbacks.values import identifiers
from postbacks.values.placeholders import is_placeholder
from postbacks.values.uuid7 import uuid7

logger = logging.getLogger(__name__)

ROWS_PER_SECOND: Final = 100  # of a key, in all processes of a server together
ROWS_PER_DAY: Final = 10_000  # of an organization
MOST_WAITING: Final = 2_000  # rows in a process, each of at most some 10 KB
MOST_WAITING_OF_ONE: Final = 1_000  # of one organization
MOST_COUNTERS: Final = 5_000  # different counters that wait in a process
MOST_COUNTERS_A_DAY: Final = 500  # rows of one organization
_PAUSE_SECONDS: Final = 1.0
_MOST_KEYS: Final = 64  # identifiers of one row
_MOST_ITEMS: Final = 100  # of a whole request, whose ids are read
_MOST_ERRORS: Final = 10  # that a row keeps
_MOST_BODY: Final = 256 * 1024  # bytes of a whole request that are read

UNLOGGED = Counter(
    "postbacks_refusals_unlogged",
    "Refused events that could not be counted, by cause.",
    ("cause",),
)

_COUNT = load_sql("postbacks.intake", "count_refusals")


class _CounterKey(NamedTuple):
    """What refusals are counted by."""

    organization_id: int
    app_id: int
    day: date
    reason: str
    pointer: str
    sdk_version: str


@dataclass(frozen=True, slots=True)
class RefusedReport:
    """One item, or a whole request, that was refused, as the door knows it."""

    door: RefusalDoor
    status_code: int
    errors: tuple[FieldError, ...]
    reason: RefusalReason
    index: int | None = None
    item: object = None  # as it arrived; bytes where nothing was read of it
    ids: Mapping[str, object] = field(default_factory=dict)  # by our names, if the item has others


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A row that waits for the writer, with the identifiers that it is found by."""

    key: _CounterKey
    row: RefusedEvent
    identifiers: frozenset[str]


class RefusalLog:
    """The refusals of this process that are not written yet."""

    def __init__(self) -> None:
        self.has_writer = True  # a thread writes; tests call `flush`
        self._lock = Lock()
        self._flushing = Lock()
        self._wakeup = Event()
        self._process = 0
        self.clear()

    def clear(self) -> None:
        """Forget all that waits."""
        self._rows: list[_Waiting] = []
        self._counts: Tally[_CounterKey] = Tally()
        self._of_organization: Tally[int] = Tally()
        self._second = 0
        self._rows_of_key: Tally[int] = Tally()
        self._full: dict[int, date] = {}  # organizations that have their rows of a day

    def add(self, by: KnownKey | Reporter, refusals: Sequence[RefusedReport]) -> None:
        """Take refusals of a key, to be written later. Costs little, however many there are."""
        now = datetime.now(UTC)
        key_id = by.id if isinstance(by, KnownKey) else by.key_id
        for refusal in refusals:
            counter = _counter_key(by, refusal, now)
            waiting = None
            if refusal.reason != RefusalReason.TOO_FAST and self._has_room(counter, key_id, now):
                waiting = _waiting(counter, key_id, refusal, now)
            with self._lock:
                if counter not in self._counts and len(self._counts) >= MOST_COUNTERS:
                    counter = counter._replace(pointer=OTHER, sdk_version=OTHER)
                self._count_within_bounds(counter, 1)
                if waiting is not None:
                    self._rows.append(waiting)
        if self.has_writer:
            self._start_writer()
            self._wakeup.set()

    def _has_room(self, counter: _CounterKey, key_id: int, now: datetime) -> bool:
        """Tell whether a refusal becomes a row, and take the room."""
        most_of_key = max(1, ROWS_PER_SECOND // settings.WEB_CONCURRENCY)
        organization_id = counter.organization_id
        with self._lock:
            second = int(now.timestamp())
            if second != self._second:
                self._second, self._rows_of_key = second, Tally()
            if (
                self._full.get(organization_id) == counter.day
                or self._rows_of_key[key_id] >= most_of_key
                or self._of_organization[organization_id] >= MOST_WAITING_OF_ONE
                or self._of_organization.total() >= MOST_WAITING
            ):
                return False
            self._rows_of_key[key_id] += 1
            self._of_organization[organization_id] += 1
            return True

    def flush(self) -> None:
        """Write all that waits, each organization's in a transaction of its own.

        What can't be written now, since the database is away, is kept as far as there is room.
        """
        with self._flushing:
            with self._lock:
                rows, counts = self._rows, self._counts
                self._rows, self._counts, self._of_organization = [], Tally(), Tally()
            by_organization: dict[int, list[_Waiting]] = defaultdict(list)
            for waiting in rows:
                by_organization[waiting.key.organization_id].append(waiting)
            for organization_id in {key.organization_id for key in counts}:
                own = {k: n for k, n in counts.items() if k.organization_id == organization_id}
                try:
                    self._write(organization_id, by_organization[organization_id], own)
                except DatabaseError as error:
                    logger.warning("Refused events could not be written: %s", error)
                    if is_outage(error):
                        self._put_back(by_organization[organization_id], own)
                    else:  # for example, the organization was just removed
                        UNLOGGED.add(("database",), sum(own.values()))

    def _put_back(self, rows: Sequence[_Waiting], counts: Mapping[_CounterKey, int]) -> None:
        with self._lock:
            for waiting in rows[: MOST_WAITING - len(self._rows)]:
                self._rows.append(waiting)
                self._of_organization[waiting.key.organization_id] += 1
            for key, count in counts.items():
                self._count_within_bounds(key, count)
        self._wakeup.set()

    def _count_within_bounds(self, key: _CounterKey, count: int) -> None:
        """Count refusals until they are written; call it with the lock."""
        if key in self._counts or len(self._counts) < 2 * MOST_COUNTERS:
            self._counts[key] += count
        else:
            UNLOGGED.add(("counters",), count)

    def _write(
        self, organization_id: int, rows: Sequence[_Waiting], counts: Mapping[_CounterKey, int]
    ) -> None:
        with tenant(organization_id):
            take_turns("refused_event")  # two processes would both fill the last rows
            kept = self._within_day(rows)
            for waiting in kept:
                waiting.row.organization_id = organization_id
            for waiting in _without_forgotten(kept):
                waiting.row.keys = sorted(
                    identifiers.key_of(waiting.key.app_id, each) for each in waiting.identifiers
                )
            RefusedEvent.objects.bulk_create([waiting.row for waiting in kept])
            _count(counts, Tally(waiting.key for waiting in kept))

    def _within_day(self, rows: Sequence[_Waiting]) -> list[_Waiting]:
        """Return the rows for which the organization's day has room."""
        rows_kept: list[_Waiting] = []
        for day in sorted({waiting.key.day for waiting in rows}):
            stored = RefusalCount.objects.filter(day=day).aggregate(sum=Sum("kept"))["sum"] or 0
            of_day = [waiting for waiting in rows if waiting.key.day == day]
            room = max(0, ROWS_PER_DAY - stored)
            rows_kept += of_day[:room]
            if len(of_day) >= room:
                self._full[current_organization() or 0] = day
        return rows_kept

    def _start_writer(self) -> None:
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process == os.getpid():
                return
            self._process = os.getpid()  # a forked process has no thread of its parent's
        Thread(target=self._run, name="refused-events", daemon=True).start()
        atexit.register(self._write_rest)

    def _run(self) -> None:
        while True:
            self._wakeup.wait()
            self._wakeup.clear()
            time.sleep(_PAUSE_SECONDS)  # together with those that come meanwhile
            self._write_rest()

    def _write_rest(self) -> None:
        try:
            self.flush()
        except Exception:
            logger.exception("Refused events could not be written.")
        finally:
            connection.close()  # refusals are rare: none is kept for them


log = RefusalLog()


def _counter_key(by: KnownKey | Reporter, refusal: RefusedReport, now: datetime) -> _CounterKey:
    pointer = masking.masked_pointer(refusal.errors[0].pointer) if refusal.errors else ""
    return _CounterKey(
        organization_id=by.organization_id,
        app_id=by.app_id,
        day=now.date(),
        reason=refusal.reason,
        pointer=pointer[:LONGEST_POINTER].replace("\x00", ""),
        sdk_version=_open(refusal, "sdk_version", LONGEST_VERSION),
    )


def _open(refusal: RefusedReport, name: str, longest: int) -> str:
    """Return a field about nobody, of the item or of the first one of its request."""
    for item in _items(refusal):
        value = item.get(name)
        if isinstance(value, str):
            return masking.open_text(name, value).replace("\x00", "")[:longest]
    return ""


def _items(refusal: RefusedReport) -> Iterable[Mapping[str, object]]:
    """Yield the items of a refusal under our names."""
    if refusal.ids:
        yield refusal.ids
        return
    item = getattr(refusal.item, "value", refusal.item)  # of a FlawedItem
    if isinstance(item, Mapping) and refusal.index is None:
        item = next((item[n] for n in ("events", "touchpoints") if n in item), item)
    is_link = refusal.door == RefusalDoor.TOUCHPOINTS
    for each in item[:_MOST_ITEMS] if isinstance(item, list) else [item]:
        if isinstance(each, Mapping):
            yield {our_name(str(k)) or str(k): v for k, v in each.items()} if is_link else each


def _waiting(counter: _CounterKey, key_id: int, refusal: RefusedReport, now: datetime) -> _Waiting:
    is_forgotten = refusal.reason == RefusalReason.DEVICE_FORGOTTEN
    content, is_cut = ("", True) if is_forgotten else _content(refusal.item)
    errors = refusal.errors[:_MOST_ERRORS]
    row = RefusedEvent(
        public_id=uuid7(now),
        app_id=counter.app_id,
        sdk_key_id=key_id,
        received_at=now,
        door=refusal.door,
        status_code=refusal.status_code,
        index=refusal.index,
        reason=refusal.reason,
        pointer=counter.pointer,
        event_name=_open(refusal, "event_name", 64),
        sdk_version=counter.sdk_version,
        errors=_storable(masking.masked_errors(refusal.ids or refusal.item, errors)),
        content=content.replace("\x00", ""),
        is_cut=is_cut,
    )
    return _Waiting(counter, row, frozenset() if is_forgotten else _identifiers(refusal))


def _storable(errors: list[dict[str, str]]) -> list[dict[str, str]]:
    return [
        {name: text[:1_000].replace("\x00", "") for name, text in error.items()} for error in errors
    ]


def _content(item: object) -> tuple[str, bool]:
    if not isinstance(item, bytes):
        return masking.masked_item(item, LONGEST_CONTENT)
    text = item[:LONGEST_CONTENT].decode(errors="replace")
    content = masking.masked_body(text).encode()[:LONGEST_CONTENT].decode(errors="ignore")
    return content, len(item) > LONGEST_CONTENT


def read_refused_body(body: bytes) -> object:
    """Return a refused request's JSON, or the body itself where it is none, or too long."""
    if not body or len(body) > _MOST_BODY:
        return body[:_MOST_BODY]
    try:
        return parse_json(body)
    except BodyError:
        return body


def _identifiers(refusal: RefusedReport) -> frozenset[str]:
    """Return the identifiers by which a refused item is searched and erased."""
    identifiers: set[str] = set()
    for item in _items(refusal):
        identifiers |= set(_identifiers_of(item))
        if len(identifiers) > _MOST_KEYS:
            break
    return frozenset(sorted(identifiers)[:_MOST_KEYS])


def _identifiers_of(item: Mapping[str, object]) -> Iterable[str]:
    params = item.get("params")
    merged = {**params, **item} if isinstance(params, Mapping) else item
    ids = {kind: value for kind, value in merged.items() if isinstance(value, str)}
    yield from tombstones.identifiers_by_kind(ids).values()
    yield from identifiers.hashed_identifiers(ids)
    for name in ("click_id", "transaction_id", "event_id", "touchpoint_id"):
        value = ids.get(name, "").strip()
        if value and not is_placeholder(value):
            text = value.lower() if name.endswith(("event_id", "touchpoint_id")) else value
            yield f"{name}:{text}"
    for value in ids.values():
        if hashed := identifiers.hash_identifier(value):
            yield hashed


def _without_forgotten(rows: Sequence[_Waiting]) -> list[_Waiting]:
    """Empty the rows that name a forgotten device; return the others."""
    key = tombstones.find_key(current_organization() or 0)
    if key is None:
        return list(rows)
    digests = {
        waiting.row.public_id: tombstones.digests(key, waiting.key.app_id, waiting.identifiers)
        for waiting in rows
    }
    wanted_digests = {digest for own in digests.values() for digest in own}
    blocked = {
        str(digest)
        for digest in ErasureTombstone.objects.filter(digest__in=wanted_digests).values_list(
            "digest", flat=True
        )
    }
    others = []
    for waiting in rows:
        if blocked.isdisjoint(digests[waiting.row.public_id]):
            others.append(waiting)
        else:
            waiting.row.content, waiting.row.is_cut = "", True
    return others


def _count(refused: Mapping[_CounterKey, int], kept: Mapping[_CounterKey, int]) -> None:
    """Add to the organization's counters; beyond `MOST_COUNTERS_A_DAY` to one for each reason."""
    for day in {key.day for key in refused}:
        stored = set(
            RefusalCount.objects.filter(day=day).values_list(
                "app_id", "reason", "pointer", "sdk_version"
            )
        )
        sums: dict[tuple[int, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
        for key in refused:
            if key.day != day:
                continue
            name = (key.app_id, str(key.reason), key.pointer, key.sdk_version)
            if name not in stored and len(stored) >= MOST_COUNTERS_A_DAY:
                name = (key.app_id, str(key.reason), OTHER, OTHER)
            stored.add(name)
            sums[name][0] += refused[key]
            sums[name][1] += kept.get(key, 0)
        columns = [list(column) for column in zip(*sums, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(
                _COUNT,
                {
                    "organization": current_organization(),
                    "day": day,
                    "apps": columns[0],
                    "reasons": columns[1],
                    "pointers": columns[2],
                    "versions": columns[3],
                    "refused": [numbers[0] for numbers in sums.values()],
                    "kept": [numbers[1] for numbers in sums.values()],
                },
            )
