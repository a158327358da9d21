"""⑦ Gives a dead pump's claims back within seconds, and not only when their leases end.

The ids of a pump's claims begin alike, and its heartbeat names that beginning. A pump is dead if
its process is gone from this host, or if it is silent for a while and its database session, which
holds a lock, has ended: one that only lost its connection is back within the grace.
A request that a dead pump may have sent gets a row in the log. Which ones these are it noted in a
file that outlives it; without that file all of its claims count as sent.
"""

import logging
import mmap
import os
import socket
import struct
import time
import uuid
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction

from postbacks.delivery.attempt_reports import report_interrupted
from postbacks.delivery.outcome import Outcome
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql, within_days
from postbacks.infrastructure.processes import is_running
from postbacks.models.days import whole_days
from postbacks.models.figures import FigureKind
from postbacks.models.heartbeats import Heartbeat, WorkerHeartbeat, wake_pumps

logger = logging.getLogger(__name__)

GRACE_SECONDS = 4.0  # of silence; a pump beats once a second, and reconnects within one
_MOST_BEGUN = 16_384
_HEADER = 64  # bytes: the boot's id, and from byte 48 on a flag
_JOURNAL_KEPT = 86_400.0  # seconds since a pump wrote into it or began
_LOCK = 7_001  # the first key of the locks that pumps hold while they live

_LOCK_CLAIMS = load_sql("postbacks.delivery", "lock_claims_of_pump")
_LOG_INTERRUPTED = load_sql("postbacks.delivery", "log_interrupted", FigureKind, Outcome)
_AGAIN_SECONDS = 60.0  # until the next attempt at what was interrupted twice
_DIED = "The worker ended while this request was on its way. The partner may have received it."
_FELL_SILENT = (
    "The worker did not finish this request in its time. The partner may have received it."
)


class BegunRequests:
    """The postbacks whose request may be on the wire and is not logged yet.

    Pages of a mapped file outlive their process, whatever kills it, but not the machine: the file
    names the boot that it is good for. Without a path nothing outlives the process.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._pages = _mapped(path, _HEADER + 8 * _MOST_BEGUN)
        self._pages[: len(_boot_id())] = _boot_id()
        self._free = deque(range(_MOST_BEGUN))
        # Of one postback there are two if its lease has ended, and this pump claimed it again.
        self._places: dict[int, list[int]] = {}

    def add(self, postback_id: int) -> None:
        try:
            place = self._free.popleft()
        except IndexError:
            self._pages[48] = 1  # from now on the file proves nothing
            return
        self._places.setdefault(postback_id, []).append(place)
        struct.pack_into("<q", self._pages, _HEADER + 8 * place, postback_id)

    def discard(self, postback_id: int) -> None:
        places = self._places.get(postback_id)
        if not places:
            return
        place = places.pop()
        if not places:
            del self._places[postback_id]
        struct.pack_into("<q", self._pages, _HEADER + 8 * place, 0)
        self._free.append(place)

    def close(self) -> None:
        """Forget all: the pump has ended and logged what it began."""
        self._pages.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _mapped(path: Path | None, size: int) -> mmap.mmap:
    if path is not None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("w+b") as file:
                file.write(bytes(size))  # not a hole: on a full disk, to fill it would kill us
                file.flush()
                return mmap.mmap(file.fileno(), size)
        except OSError as error:
            logger.warning("If this pump dies, all that it had claimed counts as sent: %s", error)
    return mmap.mmap(-1, size)


def read_begun(path: Path) -> set[int] | None:
    """Return the ids that a dead process noted, None where it can't be known."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    boot_id = _boot_id()
    if not boot_id or content[: len(boot_id)] != boot_id or content[48] or len(content) <= _HEADER:
        return None
    return {number for (number,) in struct.iter_unpack("<q", content[_HEADER:]) if number}


@cache
def _boot_id() -> bytes:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()[:36]
    return b""


@dataclass(frozen=True, slots=True)
class ClaimIds:
    """The ids of one pump's claims: they begin like `first`."""

    first: uuid.UUID

    @classmethod
    def make(cls) -> "ClaimIds":
        return cls(uuid.UUID(bytes=os.urandom(8) + bytes(8)))

    @property
    def last(self) -> uuid.UUID:
        return uuid.UUID(bytes=self.first.bytes[:8] + b"\xff" * 8)

    @property
    def journal(self) -> Path:
        """Return where the pump notes what it began, for others on the same host."""
        return settings.DATA_DIR / "pumps" / self.first.hex[:16]

    def next(self) -> uuid.UUID:
        return uuid.UUID(bytes=self.first.bytes[:8] + os.urandom(8))

    @property
    def lock_key(self) -> int:
        return int.from_bytes(self.first.bytes[:4], signed=True)

    def hold_lock(self) -> bool:
        """Show others that this pump's database session lives. The lock ends with the session.

        False: the session before, or a process that judges this pump, still has it.
        """
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK, self.lock_key])
            return bool(cursor.fetchone()[0])

    def release_lock(self) -> None:
        if connection.connection is None:
            return  # the lock has gone with its connection
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK, self.lock_key])


@dataclass(frozen=True, slots=True)
class InterruptedClaim:
    """A claimed postback that its worker has not finished, and will not."""

    claim_id: uuid.UUID
    organization_id: int
    postback_id: int
    event_received_at: datetime
    rule_id: int
    kind: str
    pinned_version: int | None
    claimed_at: datetime


def return_claims_of_dead_pumps(*, watched_for: float = 0.0) -> int:
    """Return what dead pumps had claimed to the queue, due now; return how many that were.

    `watched_for` says for how many seconds the caller has been connected to the database: after
    an outage the others get their grace before their silence counts.
    """
    judges_silence = watched_for > GRACE_SECONDS
    return sum(
        _return_claims(beat)
        for beat in WorkerHeartbeat.pumps()
        if is_gone(beat) or (judges_silence and beat.age > GRACE_SECONDS)
    )


def is_gone(beat: Heartbeat) -> bool:
    """Tell whether a part's process has certainly ended: it ran on this host, and runs no more."""
    return beat.name.startswith(f"{socket.gethostname()}-") and not is_running(beat.pid)


@transaction.atomic
def _return_claims(beat: Heartbeat) -> int:
    if beat.claims is None:
        return 0
    ids = ClaimIds(beat.claims)
    with connection.cursor() as cursor:
        # Not while its session lives. Of two that find the same dead pump, one gets the row.
        cursor.execute(
            "SELECT FROM worker_heartbeat WHERE name = %s AND claims = %s"
            " AND pg_try_advisory_xact_lock(%s, %s) FOR UPDATE SKIP LOCKED",
            [beat.name, beat.claims, _LOCK, ids.lock_key],
        )
        if cursor.fetchone() is None:
            return 0
        claims = prepared.fetch(
            InterruptedClaim,
            _LOCK_CLAIMS,
            {"lease": settings.LEASE_SECONDS, "first_claim": ids.first, "last_claim": ids.last},
        )
        begun = read_begun(ids.journal)
        sent = [claim for claim in claims if begun is None or claim.postback_id in begun]
        again = _log_interrupted(sent, _DIED)
        cursor.execute(
            "UPDATE due_postback SET claim_id = NULL, due_at = now()"
            " + CASE WHEN postback_id = ANY(%s) THEN make_interval(secs => %s) ELSE '0' END"
            " WHERE postback_id = ANY(%s) AND claim_id BETWEEN %s AND %s",
            [
                *(again, _AGAIN_SECONDS),
                *([claim.postback_id for claim in claims], ids.first, ids.last),
            ],
        )
        cursor.execute("DELETE FROM worker_heartbeat WHERE name = %s", [beat.name])
    wake_pumps()
    transaction.on_commit(lambda: ids.journal.unlink(missing_ok=True))
    logger.warning(
        "%s has died: of %d claimed postbacks it may have sent %d; all are in the queue again",
        *(beat.name, len(claims), len(sent)),
    )
    return len(claims)


def log_lapsed(claims: Sequence[InterruptedClaim]) -> None:
    """Log what workers may have sent that live, or lived, and did not finish within their lease.

    Call this before such a claim is taken over: what its worker says later is not logged.
    """
    begun: dict[Path, set[int] | None] = {}
    for path in {ClaimIds(claim.claim_id).journal for claim in claims}:
        begun[path] = read_begun(path)
    _log_interrupted(
        [
            claim
            for claim in claims
            if (noted := begun[ClaimIds(claim.claim_id).journal]) is None
            or claim.postback_id in noted
        ],
        _FELL_SILENT,
    )


def _log_interrupted(claims: Sequence[InterruptedClaim], detail: str) -> list[int]:
    """Log them, and return the ids of those that were interrupted before: they may kill pumps."""
    if not claims:
        return []
    first, last = whole_days([claim.event_received_at for claim in claims])
    logged = prepared.run(
        within_days(_LOG_INTERRUPTED, first, last),
        {
            "organizations": [claim.organization_id for claim in claims],
            "postbacks": [claim.postback_id for claim in claims],
            "moments": [claim.event_received_at for claim in claims],
            "rules": [claim.rule_id for claim in claims],
            "kinds": [claim.kind for claim in claims],
            "pins": [claim.pinned_version for claim in claims],
            "claimed": [claim.claimed_at for claim in claims],
            "detail": detail,
        },
    )
    report_interrupted([(claim.organization_id, claim.kind) for claim in claims])
    return [postback_id for postback_id, was_interrupted_before in logged if was_interrupted_before]


def delete_old_journals() -> None:
    """Delete the journals of dead pumps whose claims another host has returned."""
    known = {beat.claims.hex[:16] for beat in WorkerHeartbeat.pumps() if beat.claims}
    folder = settings.DATA_DIR / "pumps"
    for path in folder.glob("*") if folder.is_dir() else ():
        with suppress(OSError):
            if path.name not in known and time.time() - path.stat().st_mtime > _JOURNAL_KEPT:
                path.unlink()
