"""What the worker does for tests, in its database role and in the test's own thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread

from django.db import connection

from postbacks import pipeline
from postbacks.delivery.http.opening import open_transport
from postbacks.infrastructure.database import roles
from postbacks.insights import exports
from postbacks.models.heartbeats import CLUSTER, WorkerHeartbeat
from postbacks.rulebook import held_postbacks, replaying
from postbacks.rulebook.test_sender import TestSender
from tests import database


@contextmanager
def sending_tests() -> Iterator[None]:
    """Let a worker live that sends tests, in a thread of its own."""
    with database.as_role(roles.WORKER):
        WorkerHeartbeat.beat(CLUSTER)
        in_an_hour = datetime.now(UTC) + timedelta(hours=1)  # however long the tests take
        WorkerHeartbeat.objects.filter(name=CLUSTER).update(beat_at=in_an_hour)
    sender = TestSender()

    def run() -> None:
        try:
            with database.as_role(roles.WORKER):
                sender.run()
        finally:
            connection.close()  # opened again to put the role back

    thread = Thread(target=run)
    thread.start()
    yield
    sender.stop()
    thread.join()


def decide() -> int:
    """Decide one batch of events; return how many it had."""
    with database.as_role(roles.WORKER):
        return pipeline.decide_events()


def decide_all() -> None:
    """Decide events until none waits."""
    with database.as_role(roles.WORKER):
        while pipeline.decide_events():
            pass


def work() -> None:
    """Run the pipeline until nothing waits."""
    with database.as_role(roles.WORKER):
        while pipeline.work():
            pass


def work_on_held(now: datetime | None = None) -> None:
    """Do at a moment what the tasks for held postbacks do, until nothing is left to do."""
    with database.as_role(roles.WORKER):
        held_postbacks.sweep_queue(60)
        held_postbacks.work(60, now=lambda: now or datetime.now(UTC))


def work_on_replays(now: datetime | None = None) -> None:
    """Do at a moment what the task for replays does, until nothing is left to do."""
    with database.as_role(roles.WORKER):
        replaying.work(60, now=lambda: now or datetime.now(UTC))


def work_on_exports(seconds: float = 20.0) -> None:
    """Give the next export one turn, as a worker does."""
    with database.as_role(roles.WORKER), open_transport() as transport:
        exports.work(transport, seconds)
