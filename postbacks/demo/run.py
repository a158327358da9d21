"""The demo, told in order: processes up, a day of traffic in, postbacks out, figures compared."""

import http.client
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from django.conf import settings
from django.db import OperationalError
from tqdm import tqdm

from postbacks.demo import organization, summary
from postbacks.demo.calls import SdkCall
from postbacks.demo.children import Children, DemoError, free_port, require_free
from postbacks.demo.day import Day, fresh_day, keep_day, kept_day
from postbacks.demo.expected import Expectation, expect
from postbacks.demo.organization import BUNDLE_IDS, DemoOrganization
from postbacks.demo.report import Report
from postbacks.demo.rules import DEMO_RULES, DemoApp
from postbacks.demo.sdk import Answer, SdkClient, send_day
from postbacks.embedded import EmbeddedServer

HOST = "127.0.0.1"
DRIVING_FILE = "demo.json"
_READY_SECONDS = 90.0
_DRAIN_SECONDS = 600.0
_KEPT_BY_RESET = {"test", "bench"}


class Demo:
    """One run of the demo in one data folder."""

    def __init__(
        self, *, port: int, once: bool, devices: int, say: Callable[[str], object]
    ) -> None:
        self.folder: Path = settings.DATA_DIR
        self.port = port
        self.once = once
        self.devices = devices
        self.say = say
        self.children = Children(self.folder, settings.BASE_DIR)
        self.server: EmbeddedServer | None = None
        self.partner_port = 0
        self.report: Report | None = None

    def run(self) -> bool:
        """Run it; tell whether what came out is what had to come out."""
        started = time.monotonic()
        require_free(self.port)
        try:
            self._start_database()
            demo = self._start_processes()
            self._announce(demo)
            if self.once:
                sent = self._send_day(demo, fresh_day(self.devices))
                self.report = self._report(demo, sent)
                took = time.monotonic() - started
                self.say(f"{self.report.table}\nDone in {took:.1f} s.")
                return self.report.is_right
            self._go_on(demo)
            self._stay(demo)
        finally:
            self._stop()
        return True

    # ── up ──────────────────────────────────────────────────────────────────────────────────────

    def _start_database(self) -> None:
        (self.folder / DRIVING_FILE).unlink(missing_ok=True)
        if settings.DATABASE_URL == settings.EMBEDDED_URL:
            self.say("Starting PostgreSQL …")
            self.server = EmbeddedServer(self.folder)
            self.server.start()
        self.say("Preparing the database …")
        self._manage("migrate", "--verbosity=0")

    def _start_processes(self) -> DemoOrganization:
        self.say("Starting the stand-in ad network, the web server and the worker …")
        self.partner_port = self._start_partner()
        demo = organization.set_up(f"http://{HOST}:{self.partner_port}")
        environment = {"PUBLIC_URL": f"http://{HOST}:{self.port}"}
        self.children.start(
            "web",
            [
                sys.executable, "-m", "gunicorn", "postbacks.wsgi:application",
                f"--bind={HOST}:{self.port}", "--worker-class=gthread", "--workers=2",
                "--threads=8", "--no-control-socket",
            ],
            environment=environment,
        )  # fmt: skip
        self.children.start(
            "worker", [sys.executable, "manage.py", "worker"], environment=environment
        )
        self._wait_until_ready()
        return demo

    def _start_partner(self) -> int:
        """Start the stand-in, on the port that it had before: rules name it."""
        kept = self.folder / "partner_port"
        port = kept.read_text().strip() if kept.exists() else "0"
        folder = self.folder / "partner"
        folder.mkdir(exist_ok=True)
        answer = self.children.start(
            "partner",
            [
                sys.executable, "-m", "postbacks.demo.partner", f"--port={port}",
                f"--data={folder}",
            ],
            environment={},
            first_line=True,
        )  # fmt: skip
        if not answer.isdigit():
            raise DemoError(f"The stand-in did not start: {self.children.last_words('partner')}")
        kept.write_text(answer)
        return int(answer)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            self.children.check()
            if self._is_ready():
                return
            time.sleep(0.2)
        raise DemoError(
            f"Not everything answered within {_READY_SECONDS:.0f} s; see {self.folder}."
        )

    def _is_ready(self) -> bool:
        request = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            request.request("GET", "/readyz")
            return request.getresponse().status == 200
        except OSError:
            return False
        finally:
            request.close()

    # ── the day ─────────────────────────────────────────────────────────────────────────────────

    def _go_on(self, demo: DemoOrganization) -> None:
        """Send the day's traffic, or the rest of it if an earlier run was cut short."""
        day = kept_day(self.folder) or fresh_day(self.devices)
        if day.sent:
            self.say("Going on from the data of an earlier run (RESET=1 starts afresh).")
            return
        keep_day(self.folder, day)
        self._send_day(demo, day)
        keep_day(self.folder, replace(day, sent=True))

    def _send_day(self, demo: DemoOrganization, day: Day) -> tuple[Expectation, list[Answer]]:
        calls = day.calls()
        expectation = expect(calls, DEMO_RULES)
        answers: list[Answer] = []
        clients = {app: SdkClient(HOST, self.port, key) for app, key in demo.sdk_keys.items()}
        with tqdm(
            total=expectation.sent_events, unit=" events", desc="SDK traffic", disable=None
        ) as bar:

            def note(call: SdkCall, answer: Answer) -> None:
                answers.append(answer)
                bar.update(len(call.events))

            send_day(clients, calls, progress=note)
        for client in clients.values():
            client.close()
        self._drain(demo.organization.pk, expectation.postbacks)
        return expectation, answers

    def _drain(self, organization_id: int, expected: int) -> None:
        """Wait until every postback has ended."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        with tqdm(total=expected, unit=" postbacks", desc="Delivering ", disable=None) as bar:
            while time.monotonic() < deadline:
                undecided, due = self._waiting(organization_id)
                bar.n = max(bar.n, expected - due if not undecided else bar.n)
                bar.refresh()
                if not undecided and not due:
                    return
                self.children.check()
                time.sleep(0.2)
        raise DemoError(f"Not every postback had ended after {_DRAIN_SECONDS:.0f} s.")

    @staticmethod
    def _waiting(organization_id: int) -> tuple[int, int]:
        try:
            return summary.waiting(organization_id)
        except OperationalError as error:
            raise DemoError(f"The database has gone away: {error}") from None

    def _report(self, demo: DemoOrganization, sent: tuple[Expectation, list[Answer]]) -> Report:
        expectation, answers = sent
        return Report.of(
            expectation,
            answers,
            summary.outcome(demo.organization.pk),
            summary.accepted_by_partner(HOST, self.partner_port),
        )

    # ── what people and programs need ────────────────────────────────────────────────────────────

    def _announce(self, demo: DemoOrganization) -> None:
        url = f"http://{HOST}:{self.port}"
        self.say(f"\nPostbacks is up: {url}/admin/")
        for person in demo.people:
            self.say(f"  {person.role:<9} {person.email:<28} {person.password}")
        if self.once:
            return
        ios = demo.apps[DemoApp.IOS]
        driving = {
            "base_url": url,
            "sdk_key": demo.sdk_keys[DemoApp.IOS],
            "api_token": demo.api_token,
            "users": [asdict(person) for person in demo.people],
            "partner_url": f"http://{HOST}:{self.partner_port}",
            "organization": str(demo.organization.public_id),
            "app": str(ios.public_id),
            "bundle_id": BUNDLE_IDS[DemoApp.IOS],
        }
        fresh = self.folder / f"{DRIVING_FILE}.new"
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(driving, indent=2) + "\n")
        fresh.replace(self.folder / DRIVING_FILE)
        self.say(f"  for programs: {self.folder / DRIVING_FILE}\n")

    def _stay(self, demo: DemoOrganization) -> None:
        self.say(f"Up at http://{HOST}:{self.port}/admin/ until Ctrl-C.")
        while True:
            time.sleep(1.0)
            self.children.check()

    # ── down ────────────────────────────────────────────────────────────────────────────────────

    def _stop(self) -> None:
        self.say("Stopping …")
        (self.folder / DRIVING_FILE).unlink(missing_ok=True)
        self.children.stop()
        if self.server:
            self.server.stop()

    def _manage(self, *arguments: str) -> None:
        self.children.run([sys.executable, "manage.py", *arguments], name=arguments[0])


def reset(folder: Path) -> None:
    """Remove the data of earlier runs, which must have ended."""
    server = EmbeddedServer(folder)
    server.claim_folder()
    for entry in folder.iterdir():
        if entry.name in _KEPT_BY_RESET or entry.name == "postgres.lock":
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    server.stop()


def default_port(*, given: str, once: bool) -> int:
    """Return the port to serve on: the given one, a free one for a finite run, or 8000."""
    if given:
        if not given.isdigit() or not 0 < int(given) < 65_536:
            raise DemoError(f"PORT must be a number from 1 to 65535, not “{given}”.")
        return int(given)
    return free_port() if once else 8000
