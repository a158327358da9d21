"""What open live pages cost: 200 that ask every three seconds, beside 200 events a second.

`python -m tests.bench.live [pages] [seconds]`. The pages have a web server of their own, so that
the intake's work is not counted: its processes and their PostgreSQL sessions must take less than
half a core. How long the slowest answers took shows whether a page holds a thread.
"""

import itertools
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import contextmanager
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import django
import psycopg

from postbacks.demo.child_processes import free_port, stop_on_signals
from postbacks.infrastructure.database.embedded import DATABASE, EmbeddedServer
from tests.bench import sample, settings
from tests.bench.sums import percentile

_PAGES = 200
_SECONDS = 60.0
_EVERY = 3.0
_RATE, _BATCH = 200, 10
_WARM_UP_SECONDS = 10.0
_GOAL = 0.5  # of a core
_TICKS = os.sysconf("SC_CLK_TCK")
_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'web'"


def main() -> None:
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else _PAGES
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else _SECONDS
    folder = Path(mkdtemp(prefix="postbacks-live-"))
    stop_on_signals()
    server = EmbeddedServer(folder / "run")
    settings.apply(server)
    os.environ["ALLOWED_HOSTS"] = "127.0.0.1"
    django.setup()

    from tests.bench.stage import Stage  # what it imports needs Django set up

    stage = Stage(server, _say, references=())
    try:
        stage.open()
        stage.start_doors(2)
        stage.start_workers()
        _measure(stage, pages, seconds)
    finally:
        stage.close()
        shutil.rmtree(folder, ignore_errors=True)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _measure(stage: Any, pages: int, seconds: float) -> None:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", f"--bind=127.0.0.1:{port}"]
    others = _sessions(stage)  # of the server that takes the events
    stage.children.start("pages", command, os.environ)
    cookie = _sign_in(stage.account.owner)
    stopped = threading.Event()
    pollers = [
        _Poller(port, cookie, first_at=time.monotonic() + 5 + _EVERY * number / pages)
        for number in range(pages)
    ]
    threads = [threading.Thread(target=poller.run, args=[stopped]) for poller in pollers]
    threads.append(threading.Thread(target=_report, args=[stage.sides[-1], stopped]))
    for thread in threads:
        thread.start()
    with _stopping(stopped, threads):
        time.sleep(5 + _WARM_UP_SECONDS)
        for poller in pollers:
            poller.waits.clear()
        before, started = _processor(stage, others), time.monotonic()
        time.sleep(seconds)
        after, took = _processor(stage, others), time.monotonic() - started
        waits = [wait for poller in pollers for wait in poller.waits]
    rows = sum(poller.rows for poller in pollers)
    failures = [poller.failure for poller in pollers if poller.failure]
    web, database = ((after[index] - before[index]) / took for index in range(2))
    _say(
        f"{pages} pages beside {_RATE} events/s for {took:.0f} s: {len(waits) / took:.0f} polls/s "
        f"(asked {pages / _EVERY:.0f}), {rows:,} rows; of a core: web {web:.2f}, its PostgreSQL "
        f"{database:.2f}, together {web + database:.2f} (goal {_GOAL}); "
        f"{1000 * (web + database) * took / max(1, len(waits)):.1f} ms a poll; answers p50 "
        f"{1000 * percentile(waits, 0.5):.0f} ms, p99 {1000 * percentile(waits, 0.99):.0f} ms; "
        f"failures: {failures[:1] or 'none'}"
    )


@contextmanager
def _stopping(stopped: threading.Event, threads: Iterable[threading.Thread]) -> Any:
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def _sign_in(user: Any) -> str:
    from django.conf import settings as django_settings
    from django.test import Client

    browser = Client()
    browser.force_login(user)
    name = django_settings.SESSION_COOKIE_NAME
    return f"{name}={browser.cookies[name].value}"


class _Poller:
    """An open page."""

    def __init__(self, port: int, cookie: str, first_at: float) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Cookie": cookie, "Accept-Encoding": "gzip"}
        self._next_at = first_at
        self._after = repr(time.time())
        self.waits: list[float] = []
        self.rows = 0
        self.failure = ""

    def run(self, stopped: threading.Event) -> None:
        while not stopped.wait(max(0.0, self._next_at - time.monotonic())):
            begun = time.monotonic()
            try:
                try:
                    self._ask()
                except RemoteDisconnected:  # it was idle for long: browsers ask again, too
                    self._connection.close()
                    self._ask()
            except (OSError, ValueError) as error:
                self.failure = repr(error)
                self._connection.close()
            self.waits.append(time.monotonic() - begun)
            # As the page's script: three seconds after the answer.
            self._next_at = time.monotonic() + _EVERY
        self._connection.close()

    def _ask(self) -> None:
        address = f"/admin/live/rows/?after={self._after}"
        self._connection.request("GET", address, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ValueError(f"{answer.status} {body[:200]!r}")
        found = json.loads(body)
        self._after = str(found["after"])
        self.rows += found["count"]


def _report(side: Any, stopped: threading.Event) -> None:
    """Report events on time."""
    from tests.bench.client import Client

    starts_at = time.monotonic()
    with Client(side) as client:
        for turn in itertools.count():
            if stopped.wait(max(0.0, starts_at + turn * _BATCH / _RATE - time.monotonic())):
                return
            events = [sample.event(turn * _BATCH + number) for number in range(_BATCH)]
            client.send(json.dumps(events).encode(), events=_BATCH)


def _sessions(stage: Any) -> set[int]:
    with psycopg.connect(stage.server.admin_conninfo(DATABASE)) as superuser:
        return {pid for (pid,) in superuser.execute(_SESSIONS)}


def _processor(stage: Any, others: set[int]) -> tuple[float, float]:
    """Return the processor seconds of the pages' web server, and of its PostgreSQL sessions."""
    leader = stage.children.pid("pages")
    web = sum(
        _seconds(int(process.name))
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and _group(int(process.name)) == leader
    )
    return web, sum(map(_seconds, _sessions(stage) - others))


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _group(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[2]) if fields else 0


def _seconds(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


if __name__ == "__main__":
    main()
