"""Postbacks as somebody runs it, in a folder of its own, and what starts again whatever ends.

PostgreSQL, Redis where there is one, a web server, and two clusters at once: one has its tasks in
Redis, the other in PostgreSQL. `Installation` stands for systemd or Docker: a process that has
ended is started again within a tenth of a second.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
import psycopg

from postbacks.demo.child_processes import free_port
from postbacks.infrastructure.database.embedded import (
    DATABASE,
    EmbeddedServer,
    EmbeddedServerError,
)
from postbacks.infrastructure.processes import die_with_parent
from tests.chaos.organization import RULES

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
PUMPS = 2  # of each cluster, the default
_UNSET = ("DATABASE_URL", "DATABASE_ROLE", "POSTBACKS_DEMO", "WORKER_NAME", "SUPERVISOR_PID")
_KEEP_SECONDS = 0.1
_READY_SECONDS = 90.0
_GRACE_SECONDS = 40.0


class ChaosError(Exception):
    """The run can't go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that the stand-in has noted, at a moment of `time.monotonic()`."""

    at: float
    key: str
    event: str
    path: str
    status: int
    signed_at: int

    @property
    def is_accepted(self) -> bool:
        return self.status == 200


@dataclass(slots=True)
class Service:
    """A process that is started again when it ends."""

    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    is_wanted: bool = True

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=die_with_parent(),
            )

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    def terminate(self) -> None:
        self.is_wanted = False
        if self.process:
            self.process.terminate()

    def wait(self, deadline: float) -> None:
        """Wait for its end; SIGKILL to all that descend from it if that comes too late."""
        if self.process is None:
            return
        children = family(self.pid)
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for child in children[1:]:
            with suppress(psutil.NoSuchProcess):
                child.kill()


@dataclass(slots=True)
class Installation:
    """Everything that runs in a data folder; its logs lie in another one, beside it."""

    folder: Path
    logs: Path
    clusters: int = 2
    last_environment: dict[str, str] = field(default_factory=dict)  # besides, of the last cluster
    services: dict[str, Service] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    sdk_key: str = ""
    port: int = field(default_factory=free_port)
    redis_port: int = 0
    _server: EmbeddedServer = field(init=False)
    _partner: subprocess.Popen[bytes] | None = None
    _partner_ports: list[int] = field(default_factory=list)
    _keeper: threading.Thread | None = None
    is_database_wanted: bool = True
    _is_closing: bool = False
    _is_started: threading.Event = field(default_factory=threading.Event)
    _failure: Exception | None = None

    def __post_init__(self) -> None:
        self._server = EmbeddedServer(self.folder)

    def start(self) -> None:
        """Start everything; return when it answers and two pumps of each cluster work."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        # One thread starts everything, for the kernel ends the children with the thread.
        self._keeper = threading.Thread(target=self._keep, name="keeper")
        self._keeper.start()
        self._is_started.wait()
        if self._failure:
            raise self._failure
        self.wait_for(self.is_whole, "Everything answers", seconds=_READY_SECONDS)

    def close(self) -> None:
        """Stop everything as an operator would: SIGTERM, PostgreSQL last."""
        self._is_closing = True
        if self._keeper:
            self._keeper.join()

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask the database as superuser. Raises psycopg.OperationalError while it is away."""
        with psycopg.connect(self.admin_conninfo, autocommit=True, connect_timeout=5) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    @property
    def admin_conninfo(self) -> str:
        return self._server.admin_conninfo(DATABASE)

    @property
    def login_conninfo(self) -> str:
        return self._server.url

    def post(self, events: Sequence[dict[str, object]], *, timeout: float = 10.0) -> int:
        """Send events as an SDK would; return the status, 0 if there was no answer."""
        request = urllib.request.Request(
            f"http://{HOST}:{self.port}/api/v1/events",
            data=json.dumps(events).encode(),
            headers={"Authorization": f"Bearer {self.sdk_key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                receipt = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code
        except (OSError, HTTPException, ValueError):
            return 0  # refused, reset, cut off, or too late
        if receipt["rejected"]:
            raise ChaosError(f"Events were rejected: {receipt['rejected'][:1]}")
        return 202

    def look(self) -> list[Seen]:
        """Return all that the stand-in has noted so far."""
        url = f"http://{HOST}:{self._partner_ports[0]}/seen?{len(self.seen)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            self.seen += [Seen(*row) for row in json.loads(answer.read())]
        return self.seen

    def postgres(self) -> list[psutil.Process]:
        """Return PostgreSQL's processes, the postmaster first."""
        pid = self._server.pid
        return family(pid) if pid else []

    def cluster_master(self, name: str) -> psutil.Process | None:
        """Return the main process of a supervisor's django-q2 cluster."""
        supervisor = self.services[name].pid
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(supervisor).children():
                with suppress(psutil.NoSuchProcess):
                    if "qcluster" in child.cmdline():  # a zombie has no command line
                        return child
        return None

    @property
    def workers(self) -> list[str]:
        return [name for name in self.services if name.startswith("worker")]

    def pumps(self, *, younger_than: float = 3.0) -> dict[str, tuple[int, Any]]:
        """Return the pumps that live and said so lately: name, process and first claim's id."""
        rows = self.query(
            "SELECT name, pid, claims FROM worker_heartbeat WHERE claims IS NOT NULL"
            " AND beat_at > clock_timestamp() - make_interval(secs => %s)",
            younger_than,
        )
        return {name: (pid, claims) for name, pid, claims in rows if is_alive(pid)}

    def wait_for(self, condition: Callable[[], bool], what: str, *, seconds: float) -> float:
        """Wait for a condition, in which the database may be away; return how long it took."""
        began = time.monotonic()
        while True:
            with suppress(psycopg.OperationalError):
                if condition():
                    return time.monotonic() - began
            if time.monotonic() - began > seconds:
                raise ChaosError(f"{what}: not within {seconds:.0f} s; the logs: {self.logs}")
            if self._failure:
                raise self._failure
            time.sleep(0.05)

    def is_whole(self) -> bool:
        """Tell whether the web server answers and each slot of each cluster has its pump."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}/readyz", timeout=5) as answer:
                is_ready = answer.status == 200
        except (OSError, HTTPException):
            return False
        slots = {name.rpartition(":")[0] for name in self.pumps()}
        masters = [self.cluster_master(name) for name in self.workers]
        return (
            is_ready
            and all(masters)
            and slots
            >= {
                f"{socket.gethostname()}-{self.services[name].pid}:pump:{slot}"
                for name in self.workers
                for slot in range(PUMPS)
            }
        )

    def _keep(self) -> None:
        try:
            self._set_up()
        except Exception as error:  # noqa: BLE001  # the thread that started this one raises it
            self._failure = error
            self._is_closing = True
        self._is_started.set()
        while not self._is_closing:
            self._keep_server()
            for service in self.services.values():
                if service.is_wanted and not service.is_running():
                    service.start()
            time.sleep(_KEEP_SECONDS)
        self._stop()

    def _keep_server(self) -> None:
        if self._server.is_running() or not self.is_database_wanted:
            return
        self._server.stop()
        with suppress(EmbeddedServerError, psycopg.OperationalError):  # again, until it succeeds
            self._server.start()

    def _set_up(self) -> None:
        self._partner = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.stand_in"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            process_group=0,
            preexec_fn=die_with_parent(),
        )
        if self._partner.stdout is None:
            raise ChaosError("The stand-in can't be read.")
        self._partner_ports = json.loads(self._partner.stdout.readline())
        self._server.start()
        base = {name: value for name, value in os.environ.items() if name not in _UNSET} | {
            "DATA_DIR": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "postbacks.settings",
            "ALLOW_PRIVATE_DESTINATIONS": "127.0.0.0/8",
            "REDIS_URL": "",
        }
        self._run(base, "manage.py", "migrate", "--verbosity=0")
        ports = [str(port) for port in self._partner_ports[: len(RULES)]]
        self.sdk_key = self._run(base, "-m", "tests.chaos.organization", *ports).strip()
        with_redis = base
        if shutil.which("redis-server"):
            self.redis_port = free_port()
            options = f"--port {self.redis_port} --bind {HOST} --dir /tmp --daemonize no".split()
            self._add("redis", ["redis-server", *options, "--save", ""], base)
            with_redis = base | {"REDIS_URL": f"redis://{HOST}:{self.redis_port}/0"}
        web = [
            *(sys.executable, "-m", "gunicorn"),
            *(f"--bind={HOST}:{self.port}", "--workers=2"),
        ]
        self._add("web", web, with_redis)
        for number in range(self.clusters):
            environment = base if number else with_redis
            if number == self.clusters - 1:
                environment = environment | self.last_environment
            worker = [sys.executable, "manage.py", "worker"]
            self._add(f"worker{number + 1}", worker, environment)

    def _add(self, name: str, command: Sequence[str], environment: dict[str, str]) -> None:
        service = Service(command, environment, self.logs / f"{name}.log")
        self.services[name] = service
        service.start()

    def _run(self, environment: dict[str, str], *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ChaosError(f"{' '.join(arguments)} failed: {done.stderr.strip()[-500:]}")
        return done.stdout

    def _stop(self) -> None:
        services = self.services.values()
        redis = [service for service in services if service.command[0] == "redis-server"]
        for together in ([each for each in services if each not in redis], redis):
            for service in together:
                service.terminate()
            deadline = time.monotonic() + _GRACE_SECONDS
            for service in together:
                service.wait(deadline)
        self._server.stop()
        with suppress(FileNotFoundError):
            shutil.copy(self.folder / "postgres.log", self.logs)
        if self._partner and self._partner.stdout:
            self._partner.kill()
            self._partner.wait()
            self._partner.stdout.close()


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for yet does not."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all that descend from it, none if it has ended."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
