"""Keeps a django-q2 cluster working: watches its signs of life and restarts it when it is wedged.

Killing two idle workers of django-q2 leaves a lock of `multiprocessing.Queue` held for ever: the
workers come back, no task is ever taken again, and the cluster does not even stop. It can't be
seen from inside, so rows that are looked at from outside decide, and SIGKILL ends the whole group.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from redis import RedisError

from postbacks.infrastructure.database import partitions
from postbacks.infrastructure.processes import die_with_parent
from postbacks.models.heartbeats import CLUSTER, WorkerHeartbeat
from postbacks.worker import tasks

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
ASK_SECONDS = 4.0  # how often the cluster must show that it takes tasks
REPLACE_SECONDS = 8.0  # a pump silent so long gets a successor
WEDGED_SECONDS = 18.0  # a part silent so long means the cluster is ended and started anew
GRACE_SECONDS = 18.0  # longer than one request may take
LAST_SECONDS = 3.0  # for django-q2 to end by itself once no pump runs any more
HOUSEKEEPING_SECONDS = 3600.0
NOTICE_SECONDS = 30.0  # how soon owners are told of a suspended rule
FORGETTING_SECONDS = 10.0  # how soon a device is forgotten that somebody asked to forget
CLAIMS_SECONDS = 2.0  # how soon Apple is asked about an install
_FORGET_SECONDS = 600.0


@dataclass(slots=True)
class Supervisor:
    """Runs one cluster until it is asked to stop."""

    name: str
    _cluster: subprocess.Popen[bytes] | None = None
    _stopping: bool = False
    _counts_from: float = 0.0  # silence before this moment is nobody's fault
    _asked_at: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        """Start the cluster and look after it; return once it has stopped."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        partitions.ensure_partitions()
        WorkerHeartbeat.forget(older_than=_FORGET_SECONDS)
        while not self._stopping:
            try:
                self._look()
            except (OperationalError, InterfaceError) as error:
                logger.warning("The database can't be reached; the cluster waits: %s", error)
                self._counts_from = time.monotonic()
                connection.close()
            except RedisError as error:
                logger.warning("Redis can't be reached; the cluster waits: %s", error)
                self._counts_from = time.monotonic()
            time.sleep(LOOK_SECONDS)
        self._stop()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self) -> None:
        WorkerHeartbeat.objects.filter(name__startswith=f"{self.name}:").delete()
        tasks.forget_waiting_tasks(cluster=self.name)
        self._asked_at = {}
        self._counts_from = time.monotonic()
        self._cluster = subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"],
            cwd=settings.BASE_DIR,
            env={**os.environ, "WORKER_NAME": self.name, "SUPERVISOR_PID": str(os.getpid())},
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
        for slot in range(settings.PUMPS):
            self._start_pump(slot)

    def _look(self) -> None:
        """Do what the signs of life call for."""
        if self._cluster is None:
            self._start()
            return
        if self._cluster.poll() is not None:
            logger.error("The cluster has ended by itself; it is started anew")
            self._end_group()
            self._start()
            return
        self._ask("beat", ASK_SECONDS, lambda: tasks.ask_for_beat(cluster=self.name))
        self._ask(
            "housekeeping",
            HOUSEKEEPING_SECONDS,
            lambda: tasks.start_housekeeping(cluster=self.name),
        )
        self._ask("notice", NOTICE_SECONDS, lambda: tasks.start_notice(cluster=self.name))
        self._ask(
            "forgetting",
            FORGETTING_SECONDS,
            lambda: tasks.start_forgetting(cluster=self.name),
        )
        self._ask("claims", CLAIMS_SECONDS, lambda: tasks.start_claims(cluster=self.name))
        silences = self._silences()
        for slot in range(settings.PUMPS):
            if silences[f"pump:{slot}"] > REPLACE_SECONDS:
                self._start_pump(slot)
        part, silence = max(silences.items(), key=lambda item: item[1])
        if silence > WEDGED_SECONDS:
            logger.error("“%s” has been silent for %.0f s; the cluster restarts", part, silence)
            self._stop()
            self._start()

    def _silences(self) -> dict[str, float]:
        """Return for each part of the cluster how long it has been silent, in seconds."""
        ages = WorkerHeartbeat.ages(f"{self.name}:")
        longest = time.monotonic() - self._counts_from
        parts = [CLUSTER, *(f"pump:{slot}" for slot in range(settings.PUMPS))]
        return {part: min(ages.get(f"{self.name}:{part}", longest), longest) for part in parts}

    def _start_pump(self, slot: int) -> None:
        self._ask(
            f"pump:{slot}", REPLACE_SECONDS, lambda: tasks.start_pump(slot, cluster=self.name)
        )

    def _ask(self, what: str, every: float, ask: Callable[[], None]) -> None:
        """Ask the cluster for something unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._asked_at.get(what, -every) >= every:
            self._asked_at[what] = now
            ask()

    def _stop(self) -> None:
        """Let the pumps finish what they are sending, then end every process of the cluster."""
        try:
            WorkerHeartbeat.request_stop(f"{self.name}:pump")
        except (OperationalError, InterfaceError):
            connection.close()  # the pumps will find out by themselves
        if self._cluster is not None and self._cluster.poll() is None:
            self._cluster.terminate()
            self._wait_for_pumps()
        self._end_group()

    def _wait_for_pumps(self) -> None:
        """Give the pumps their time, and the rest of the cluster, which may be wedged, a moment."""
        ends_at = time.monotonic() + GRACE_SECONDS
        while self._cluster and self._cluster.poll() is None and time.monotonic() < ends_at:
            if not self._a_pump_runs():
                ends_at = min(ends_at, time.monotonic() + LAST_SECONDS)
            time.sleep(0.1)

    def _a_pump_runs(self) -> bool:
        try:
            return bool(WorkerHeartbeat.ages(f"{self.name}:pump"))
        except (OperationalError, InterfaceError):
            connection.close()
            return True

    def _end_group(self) -> None:
        if self._cluster is None:
            return
        with suppress(ProcessLookupError):  # all of them may have ended already
            os.killpg(self._cluster.pid, signal.SIGKILL)
        self._cluster.wait()
        self._cluster = None
