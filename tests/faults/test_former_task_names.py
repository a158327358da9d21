"""A plain django-q2 cluster, without our supervisor, that finds tasks of the version before."""

import os
import pydoc
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django_q.tasks import async_task

from postbacks.infrastructure.database import roles
from postbacks.models.heartbeats import CLUSTER, WorkerHeartbeat
from postbacks.worker import tasks
from tests import database

pytestmark = pytest.mark.django_db(transaction=True)

QUEUE = "updated"
FORMER_NAMES = {
    "pump": tasks.run_pump,
    "beat": tasks.beat,
    "housekeeping": tasks.tidy_up,
    "notice": tasks.enqueue_notices,
    "tell_of_suspension": tasks.notify_of_suspension,
    "forget_devices": tasks.erase_devices,
    "claims": tasks.ask_apple,
}


@pytest.fixture
def plain_cluster() -> Iterator[subprocess.Popen[bytes]]:
    """Run `manage.py qcluster` on the tests' database."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "qcluster"],
        cwd=settings.BASE_DIR,
        env=database.environment() | {"WORKER_NAME": QUEUE},
        start_new_session=True,
    )
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for_heartbeats(*names: str) -> None:
    deadline = time.monotonic() + 60
    while not all(WorkerHeartbeat.ages(name) for name in names):
        assert time.monotonic() < deadline, f"Not within a minute: {names}"
        time.sleep(0.1)


def test_tasks_queued_under_their_former_names_are_run(
    plain_cluster: subprocess.Popen[bytes],
) -> None:
    with database.as_role(roles.WORKER):
        async_task("postbacks.tasks.pump", 0, cluster=QUEUE)
        async_task("postbacks.tasks.beat", cluster=QUEUE)

        wait_for_heartbeats(f"{QUEUE}:pump:0:", f"{QUEUE}:{CLUSTER}")

    assert plain_cluster.poll() is None


@pytest.mark.parametrize("name", FORMER_NAMES)
def test_django_q_finds_each_former_name(name: str) -> None:
    assert pydoc.locate(f"postbacks.tasks.{name}") is FORMER_NAMES[name]
