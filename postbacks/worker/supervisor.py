"""Keeps a django-q2 cluster working: watches its heartbeats and restarts it when it is wedged.

Killing two idle workers of django-q2 leaves a lock of `multiprocessing.Queue` locked for ever: the
workers come back, no task is ever taken again, and the cluster does not even stop. The cluster
can't notice that from inside, so heartbeat rows read from outside decide, and SIGKILL ends the
whole group.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from redis import RedisError

from postbacks.delivery.dead_pumps import is_gone, return_claims_of_dead_pumps
from postbacks.infrastructure.database import partitions
from postbacks.infrastructure.database.outages import is_outage
from postbacks.infrastructure.processes import die_with_parent
from postbacks.models.heartbeats import CLUSTER, Heartbeat, WorkerHeartbeat
from postbacks.worker import task_queue, tasks

logger = logging.getLogger(__name__)

CHECK_SECONDS = 0.5
REPLACE_SECONDS = 8.0  # a pump that did not begin in this time is asked for again
FROZEN_SECONDS = 8.0  # a pump silent so long is killed: another one goes on
WEDGED_SECONDS = 18.0  # tasks not done for so long: the cluster is ended and started again
STUCK_SECONDS = 2.0  # a look at the cluster that took so long says nothing about the cluster
GRACE_SECONDS = 18.0  # longer than one request may take
LAST_SECONDS = 3.0  # for django-q2 to end on its own once no pump runs any more
_HEARTBEAT_KEPT_SECONDS = 600.0


@dataclass(slots=True)
class Supervisor:
    """Runs one cluster until it is asked to stop."""

    name: str
    _cluster: subprocess.Popen[bytes] | None = None
    _stopping: bool = False
    _is_waiting: bool = False  # for a server that is away
    _looked_at: float = 0.0  # when the look at the cluster began
    _counts_from: float = 0.0  # silence before this moment does not count
    _enqueued_at: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        """Start the cluster and watch it; return once it has stopped."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        while not self._stopping:
            self._looked_at = time.monotonic()
            try:
                self._check_cluster()
                self._is_waiting = False
            except DatabaseError as error:
                if not is_outage(error):
                    raise
                self._wait_for("The database", error)
                connection.close()
            except RedisError as error:
                self._wait_for("Redis", error)
            time.sleep(CHECK_SECONDS)
        self._stop()

    def _wait_for(self, server: str, error: Exception) -> None:
        """Say once that a server is away; the silence meanwhile is not the cluster's."""
        if not self._is_waiting:
            logger.warning("%s can't be reached; the cluster waits: %s", server, error)
        self._is_waiting = True
        self._forgive_silence()

    def _forgive_silence(self) -> None:
        self._counts_from = time.monotonic()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self) -> None:
        partitions.ensure_partitions()
        WorkerHeartbeat.forget(older_than=_HEARTBEAT_KEPT_SECONDS)
        WorkerHeartbeat.objects.filter(
            name__startswith=f"{self.name}:", claims__isnull=True
        ).delete()
        return_claims_of_dead_pumps()  # ours, if this is a restart
        task_queue.drop_waiting_tasks(cluster=self.name)
        self._enqueued_at = {}
        self._forgive_silence()
        self._cluster = subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"],
            cwd=settings.BASE_DIR,
            env={**os.environ, "WORKER_NAME": self.name, "SUPERVISOR_PID": str(os.getpid())},
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
        for slot in range(settings.PUMPS):
            self._start_pump(slot)

    def _check_cluster(self) -> None:
        """Start what is silent or gone, and enqueue the periodic tasks."""
        if self._cluster is None:
            self._start()
            return
        if self._cluster.poll() is not None:
            logger.error("The cluster has ended; it is started again")
            self._end_group()
            self._start()
            return
        for periodic in tasks.PERIODIC:
            every = periodic.every.total_seconds()
            if self._is_time_for(periodic.task, every=every) and periodic.is_needed():
                task_queue.enqueue(periodic.task, cluster=self.name)
        beats = WorkerHeartbeat.latest(f"{self.name}:")
        for slot in range(settings.PUMPS):
            self._watch_pump(
                slot, [beat for beat in beats if beat.name.startswith(f"{self.name}:pump:{slot}:")]
            )
        ages = [beat.age for beat in beats if beat.name == f"{self.name}:{CLUSTER}"]
        if self._silence(ages) > WEDGED_SECONDS:
            logger.error("No task was done for %.0f s; the cluster restarts", self._silence(ages))
            self._stop()
            self._start()

    def _watch_pump(self, slot: int, beats: Sequence[Heartbeat]) -> None:
        """Kill a slot's pump that hangs, and start one where none works.

        Only the one that hangs is killed: to stop all of them would stop delivery.
        """
        alive = []
        for beat in beats:
            if is_gone(beat):
                self._enqueued_at.pop(f"pump:{slot}", None)  # its successor starts at once
                return_claims_of_dead_pumps()
            elif self._silence([beat.age]) <= FROZEN_SECONDS:
                alive.append(beat)
            else:
                self._kill(beat)
        if not alive:
            self._start_pump(slot)

    def _kill(self, beat: Heartbeat) -> None:
        with suppress(ProcessLookupError):
            if self._cluster and os.getpgid(beat.pid) == self._cluster.pid:
                logger.error("“%s” has been silent for %.0f s; it is killed", beat.name, beat.age)
                os.kill(beat.pid, signal.SIGKILL)

    def _silence(self, ages: Sequence[float]) -> float:
        """Return the seconds since the last of some heartbeats, as far as silence counts.

        What held this look, such as a database that stalls, held the cluster's heartbeats too.
        """
        if time.monotonic() - self._looked_at > STUCK_SECONDS:
            self._forgive_silence()
        return min([*ages, time.monotonic() - self._counts_from])

    def _start_pump(self, slot: int) -> None:
        if self._is_time_for(f"pump:{slot}", every=REPLACE_SECONDS):
            task_queue.enqueue("run_pump", slot, cluster=self.name)

    def _is_time_for(self, task: str, *, every: float) -> bool:
        """Tell whether a task was last enqueued so many seconds ago, and note that it is now."""
        now = time.monotonic()
        if now - self._enqueued_at.get(task, -every) < every:
            return False
        self._enqueued_at[task] = now
        return True

    def _stop(self) -> None:
        """Let the pumps finish what they are sending, then end every process of the cluster."""
        self._request_stop()
        if self._cluster is not None and self._cluster.poll() is None:
            self._cluster.terminate()
            self._wait_for_pumps()
        self._end_group()

    def _wait_for_pumps(self) -> None:
        """Give the pumps their time, and the rest of the cluster, which may be wedged, a moment."""
        ends_at = time.monotonic() + GRACE_SECONDS
        while self._cluster and self._cluster.poll() is None and time.monotonic() < ends_at:
            self._request_stop()  # again: a pump may have been handed its slot meanwhile
            if not self._is_pump_running():
                ends_at = min(ends_at, time.monotonic() + LAST_SECONDS)
            time.sleep(0.1)

    def _request_stop(self) -> None:
        try:
            WorkerHeartbeat.request_stop(f"{self.name}:pump")
        except DatabaseError as error:
            if not is_outage(error):
                raise
            connection.close()  # the pumps will notice on their own

    def _is_pump_running(self) -> bool:
        try:
            ages = WorkerHeartbeat.ages(f"{self.name}:pump").values()
            return any(age <= FROZEN_SECONDS for age in ages)
        except DatabaseError as error:
            if not is_outage(error):
                raise
            connection.close()
            return True

    def _end_group(self) -> None:
        if self._cluster is None:
            return
        with suppress(ProcessLookupError):  # all of them may have ended already
            os.killpg(self._cluster.pid, signal.SIGKILL)
        self._cluster.wait()
        self._cluster = None
