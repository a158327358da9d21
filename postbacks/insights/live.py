"""What happens now: the newest events and postbacks of the organizations that somebody watches.

Each web process keeps a ring of rows per watched organization. Whoever asks for an organization
whose ring is older than a second reads what came since, in the transaction of that organization, so
that PostgreSQL itself lets in no other's rows; all others get what is there, at once. So any number
of open pages costs one reading a second, and nobody waits.

A page names the moment of its last answer and gets what a ring has seen since. A row that two
processes see at different times may come twice; its key tells the page so.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from itertools import chain, islice
from threading import Lock
from typing import ClassVar
from uuid import UUID

import msgspec

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import fetch_rows
from postbacks.models import PostbackStatus
from postbacks.privacy.device_marks import load_marks, mark_of
from postbacks.privacy.tombstones import CUSTOMER, ID_KINDS, id_identifier, identifiers_by_kind

READ_EVERY = 1.0  # seconds
MOST_READ = 2_000  # rows of a kind in one reading
MOST_KEPT = 4_000
MOST_RINGS = 500  # of a process; the one that nobody has asked for longest goes first
KEPT_WHEN_QUIET = 100
MOST_ANSWERS = 20  # of a reading that are kept: what pages ask for whose filters are the same
_KEPT_SECONDS = 15.0  # pages ask every three seconds, but not always the same process
_KEPT_QUIET_SECONDS = 600.0
_UNWATCHED_SECONDS = 60.0
_LOOKBACK = timedelta(days=4)  # after some 73 hours the usual retries have ended
_LONG_VISIBLE = 5.0  # seconds: by then a row can be seen
_LATE = timedelta(seconds=2)  # transactions become visible in another order than their rows' times
_DECIDED_LATE = timedelta(seconds=10)

_READ_EVENTS = load_sql("postbacks.insights", "read_live_events")
_READ_POSTBACKS = load_sql("postbacks.insights", "read_live_postbacks", PostbackStatus)


class LiveKind(StrEnum):
    """What a page may show alone."""

    EVENT = "event"
    POSTBACK = "postback"


@dataclass(frozen=True)
class LiveRow:
    """What events and postbacks have in common here. `ids` is JSON: the ids of the device."""

    id: int
    at: datetime
    event_name: str
    app_id: int | None
    app: str
    device: str
    ids: str | None
    customer_user_id: str

    @cached_property
    def _device_ids(self) -> Mapping[str, object]:
        ids: dict[str, object] = msgspec.json.decode(self.ids) if self.ids else {}
        return {**ids, CUSTOMER: self.customer_user_id} if self.customer_user_id else ids

    @cached_property
    def identifiers(self) -> frozenset[str]:
        """Return the identifiers of the device."""
        return frozenset(identifiers_by_kind(self._device_ids).values())

    def mark(self, marks: Mapping[UUID, str]) -> str:
        """Return the name under which the device is marked for tests, "" for any other."""
        return mark_of(self._device_ids, marks) if marks else ""


@dataclass(frozen=True)
class LiveEvent(LiveRow):
    """An event that came."""

    revenue: Decimal | None
    currency: str
    kind: ClassVar[LiveKind] = LiveKind.EVENT

    @property
    def key(self) -> str:
        return f"event-{self.id}"

    @property
    def visible_by(self) -> float:
        return self.at.timestamp() + _LONG_VISIBLE


@dataclass(frozen=True)
class LivePostback(LiveRow):
    """An attempt; or a postback without one, skipped or put off: then its id is negative."""

    postback_id: int
    test: bool
    rule_id: int
    rule: str
    partner_id: int | None
    partner: str
    outcome: str
    status_code: int | None
    error: str
    number: int
    duration_ms: int
    reason: str
    kind: ClassVar[LiveKind] = LiveKind.POSTBACK

    @property
    def key(self) -> str:
        return f"postback-{self.id}"

    @property
    def visible_by(self) -> float:
        return self.at.timestamp() + self.duration_ms / 1_000 + _LONG_VISIBLE


@dataclass(slots=True, eq=False)
class SeenRow:
    """A row of a ring, the moment when the ring saw it, and its device's mark.

    `html` is how pages show it, which is made once.
    """

    row: LiveEvent | LivePostback
    seen_at: float
    test_device: str
    html: str = ""


@dataclass(frozen=True, slots=True)
class LiveSearch:
    """What of an organization's stream a page shows. `device` has an id as every kind of id."""

    app_id: int | None = None
    event_name: str = ""
    rule_id: int | None = None
    partner_id: int | None = None
    device: frozenset[str] | None = None
    kind: str = ""

    def matches(self, row: LiveEvent | LivePostback) -> bool:
        return (
            (not self.kind or self.kind == row.kind)
            and (self.app_id is None or row.app_id == self.app_id)
            and (not self.event_name or row.event_name == self.event_name)
            and (self.rule_id is None or getattr(row, "rule_id", None) == self.rule_id)
            and (self.partner_id is None or getattr(row, "partner_id", None) == self.partner_id)
            and (self.device is None or not self.device.isdisjoint(row.identifiers))
        )


def identifiers_of_text(text: str) -> frozenset[str] | None:
    """Return the identifiers that an id of a device may stand for; None for an empty text."""
    return frozenset(id_identifier(kind, text) for kind in ID_KINDS) if text else None


@dataclass(frozen=True)
class Stream:
    """What a ring holds, newest first, and until when. `cut_at`: more had come than was read."""

    rows: tuple[SeenRow, ...] = ()
    seen_until: float = 0.0
    cut_at: float = 0.0
    _answers: dict[tuple[LiveSearch, float], bytes] = field(default_factory=dict)

    def answer(self, search: LiveSearch, *, after: float, make: Callable[[float], bytes]) -> bytes:
        """Return what a search finds after a moment as `make` wrote it for the first who asked.

        The rows came with few readings: pages that asked between the same two have one answer.
        """
        after = max((moment for moment in self._readings if moment <= after), default=0.0)
        answer = self._answers.get((search, after))
        if answer is None:
            if len(self._answers) >= MOST_ANSWERS:
                self._answers.clear()
            answer = self._answers[search, after] = make(after)
        return answer

    @cached_property
    def _readings(self) -> frozenset[float]:
        return frozenset({self.cut_at, *(row.seen_at for row in self.rows)})

    def newer(self, search: LiveSearch, *, than: float, most: int) -> tuple[SeenRow, ...]:
        """Return the rows of a search that were seen after a moment, newest first."""
        recent = (row for row in self.rows if row.seen_at > than)
        return tuple(islice((row for row in recent if search.matches(row.row)), most))


def newest_answers(rule_ids: Sequence[int], *, most: int) -> list[SeenRow]:
    """Return the newest attempts of some rules, among the organization's newest MOST_READ."""
    now = datetime.now(UTC)
    rows = fetch_rows(
        LivePostback,
        _READ_POSTBACKS,
        since=now - _LOOKBACK,
        decided_since=now,
        after=0,
        known=[],
        id_kinds=list(ID_KINDS),
        rules=list(rule_ids),
        most=MOST_READ,
        most_shown=most,
    )
    marks = load_marks() if rows else {}
    return [SeenRow(row, 0.0, row.mark(marks)) for row in rows]


@dataclass(slots=True)
class Ring:
    """One organization's newest rows."""

    stream: Stream = field(default_factory=Stream)
    asked_at: float = 0.0
    _read_at: float = -READ_EVERY
    _events: dict[int, datetime] = field(default_factory=dict)  # those that a reading finds again
    _attempts: dict[int, float] = field(default_factory=dict)  # by id: when they were read
    _undelivered: dict[int, datetime] = field(default_factory=dict)
    _newest_event: datetime | None = None
    _settled_attempt: int = 0  # none that is missing has a lower id
    _reading: Lock = field(default_factory=Lock)

    def renew(self, organization_id: int, *, waits: bool) -> None:
        """Read what came, unless that was done within a second or somebody is just doing it."""
        if time.monotonic() - self._read_at < READ_EVERY:
            return
        if not self._reading.acquire(blocking=waits):
            return
        try:
            if time.monotonic() - self._read_at >= READ_EVERY:
                with tenant(organization_id):
                    self._read()
                self._read_at = time.monotonic()
        finally:
            self._reading.release()

    def _read(self) -> None:
        begun_at, now = time.time(), datetime.now(UTC)
        most = MOST_READ if self.stream.seen_until else KEPT_WHEN_QUIET
        since = self._newest_event - _LATE if self._newest_event else now - _LOOKBACK
        decided_since = now - _DECIDED_LATE
        self._forget_older(since, decided_since, begun_at)
        events = fetch_rows(
            LiveEvent,
            _READ_EVENTS,
            since=since,
            known=list(self._events),
            id_kinds=list(ID_KINDS),
            most=most,
        )
        postbacks = fetch_rows(
            LivePostback,
            _READ_POSTBACKS,
            since=now - _LOOKBACK,
            decided_since=decided_since,
            after=self._settled_attempt,
            known=[*self._attempts, *self._undelivered],
            id_kinds=list(ID_KINDS),
            rules=None,
            most=most,
            most_shown=None,
        )
        self._remember(events, postbacks, begun_at)
        is_cut = most == MOST_READ and most in {len(events), len(postbacks)}
        self.stream = self._with([*events, *postbacks], begun_at, is_cut=is_cut)

    def _forget_older(self, since: datetime, decided_since: datetime, now: float) -> None:
        """Forget the ids that the next reading can't find again."""
        self._events = {id_: at for id_, at in self._events.items() if at > since}
        self._undelivered = {id_: at for id_, at in self._undelivered.items() if at > decided_since}
        settled = [id_ for id_, at in self._attempts.items() if at < now - _LATE.total_seconds()]
        self._settled_attempt = max([*settled, self._settled_attempt])
        self._attempts = {
            id_: at for id_, at in self._attempts.items() if id_ > self._settled_attempt
        }

    def _remember(
        self, events: Sequence[LiveEvent], postbacks: Sequence[LivePostback], now: float
    ) -> None:
        for event in events:
            self._events[event.id] = event.at
            self._newest_event = max(event.at, self._newest_event or event.at)
        for postback in postbacks:
            if postback.id < 0:
                self._undelivered[postback.id] = postback.at
            else:
                self._attempts[postback.id] = now

    def _with(
        self, rows: Sequence[LiveEvent | LivePostback], seen_at: float, *, is_cut: bool
    ) -> Stream:
        marks = load_marks() if rows else {}
        ordered = sorted(rows, key=lambda row: row.at, reverse=True)
        # What a first reading finds was there before: a page that waits for news has seen it.
        is_first = not self.stream.seen_until
        fresh = [
            SeenRow(row, min(seen_at, row.visible_by) if is_first else seen_at, row.mark(marks))
            for row in ordered
        ]
        remaining = (
            seen
            for number, seen in enumerate(self.stream.rows)
            if seen_at - seen.seen_at
            < (_KEPT_QUIET_SECONDS if number + len(fresh) < KEPT_WHEN_QUIET else _KEPT_SECONDS)
        )
        all_rows = tuple(islice(chain(fresh, remaining), MOST_KEPT))
        return Stream(all_rows, seen_at, seen_at if is_cut else self.stream.cut_at)


class Rings:
    """The rings of a process, by organization."""

    def __init__(self) -> None:
        self._rings: OrderedDict[int, Ring] = OrderedDict()
        self._lock = Lock()

    def stream_of(self, organization_id: int, *, waits: bool = False) -> Stream:
        """Return an organization's stream, not older than a second unless somebody reads just now.

        With `waits` a reading under way is waited for.
        """
        ring = self._ring_of(organization_id)
        ring.renew(organization_id, waits=waits)
        return ring.stream

    def _ring_of(self, organization_id: int) -> Ring:
        now = time.monotonic()
        with self._lock:
            ring = self._rings.setdefault(organization_id, Ring())
            ring.asked_at = now
            self._rings.move_to_end(organization_id)
            while (
                len(self._rings) > MOST_RINGS
                or next(iter(self._rings.values())).asked_at < now - _UNWATCHED_SECONDS
            ):
                self._rings.popitem(last=False)
            return ring


rings = Rings()
