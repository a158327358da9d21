"""Heartbeats of workers, for the supervisor, `/readyz`, and the return of a dead pump's claims.

The channel that wakes pumps is here as well.
"""

import os
import time
import uuid
from dataclasses import dataclass
from enum import StrEnum

from django.db import connection, models

from postbacks.infrastructure.database import database_clock

CLUSTER = "cluster"
HEARTBEAT_SECONDS = 30  # a cluster that is silent for longer does not live
WRITE_PROBE = "readyz"  # no part of a cluster: the row that `/readyz` writes


class Channel(StrEnum):
    """What PostgreSQL's notifications come on."""

    WORK = "postbacks_work"  # a payload, if any, has one pump of each host look, and else all


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last heartbeat of a part: its age in seconds by the database's clock, and its process."""

    name: str
    age: float
    pid: int
    claims: uuid.UUID | None


def wake_pumps() -> None:
    """Tell all pumps, once this transaction is committed, that something is due."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [Channel.WORK.value])


class WorkerHeartbeat(models.Model):
    """The last heartbeat of one part of a cluster, named `worker:part`. Of no tenant.

    Every cluster updates the row `cluster`: it shows that any is alive.
    """

    name = models.CharField(max_length=255, primary_key=True)
    beat_at = models.DateTimeField()
    stop_requested = models.BooleanField(default=False)
    pid = models.IntegerField(default=0)
    claims = models.UUIDField(null=True)  # a pump's: its claims' ids begin like this one

    class Meta:
        db_table = "worker_heartbeat"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def is_any_alive(cls) -> bool:
        """Tell whether a cluster lives that could do what is asked of workers."""
        age = cls.ages(CLUSTER).get(CLUSTER)
        return age is not None and age <= HEARTBEAT_SECONDS

    @classmethod
    def beat(cls, name: str, claims: uuid.UUID | None = None) -> bool:
        """Save a heartbeat; tell whether this part was requested to stop."""
        asked_at = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO worker_heartbeat (name, beat_at, stop_requested, pid, claims) "
                "VALUES (%s, now(), false, %s, %s) "
                "ON CONFLICT (name) DO UPDATE "
                "SET beat_at = now(), pid = excluded.pid, claims = excluded.claims,"
                # Another pump of the same name was asked, of a process with this one's number.
                " stop_requested = worker_heartbeat.stop_requested"
                " AND worker_heartbeat.claims IS NOT DISTINCT FROM excluded.claims "
                "RETURNING stop_requested, clock_timestamp()",
                [name, os.getpid(), claims],
            )
            stop_requested, at = cursor.fetchone()
        database_clock.note(at, asked_at=asked_at, answered_at=time.monotonic())
        return bool(stop_requested)

    @classmethod
    def request_stop(cls, prefix: str) -> None:
        """Request all parts with this prefix to stop, and wake waiting ones.

        Call it again while any runs: one may only begin after the first request.
        """
        beats = cls.objects.filter(name__startswith=prefix, stop_requested=False)
        if not beats.update(stop_requested=True):
            return
        wake_pumps()

    @classmethod
    def latest(cls, prefix: str) -> list[Heartbeat]:
        """Return the last heartbeat of each part with this prefix."""
        with connection.cursor() as cursor:
            # The database's clock on both sides: a host's own may be off.
            cursor.execute(
                "SELECT name, extract(epoch FROM clock_timestamp() - beat_at)::float8, pid, claims"
                " FROM worker_heartbeat WHERE starts_with(name, %s)",
                [prefix],
            )
            return [Heartbeat(*row) for row in cursor.fetchall()]

    @classmethod
    def pumps(cls) -> list[Heartbeat]:
        """Return the last heartbeats of all clusters' pumps, dead ones included."""
        return [beat for beat in cls.latest("") if beat.claims is not None]

    @classmethod
    def ages(cls, prefix: str) -> dict[str, float]:
        """Return the seconds since each part's last heartbeat."""
        return {beat.name: beat.age for beat in cls.latest(prefix)}

    @classmethod
    def forget(cls, *, older_than: float) -> None:
        """Delete the rows of clusters that ended so many seconds ago, save those of their pumps.

        A pump's row goes when its claims have been returned to the queue.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM worker_heartbeat"
                " WHERE beat_at < now() - make_interval(secs => %s) AND claims IS NULL",
                [older_than],
            )
