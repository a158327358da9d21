"""Heartbeats of workers, for the supervisor and `/readyz`."""

import os

from django.db import connection, models

CLUSTER = "cluster"


class WorkerHeartbeat(models.Model):
    """The last heartbeat of one part of a cluster, named `worker:part`. Of no tenant.

    Every cluster updates the row `cluster`: it shows that any is alive.
    """

    name = models.CharField(max_length=255, primary_key=True)
    beat_at = models.DateTimeField()
    stop_requested = models.BooleanField(default=False)
    pid = models.IntegerField(default=0)

    class Meta:
        db_table = "worker_heartbeat"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def beat(cls, name: str) -> bool:
        """Save a heartbeat; tell whether this part was requested to stop."""
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO worker_heartbeat (name, beat_at, stop_requested, pid) "
                "VALUES (%s, now(), false, %s) "
                "ON CONFLICT (name) DO UPDATE SET beat_at = now(), pid = excluded.pid "
                "RETURNING stop_requested",
                [name, os.getpid()],
            )
            return bool(cursor.fetchone()[0])

    @classmethod
    def request_stop(cls, prefix: str) -> None:
        """Request all parts with this prefix to stop, and wake waiting ones."""
        cls.objects.filter(name__startswith=prefix).update(stop_requested=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify('postbacks_work', '')")

    @classmethod
    def ages(cls, prefix: str) -> dict[str, float]:
        """Return the seconds since each part's last heartbeat."""
        with connection.cursor() as cursor:
            # The database's clock on both sides: a host's own may be off.
            cursor.execute(
                "SELECT name, extract(epoch FROM now() - beat_at) FROM worker_heartbeat "
                "WHERE starts_with(name, %s)",
                [prefix],
            )
            return {name: float(age) for name, age in cursor.fetchall()}

    @classmethod
    def forget(cls, *, older_than: float) -> None:
        """Delete the rows of clusters that ended so many seconds ago."""
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM worker_heartbeat WHERE beat_at < now() - make_interval(secs => %s)",
                [older_than],
            )
