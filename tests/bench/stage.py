"""Everything that runs during the benchmark: PostgreSQL, the sink, clusters and web servers."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import psycopg

from postbacks.demo.child_processes import free_port
from postbacks.infrastructure.database.embedded import EmbeddedServer
from tests.bench import product, references, sample, sink
from tests.bench.children import Children, finish
from tests.bench.client import send_one
from tests.bench.plan import SIDES
from tests.bench.product import Account
from tests.bench.sides import Side
from tests.bench.sink import HOST, Sink

_READY_SECONDS = 60.0
_WARM_UPS = 24


@dataclass(slots=True)
class Stage:
    """What has been started; `close` ends it all."""

    server: EmbeddedServer
    say: Callable[[str], None]
    references: Sequence[str] = SIDES[:-1]  # none where no row compares with them
    children: Children = field(init=False)
    sink: Sink = field(init=False)
    account: Account = field(init=False)
    sides: list[Side] = field(default_factory=list)
    version: str = ""
    no_database_port: int = 0
    _environments: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.children = Children(self.server.data_dir)

    def open(self) -> None:
        """Start PostgreSQL and the sink, and set up every side."""
        self.say("Starting PostgreSQL and the sink …")
        self._start_server()
        self.sink = sink.start(self.children, self.server.data_dir / "nginx")
        self.say(f"Making the tables of {', '.join([*self.references, SIDES[-1]])} …")
        for name in self.references:
            side, environment = references.set_up(name, self.server, self.sink.url, self.children)
            self._environments[name] = environment
            self.sides.append(side)
        finish([sys.executable, "manage.py", "migrate", "--verbosity=0"], os.environ)
        ours, self.account = product.set_up(self.server, self.sink.url)
        for side in self.sides:
            references.wait_for_tables(side, self.children)
        self.sides.append(ours)

    def start_workers(self) -> None:
        """Start the three clusters and have each deliver something."""
        self.say("Starting the workers …")
        product.start_worker(self.children)
        for side in self.sides[:-1]:
            references.start_cluster(side, self.children, self._environments[side.name])
        self.account.record(sample.FIRST_ONES)
        for side in self.sides:
            self.settle(side, after=0, expected=sample.FIRST_ONES)

    def settle(
        self, side: Side, *, after: int, expected: int, seconds: float = _READY_SECONDS
    ) -> None:
        """Wait until a side has acknowledged all and has logged so many postbacks after one."""
        what = f"{side.name} has delivered"
        self.children.wait_until(side.is_idle, what, seconds=seconds)
        self.children.wait_until(
            lambda: side.count_logged(after=after) >= expected, what, seconds=10, pause=0.2
        )

    def start_doors(self, processes: int) -> None:
        """Start the three web servers in the shape of `gunicorn.conf.py`."""
        self.say("Starting the web servers …")
        for side in self.sides:
            command = [f"--bind={HOST}:{side.port}", f"--workers={processes}"]
            environment = self._environments.get(side.name)
            if environment is not None:  # a reference, under gunicorn's own worker
                command += ["django.core.wsgi:get_wsgi_application()", "--worker-class=gthread"]
            self._start_web(side.name, command, environment or os.environ)
        for side in self.sides:
            self._warm_up(side)

    def start_door_without_database(self, processes: int) -> None:
        """Start our web server once more, as one that stores nothing."""
        side = replace(self.sides[-1], name="without a database", port=free_port())
        self.no_database_port = side.port
        command = [f"--bind={HOST}:{side.port}", f"--workers={processes}"]
        command.append("tests.bench.no_database:application")
        self._start_web(side.name, command, os.environ)
        self._warm_up(side)

    def _start_web(self, name: str, options: Sequence[str], environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "gunicorn", *options]
        self.children.start(f"{name} web", command, environment)

    def _warm_up(self, side: Side) -> None:
        """Have each process of a web server answer: what it loads late is not what we measure."""
        self.children.wait_until(
            lambda: sink.listens(side.port), f"{side.name} listens", seconds=_READY_SECONDS
        )
        with ThreadPoolExecutor(_WARM_UPS) as threads:
            for answered in [threads.submit(send_one, side) for _ in range(_WARM_UPS)]:
                answered.result()

    def close(self) -> None:
        """End every process, PostgreSQL last."""
        for side in self.sides:
            side.close()
        self.children.stop()
        self.server.stop()

    def _start_server(self) -> None:
        self.server.start()
        # The latency row reads when each row was committed; every side pays the same for it.
        with psycopg.connect(self.server.admin_conninfo("postgres"), autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET track_commit_timestamp = on")
            for name in self.references:
                admin.execute(f"CREATE DATABASE bench_{name} OWNER {references.LOGIN}")
            self.version = admin.info.parameter_status("server_version") or "?"
        self.server.stop()
        self.server.start()
