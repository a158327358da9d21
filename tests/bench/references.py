"""The references as sides: the naive one, and the same tuned."""

import os
import sys

from postbacks.demo.child_processes import free_port
from postbacks.infrastructure.database.embedded import LOGIN, EmbeddedServer
from tests.bench import sample
from tests.bench.children import Children
from tests.bench.sides import Side

# django-q2 acknowledges a task by deleting its row, after its result has been saved.
_BUSY = "SELECT EXISTS (SELECT FROM django_q_ormq)"
_LOGGED = """
    SELECT count(DISTINCT postback_id) FROM naive_attempt JOIN naive_postback AS postback
    ON postback.id = postback_id WHERE postback.status = 'delivered' AND postback_id > %(last)s
"""
_MOMENTS = """
    SELECT event.event_id::text AS event_id,
           extract(epoch FROM pg_xact_commit_timestamp(event.xmin))::float AS committed,
           NULL AS begun,
           extract(epoch FROM pg_xact_commit_timestamp(attempt.xmin))::float AS logged
    FROM naive_attempt AS attempt JOIN naive_postback AS postback ON postback.id = postback_id
    JOIN naive_event AS event ON event.id = postback.event_id WHERE postback_id > %(last)s
"""


def set_up(
    name: str, server: EmbeddedServer, sink_url: str, children: Children
) -> tuple[Side, dict[str, str]]:
    """Begin to make a reference's tables; return it with the environment of its processes."""
    database = f"bench_{name}"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.bench.naive.settings",
        "BENCH_TUNED": "1" if name == "tuned" else "",
        "BENCH_DATABASE_HOST": str(server.socket_folder),
        "BENCH_DATABASE_NAME": database,
        "BENCH_DATABASE_USER": LOGIN,
    }
    queueing = _queueing(name)
    command = [sys.executable, "-m", "tests.bench.naive.queueing", sink_url]
    children.start(queueing, command, environment, answers=True)

    side = Side(
        name=name,
        conninfo=server.admin_conninfo(database),
        port=free_port(),
        key=sample.REFERENCE_KEY,
        owe=lambda count: float(children.ask(queueing, str(count))),
        busy=_BUSY,
        last="SELECT max(id) FROM naive_postback",
        logged=_LOGGED,
        moments=_MOMENTS,
    )
    return side, environment


def wait_for_tables(side: Side, children: Children) -> None:
    """Wait until the reference is set up."""
    children.ask(_queueing(side.name))


def start_cluster(side: Side, children: Children, environment: dict[str, str]) -> None:
    """Start the reference's django-q2 cluster."""
    command = [sys.executable, "-m", "django", "qcluster"]
    children.start(f"{side.name} cluster", command, environment)


def _queueing(name: str) -> str:
    return f"{name} queueing"
