"""SIGKILL to everything, and to parts: nothing accepted is lost, little is sent twice.

The demo that has come back from the first kill lives through the next, and must then stop in order.
"""

import json
import urllib.request
from pathlib import Path

import psutil
import psycopg
from django.conf import settings

from postbacks.demo.evaluation.expected import expect
from postbacks.demo.rules import DEMO_RULES
from postbacks.demo.run import load_day
from postbacks.demo.simulation.skan_copies import COPIES
from postbacks.infrastructure.database.embedded import DATABASE, EmbeddedServer
from tests.faults.demo_process import DemoProcess, DemoRuns


def accepted_keys(demo: DemoProcess) -> dict[str, int]:
    url = f"{demo.driving()['partner_url']}/received/keys"
    with urllib.request.urlopen(url, timeout=30) as answer:
        keys: dict[str, int] = json.loads(answer.read())["keys"]
    return keys


def query(folder: Path, statement: str) -> list[tuple[object, ...]]:
    conninfo = EmbeddedServer(folder).admin_conninfo(DATABASE)
    with psycopg.connect(conninfo) as connection:
        return connection.execute(statement.encode()).fetchall()


def live_claims(folder: Path) -> int:
    """Return how many postbacks had a live claim when everything was killed."""
    server = EmbeddedServer(folder)
    server.start()
    try:
        ((count,),) = query(folder, "SELECT count(*) FROM due_postback WHERE claim_id IS NOT NULL")
    finally:
        server.stop()
    return int(str(count))


def test_everything_is_delivered_after_every_process_was_killed(demos: DemoRuns) -> None:
    data_folder = demos.folder
    first = demos.start("--devices=400")
    first.wait_for(lambda: first.is_up() and len(accepted_keys(first)) > 500, seconds=240)

    first.kill_everything()

    claimed = live_claims(data_folder)
    second = demos.start()
    second.wait_for(lambda: "until Ctrl-C" in second.said(), seconds=240)
    day = load_day(data_folder)
    assert day is not None
    simulated = day.simulated()
    expected = expect(simulated.all_calls, DEMO_RULES, simulated.truths, COPIES)
    counts = dict(query(data_folder, "SELECT status, count(*) FROM postback GROUP BY 1"))
    delivered = query(data_folder, "SELECT public_id::text FROM postback WHERE status='delivered'")
    received = accepted_keys(second)
    assert expected.postbacks > 4_000
    assert sum(int(str(count)) for count in counts.values()) == expected.postbacks
    assert "pending" not in counts
    credited = query(
        data_folder,
        "SELECT count(*) FROM install WHERE kind = 'install' AND attribution_type <> 'organic'",
    )
    assert credited == [(expected.attributed,)]
    assert {str(public_id) for (public_id,) in delivered} == set(received)
    assert sum(times - 1 for times in received.values()) <= claimed


def test_a_cluster_that_is_wedged_works_again_within_one_lease(demos: DemoRuns) -> None:
    demo = demos.running()
    tasks_done = beats(demo)
    idle = idle_workers(demo)
    assert idle

    for process in idle:
        process.kill()

    demo.wait_for(lambda: beats(demo) > tasks_done + 30, seconds=64)
    before = len(accepted_keys(demo))
    report_purchase(demo)
    demo.wait_for(lambda: len(accepted_keys(demo)) > before, seconds=60)
    assert demo.stop() == 0
    assert not demo.family()


def test_the_demo_leaves_no_process_behind_when_it_alone_is_killed(demos: DemoRuns) -> None:
    (demos.folder / "day.json").unlink(missing_ok=True)  # it is to send a day when it dies
    demo = demos.start("--devices=20")
    demo.wait_for(demo.is_up, seconds=240)
    family = demo.family()
    assert len(family) > 8

    demo.process.kill()

    _gone, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []


def beats(demo: DemoProcess) -> float:
    """Return when the cluster last finished a task, in seconds."""
    ((moment,),) = query(
        demo.folder,
        "SELECT coalesce(extract(epoch FROM beat_at), 0) FROM worker_heartbeat"
        " WHERE name = 'cluster'",
    )
    return float(str(moment))


def idle_workers(demo: DemoProcess) -> list[psutil.Process]:
    """Return the workers of django-q2 that wait for a task: all but those in which a pump runs.

    The sentinel is the process with the most children; it starts its workers first.
    """
    pumps = query(demo.folder, "SELECT pid FROM worker_heartbeat WHERE name LIKE '%pump:%'")
    sentinel = max(demo.cluster(), key=lambda process: len(process.children()))
    workers = sorted(sentinel.children(), key=lambda process: process.create_time())
    workers = workers[: settings.Q_CLUSTER["workers"]]
    return [process for process in workers if (process.pid,) not in pumps]


def report_purchase(demo: DemoProcess) -> None:
    driving = demo.driving()
    request = urllib.request.Request(
        f"{driving['base_url']}/api/v1/events",
        data=json.dumps({"event_name": "purchase", "install_id": "killed"}).encode(),
        headers={
            "Authorization": f"Bearer {driving['sdk_key']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 202
