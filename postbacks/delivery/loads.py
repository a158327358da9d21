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
from collections.abc import Callable, Iterable, Mapping
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
_FRESH_SECONDS = 0.02  # in which the notes are neither written nor read again
_MOST_PUMPS = 64  # of one host
_MOST_NOTED = 32  # organizations in a pump's note
_HEAD = struct.Struct("<d")  # when it was written, by the host's monotonic clock
_LOAD = struct.Struct("<qd")  # an organization and its load
_SIZE = _HEAD.size + _MOST_NOTED * _LOAD.size


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

    An error of the file has each pump serve all.
    """

    slot: int = 0
    pumps: int = 1
    path: Path | None = None
    clock: Callable[[], float] = time.monotonic
    _own: dict[int, tuple[float, float]] = field(default_factory=dict)  # a load, and as of when
    _served: Served = EVERYBODY
    _shared_at: float = -math.inf
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

    def note(self, organizations: Iterable[int], seconds: float) -> None:
        """Count a step's time; an organization is named once for each of its rows in the step."""
        counts = Counter(organizations)
        now = self.clock()
        one = seconds / max(1, counts.total()) * math.log(2) / _HALF_LIFE
        for organization_id, count in counts.items():
            self._own[organization_id] = (self._load(organization_id, now) + count * one, now)

    def divide(self) -> None:
        """Tell the other pumps what was counted, and find out whom to serve."""
        now = self.clock()
        if now - self._shared_at < _FRESH_SECONDS:
            return
        self._shared_at = now
        for organization_id, (_, at) in list(self._own.items()):
            if at < now - _NEIGHBOR_SECONDS:
                del self._own[organization_id]
        loads = Counter({each: self._load(each, now) for each in self._own})
        alive = {self.slot}
        if self._file is not None:
            try:
                os.pwrite(self._file, self._note_of(loads, now), self.slot * _SIZE)
                for slot, others in self._notes_of_others(now).items():
                    alive.add(slot)
                    loads.update(others)
            except OSError:  # the disk is full
                logger.debug("What organizations take could not be shared", exc_info=True)
        self._serve(loads, alive)

    def _load(self, organization_id: int, now: float) -> float:
        load, at = self._own.get(organization_id, (0.0, now))
        return load * math.pow(0.5, (now - at) / _HALF_LIFE)

    def _note_of(self, loads: Mapping[int, float], now: float) -> bytes:
        noted = list(loads.items())
        if len(noted) > _MOST_NOTED:
            noted = nlargest(_MOST_NOTED, noted, key=lambda each: each[1])
        return (_HEAD.pack(now) + b"".join(_LOAD.pack(*each) for each in noted)).ljust(_SIZE, b"\0")

    def _notes_of_others(self, now: float) -> dict[int, dict[int, float]]:
        """Return what other pumps have noted that live, by their slot."""
        notes = {}
        data = os.pread(self._file, self.pumps * _SIZE, 0)  # type: ignore[arg-type]  # it is open
        for slot in range(len(data) // _SIZE):
            note = data[slot * _SIZE : (slot + 1) * _SIZE]
            (at,) = _HEAD.unpack_from(note)
            if slot != self.slot and abs(now - at) < _ALIVE_SECONDS:
                notes[slot] = dict(_LOAD.iter_unpack(note[_HEAD.size :]))
                notes[slot].pop(0, None)
        return notes

    def _serve(self, loads: Mapping[int, float], alive: set[int]) -> None:
        """Divide the pumps if some organizations take much and others little."""
        much = max(_MUCH, _MUCH_OF_MOST * max(loads.values(), default=0.0))
        busy = frozenset(
            each
            for each, load in loads.items()
            if load >= (much / 2 if each in self._served.named else much)  # or it would come and go
        )
        for_busy = {slot for slot in alive if slot < self.pumps // 2}
        if len(busy) == len(loads) or not for_busy or for_busy == alive:
            busy = frozenset()
        self._served = Served(busy, self.slot in for_busy) if busy else EVERYBODY
