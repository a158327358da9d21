"""A run of the demo: start services, send a day of traffic, await the postbacks, report."""

import json
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import OperationalError
from tqdm import tqdm

from postbacks.demo import living
from postbacks.demo.child_processes import DemoError, free_port
from postbacks.demo.configuration import BUNDLE_IDS
from postbacks.demo.evaluation import measured
from postbacks.demo.evaluation.expected import Expectation, expect
from postbacks.demo.evaluation.report import RunReport
from postbacks.demo.history.traffic import DAYS
from postbacks.demo.history.writing import write_history
from postbacks.demo.networks import LUMEN, DemoApp
from postbacks.demo.organization import DemoOrganization
from postbacks.demo.rules import DEMO_RULES
from postbacks.demo.sending.day_sender import DaySender
from postbacks.demo.sending.sdk_client import EventsAnswer, RefusedError, UnreachableError
from postbacks.demo.services import HOST, Services
from postbacks.demo.simulation.day import SimulatedDay, simulate_day
from postbacks.demo.simulation.skan_copies import COPIES
from postbacks.infrastructure.database.embedded import EmbeddedServer

CONNECTION_FILE = "demo.json"
_DAY_FILE = "day.json"
_DRAIN_SECONDS = 600.0
_DATA_FILES = ("postgres", "partner", "partner_port", _DAY_FILE, CONNECTION_FILE, "demo_password")


class Demo:
    """A run of the demo in one data folder."""

    def __init__(
        self,
        *,
        port: int,
        once: bool,
        devices: int,
        lives: bool,
        has_history: bool,
        say: Callable[[str], object],
    ) -> None:
        self.folder: Path = settings.DATA_DIR
        self.once = once
        self.lives = lives and not once  # goes on playing after its day
        self.has_history = has_history and not once  # has days before its first
        self.devices = devices
        self.say = say
        self.services = Services(self.folder, port, say)
        self.report: RunReport | None = None

    def run(self) -> bool:
        """Run the demo; return whether the figures are as expected."""
        started = time.monotonic()
        try:
            self.services.start_database()
            self._remove_connection_file()  # left behind if an earlier run was killed
            before = self._write_history if self.has_history else None
            demo = self.services.start_processes(before=before)
            self._print_sign_ins(demo)
            if self.once:
                return self._run_once(demo, started)
            self._send_saved_day(demo)
            self._wait_until_stopped(demo)
        finally:
            self.say("Stopping …")
            self.services.stop()
        return True

    def _write_history(self, demo: DemoOrganization) -> None:
        if not self.services.superuser:
            self.say("No days before this one: they need the demo's own PostgreSQL.")
            return
        write_history(
            demo,
            superuser=self.services.superuser,
            now=datetime.now(UTC),
            seed=secrets.randbits(48),
            say=self.say,
        )

    def _run_once(self, demo: DemoOrganization, started: float) -> bool:
        day = new_day(self.devices).simulated()
        expectation, answers = self._send_day(demo, day)
        self.report = RunReport.of(
            expectation,
            answers,
            measured.measure_outcome(demo.organization.pk),
            measured.load_receipts(HOST, self.services.partner_port),
            scenarios=day.scenarios,
        )
        self.say(f"{self.report.table}\nDone in {time.monotonic() - started:.1f} s.")
        return self.report.is_right

    def _send_saved_day(self, demo: DemoOrganization) -> None:
        """Send the data folder's day, again if an earlier run was interrupted."""
        day = load_day(self.folder) or new_day(self.devices)
        if day.sent:
            self.say("Going on from the data of an earlier run (RESET=1 starts afresh).")
            return
        save_day(self.folder, day)
        self._send_day(demo, day.simulated())
        save_day(self.folder, replace(day, sent=True))

    def _send_day(
        self, demo: DemoOrganization, day: SimulatedDay
    ) -> tuple[Expectation, list[EventsAnswer]]:
        expectation = expect(day.all_calls, DEMO_RULES, day.truths, COPIES)
        sender = DaySender(HOST, self.services.port, demo)
        try:
            answers = sender.send(day, wait=lambda: self._drain(demo, expectation.postbacks))
        except (RefusedError, UnreachableError) as error:
            raise DemoError(str(error)) from None
        self._drain(demo, expectation.postbacks)
        return expectation, answers

    def _drain(self, demo: DemoOrganization, expected: int) -> None:
        deadline = time.monotonic() + _DRAIN_SECONDS
        with tqdm(total=expected, unit=" postbacks", desc="Delivering   ", disable=None) as bar:
            while time.monotonic() < deadline:
                undecided, due = self._count_unfinished(demo.organization.pk)
                bar.n = max(bar.n, expected - due if not undecided else bar.n)
                bar.refresh()
                if not undecided and not due:
                    return
                self.services.check()
                time.sleep(0.2)
        raise DemoError(f"Not every postback had ended after {_DRAIN_SECONDS:.0f} s.")

    @staticmethod
    def _count_unfinished(organization_id: int) -> tuple[int, int]:
        try:
            return measured.count_unfinished(organization_id)
        except OperationalError as error:
            raise DemoError(f"The database has gone away: {error}") from None

    def _print_sign_ins(self, demo: DemoOrganization) -> None:
        self.say(f"\nPostbacks is up: {self.services.url}/admin/")
        for person in demo.people:
            self.say(f"  {person.role:<9} {person.email:<28} {person.password}")
        if not self.once:
            self._write_connection_file(demo)
            url = self.services.partner_url
            self.say(f"  stand-in ad network: {url}  (lists what it received at {url}/received)")
            self.say(f"  a tracking link: {self._tracking_link(demo)}")
            self.say(f"  for programs: {self.folder / CONNECTION_FILE}\n")

    def _write_connection_file(self, demo: DemoOrganization) -> None:
        """Write the addresses and keys with which other programs use the demo."""
        connection = {
            "base_url": self.services.url,
            "sdk_key": demo.sdk_keys[DemoApp.IOS],
            "api_token": demo.api_token,
            "users": [asdict(person) for person in demo.people],
            "partner_url": self.services.partner_url,
            "organization": str(demo.organization.public_id),
            "app": str(demo.apps[DemoApp.IOS].public_id),
            "bundle_id": BUNDLE_IDS[DemoApp.IOS],
            "tracking_link": self._tracking_link(demo),
            "live": self.lives,
            "history_days": DAYS if self.has_history and self.services.superuser else 0,
        }
        temporary = self.folder / f"{CONNECTION_FILE}.new"
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(connection, indent=2) + "\n")
        temporary.replace(self.folder / CONNECTION_FILE)

    def _tracking_link(self, demo: DemoOrganization) -> str:
        return f"{self.services.url}/c/{demo.links[LUMEN.name, DemoApp.IOS]}"

    def _remove_connection_file(self) -> None:
        (self.folder / CONNECTION_FILE).unlink(missing_ok=True)

    def _wait_until_stopped(self, demo: DemoOrganization) -> None:
        self.say(f"Mails, such as invitations, are printed into {self.folder / 'web.log'}.")
        players = None
        if self.lives:
            url = self.services.partner_url
            players = living.Players(HOST, self.services.port, demo, url)
            self.say(f"Players of {living.NAME} go on playing (LIVE=0 switches that off).")
        self.say(f"Up at {self.services.url}/admin/ until Ctrl-C.")
        try:
            while True:
                time.sleep(living.EVERY)
                self.services.check()
                if players:
                    players.play_on()
        finally:
            self._remove_connection_file()


def reset(folder: Path) -> None:
    """Remove the data of earlier runs, which must have ended, and no other file."""
    server = EmbeddedServer(folder)
    server.claim_folder()
    for name in _DATA_FILES:
        for entry in folder.glob(name):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    server.stop()


def choose_port(*, setting: str, once: bool) -> int:
    """Return the port of the PORT setting, else a free one for a finite run, else 8000."""
    if setting:
        if not setting.isdigit() or not 0 < int(setting) < 65_536:
            raise DemoError(f"PORT must be a number from 1 to 65535, not “{setting}”.")
        return int(setting)
    return free_port() if once else 8000


@dataclass(frozen=True, slots=True)
class SavedDay:
    """The parameters of a day; after a crash its seed gives the same events again."""

    seed: int
    now: datetime
    devices: int
    sent: bool = False

    def simulated(self) -> SimulatedDay:
        return simulate_day(
            seed=self.seed,
            devices=self.devices,
            now=self.now,
            ios_bundle=BUNDLE_IDS[DemoApp.IOS],
            android_bundle=BUNDLE_IDS[DemoApp.ANDROID],
        )


def new_day(devices: int) -> SavedDay:
    return SavedDay(secrets.randbits(48), datetime.now(UTC), devices)


def load_day(folder: Path) -> SavedDay | None:
    """Return the day of a data folder, None if there is none yet."""
    try:
        data = json.loads((folder / _DAY_FILE).read_text())
    except FileNotFoundError:
        return None
    return SavedDay(**{**data, "now": datetime.fromisoformat(data["now"])})


def save_day(folder: Path, day: SavedDay) -> None:
    """Save the day atomically: a crash leaves the old file or the new one."""
    temporary = folder / f"{_DAY_FILE}.new"
    temporary.write_text(json.dumps({**asdict(day), "now": day.now.isoformat()}))
    temporary.replace(folder / _DAY_FILE)
