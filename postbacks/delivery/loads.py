"""⑦ Says whom a pump works for while one organization would keep all pumps of this host busy.

Pumps note what each organization takes of their time, in a file that those of a host share. While
some take much and others little, half of the pumps serve the former and the other half the latter:
whoever has little to send never waits for a step of somebody's backlog. Alone, an organization has
all pumps.
"""

import logging
import math
import os
import struct
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import nlargest
from pathlib import Path
from typing import Final, NamedTuple

logger = logging.getLogger(__name__)

_HALF_LIFE = 2.0  # seconds in which half of a load is forgotten
_MUCH = 0.15  # of one pump's time: whoever takes less is in nobody's way
_MUCH_OF_MOST = 2 / 3  # ... and whoever takes less than this part of the largest load takes little
_NEIGHBOR_SECONDS = 30.0  # since it last had something, an organization is one with little
_ALIVE_SECONDS = 2.5  # since a pump's last note: one that sleeps wakes for its heartbeats
_FRESH_SECONDS = 0.005  # in which the notes are neither written nor read again
_MOST_PUMPS = 64  # of one host
_MOST_NOTED = 32  # organizations in a pump's note
_HEAD = struct.Struct("<d")  # when it was written, by the host's monotonic clock
_WORK = struct.Struct("<d")  # since when a pump works for those with little; 0 while it sleeps
_WORK_SECONDS = 0.1  # after which nobody gives way any more
_LOAD = struct.Struct("<qd?")  # an organization, its load, and whether it takes much
_SIZE = _HEAD.size + _WORK.size + _MOST_NOTED * _LOAD.size


class Served(NamedTuple):
    """Whom a pump works for: only the named organizations, or all but these."""

    named: frozenset[int] = frozenset()
    are_served: bool = False

    def __contains__(self, organization_id: object) -> bool:
        return (organization_id in self.named) == self.are_served


EVERYBODY: Final = Served()


@dataclass(slots=True)
class Loads:
    """What organizations take of the time of a host's pumps, and whom this pump serves therefore.

    A pump that takes another's place goes on with its note: the division would be lost otherwise.
    An error of the file has each pump serve all.
    """

    slot: int = 0
    pumps: int = 1
    path: Path | None = None
    clock: Callable[[], float] = time.monotonic
    _own: dict[int, tuple[float, float]] = field(default_factory=dict)  # a load, and as of when
    _served: Served = EVERYBODY
    _shared_at: float = -math.inf
    _noted_at: float = -math.inf  # as of when this pump's note in the file is
    _is_leaving: bool = False
    _works_since: float = 0.0
    _file: int | None = None

    def __post_init__(self) -> None:
        if self.path is None or not 0 <= self.slot < self.pumps <= _MOST_PUMPS:
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            logger.warning("Every pump of this host works for all organizations: %s", error)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @property
    def served(self) -> Served:
        """Return whom this pump works for now."""
        return self._served

    @property
    def are_divided(self) -> bool:
        """Tell whether some organizations take much while others, who take little, are there."""
        return self._served is not EVERYBODY

    @property
    def serves_busy(self) -> bool:
        """Tell whether this pump works for organizations that take much of its time."""
        return self._served.are_served or not self.are_divided

    def begin_work(self) -> None:
        """Have pumps with a backlog give way, if this one serves those with little beside them."""
        if not self.serves_busy and not self._works_since:
            self._note_work(self.clock())

    def end_work(self) -> None:
        if self._works_since:
            self._note_work(0.0)

    def must_give_way(self) -> bool:
        """Tell whether this pump has a backlog's work while another has that of others."""
        if self._file is None or not self._served.are_served:
            return False
        try:
            data = os.pread(self._file, self.pumps * _SIZE, 0)
        except OSError:
            return False
        now = self.clock()
        return any(
            0 <= now - _WORK.unpack_from(data, start + _HEAD.size)[0] < _WORK_SECONDS
            for start in range(0, len(data) - _SIZE + 1, _SIZE)
        )

    def _note_work(self, since: float) -> None:
        self._works_since = since
        if self._file is not None and not self._is_leaving:
            with suppress(OSError):  # the disk is full
                os.pwrite(self._file, _WORK.pack(since), self.slot * _SIZE + _HEAD.size)

    def leave(self) -> None:
        """Write no more notes: a successor writes its own in their place."""
        self._is_leaving = True

    @property
    def is_relieved(self) -> bool:
        """Tell whether a successor serves in this pump's place; True if nobody can know."""
        if self._file is None:
            return True
        try:
            note = os.pread(self._file, _HEAD.size, self.slot * _SIZE)
        except OSError:
            return True
        return len(note) < _HEAD.size or _HEAD.unpack(note)[0] != self._noted_at

    def note(self, organizations: Iterable[int], seconds: float) -> None:
        """Count a step's time; an organization is named once for each of its rows in the step."""
        counts = Counter(organizations)
        now = self.clock()
        step = seconds / max(1, counts.total()) * math.log(2) / _HALF_LIFE
        for organization_id, count in counts.items():
            self._own[organization_id] = (self._load(organization_id, now) + count * step, now)

    def divide(self) -> None:
        """Tell the other pumps what was counted, and find out whom to serve."""
        now = self.clock()
        if now - self._shared_at < _FRESH_SECONDS or self._is_leaving:
            return
        is_new, self._shared_at = self._shared_at == -math.inf, now
        notes = self._read_notes(now)
        noted = notes.pop(self.slot, None)
        if is_new and noted is not None:
            self._own = {each: (load, now) for each, load in noted[0].items()}
            self._serve(noted[1], {self.slot, *notes})
        self._own = {
            each: load for each, load in self._own.items() if load[1] >= now - _NEIGHBOR_SECONDS
        }
        loads = Counter({each: self._load(each, now) for each in self._own})
        own = dict(loads)
        busy_by_slot: dict[int, frozenset[int]] = {}
        for slot, (others, busy) in notes.items():
            busy_by_slot[slot] = busy
            loads.update(others)
        # The first that lives decides for all: with views of their own, they could leave an
        # organization to each other.
        first = min(busy_by_slot, default=self.slot)
        busy = busy_by_slot[first] if first < self.slot else self._busy_of(loads)
        self._serve(busy, {self.slot, *busy_by_slot})
        if self._file is not None:
            try:
                os.pwrite(self._file, self._note_of(own, busy, now), self.slot * _SIZE)
                self._noted_at = now
            except OSError:  # the disk is full
                logger.debug("What organizations take could not be shared", exc_info=True)

    def _load(self, organization_id: int, now: float) -> float:
        load, at = self._own.get(organization_id, (0.0, now))
        return load * math.pow(0.5, (now - at) / _HALF_LIFE)

    def _note_of(self, loads: Mapping[int, float], busy: Collection[int], now: float) -> bytes:
        noted = {**dict.fromkeys(busy, 0.0), **loads}
        if len(noted) > _MOST_NOTED:
            most = nlargest(_MOST_NOTED, noted, key=lambda each: (each in busy, noted[each]))
            noted = {each: noted[each] for each in most}
        entries = [_LOAD.pack(each, load, each in busy) for each, load in noted.items()]
        head = _HEAD.pack(now) + _WORK.pack(self._works_since)
        return (head + b"".join(entries)).ljust(_SIZE, b"\0")

    def _read_notes(self, now: float) -> dict[int, tuple[dict[int, float], frozenset[int]]]:
        """Return what pumps that live have noted, by their slot: loads, and who is busy."""
        notes: dict[int, tuple[dict[int, float], frozenset[int]]] = {}
        if self._file is None:
            return notes
        try:
            data = os.pread(self._file, self.pumps * _SIZE, 0)
        except OSError:
            logger.debug("What organizations take could not be read", exc_info=True)
            return notes
        for slot in range(len(data) // _SIZE):
            note = data[slot * _SIZE : (slot + 1) * _SIZE]
            (at,) = _HEAD.unpack_from(note)
            if abs(now - at) < _ALIVE_SECONDS:
                noted = _LOAD.iter_unpack(note[_HEAD.size + _WORK.size :])
                entries = [each for each in noted if each[0]]
                loads = {organization_id: load for organization_id, load, _ in entries}
                notes[slot] = (loads, frozenset(each for each, _, is_busy in entries if is_busy))
        return notes

    def _busy_of(self, loads: Mapping[int, float]) -> frozenset[int]:
        """Return the organizations that take much; none if all do."""
        much = max(_MUCH, _MUCH_OF_MOST * max(loads.values(), default=0.0))
        busy = [
            each
            for each, load in loads.items()
            if load >= (much / 2 if each in self._served.named else much)  # or it would flicker
        ]
        if len(busy) == len(loads):
            return frozenset()
        return frozenset(nlargest(_MOST_NOTED, busy, key=lambda each: loads[each]))

    def _serve(self, busy: frozenset[int], alive: Set[int]) -> None:
        """Serve the busy ones or all others, if there are pumps for both."""
        for_busy = {slot for slot in alive if slot < self.pumps // 2}
        if busy and for_busy and for_busy != alive:
            self._served = Served(busy, self.slot in for_busy)
        else:
            self._served = EVERYBODY
