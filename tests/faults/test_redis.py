"""With Redis as the queue: a killed pump comes back, and a killed Redis loses no event.

One demo lives through both, and in the end it must stop in order.
"""

from collections.abc import Iterator

import psutil
import pytest

from tests.faults.demo_process import DemoProcess, DemoRuns
from tests.faults.test_sigkill import accepted_keys, query, report_purchase
from tests.redis_server import RedisServer, needs_redis, running

pytestmark = needs_redis


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """Run a Redis that the demo uses."""
    with running() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_URL", server.url)
        yield server


def pumps(demo: DemoProcess) -> set[int]:
    """Return the processes in which a pump gave a sign of life in the last seconds."""
    rows = query(
        demo.folder,
        "SELECT pid FROM worker_heartbeat WHERE name LIKE '%pump:%'"
        " AND beat_at > now() - interval '3 seconds'",
    )
    return {int(str(pid)) for (pid,) in rows}


def purchase_is_delivered(demo: DemoProcess, *, seconds: float) -> None:
    before = len(accepted_keys(demo))
    report_purchase(demo)
    demo.wait_for(lambda: len(accepted_keys(demo)) > before, seconds=seconds)


def test_a_killed_pump_comes_back_although_its_task_is_lost(
    redis_server: RedisServer, demos: DemoRuns
) -> None:
    demo = demos.running()
    ((tasks_in_postgres,),) = query(demo.folder, "SELECT count(*) FROM django_q_ormq")
    demo.wait_for(lambda: len(pumps(demo)) == 2, seconds=64)
    killed = pumps(demo)

    for pid in killed:
        psutil.Process(pid).kill()

    demo.wait_for(lambda: len(pumps(demo) - killed) == 2, seconds=64)
    purchase_is_delivered(demo, seconds=60)
    assert len(killed) == 2
    assert tasks_in_postgres == 0


def test_events_are_taken_while_redis_is_away_and_sent_when_it_is_back(
    redis_server: RedisServer, demos: DemoRuns
) -> None:
    demo = demos.running()
    before = len(accepted_keys(demo))

    redis_server.kill()
    report_purchase(demo)
    for process in demo.cluster():  # the pumps too: nothing but rows is left
        process.kill()
    report_purchase(demo)
    redis_server.start()

    demo.wait_for(lambda: len(accepted_keys(demo)) >= before + 2, seconds=90)
    assert demo.stop() == 0
