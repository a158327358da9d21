"""Run the demo: `manage.py demo`, or `make demo`."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from postbacks.demo import run
from postbacks.demo.child_processes import DemoError, require_free, stop_on_signals
from postbacks.demo.simulation.day import DEFAULT_DEVICES, DEVICES_AFTER_HISTORY
from postbacks.infrastructure import environment
from postbacks.infrastructure.database.embedded import EmbeddedServerError
from postbacks.management.base import RecordedCommand

_HAS_SETTINGS = "POSTBACKS_DEMO"


class Command(RecordedCommand):
    """Shows the product at work: a simulated day of a mobile game, and a stand-in ad network."""

    help = "Starts everything on this machine, sends sample traffic, and stays up until Ctrl-C."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="End when everything is delivered.")
        parser.add_argument("--reset", action="store_true", help="Remove earlier data first.")
        parser.add_argument("--devices", type=int, help="How many install the app today.")

    def handle(self, *args: object, **options: object) -> None:
        once = bool(options["once"])
        port = _choose_port(once=once)  # before the start, which takes seconds
        if _HAS_SETTINGS not in os.environ:
            _restart_with_settings(once=once)
        stop_on_signals()
        try:
            if options["reset"]:
                run.reset(settings.DATA_DIR)
            has_history = environment.parsed("HISTORY", environment.boolean, default=True)
            # A day that comes within seconds must not hide the days before it.
            devices = DEVICES_AFTER_HISTORY if has_history and not once else DEFAULT_DEVICES
            demo = run.Demo(
                port=port,
                once=once,
                devices=int(str(options["devices"] or devices)),
                has_history=has_history,
                lives=environment.parsed("LIVE", environment.boolean, default=True),
                say=self._say,
            )
            is_as_expected = demo.run()
        except (DemoError, EmbeddedServerError) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            self._say("Stopped.")
            return
        finally:
            if once:
                shutil.rmtree(settings.DATA_DIR, ignore_errors=True)
        if once and demo.report:
            self._say(demo.report.as_json)
        if not is_as_expected:
            raise CommandError("The figures are not the expected ones; see above.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _choose_port(*, once: bool) -> int:
    """Return the port to use. Raises CommandError if nobody can listen on it."""
    try:
        port = run.choose_port(setting=environment.text("PORT"), once=once)
        require_free(port)
    except DemoError as error:
        raise CommandError(str(error)) from None
    return port


def _restart_with_settings(*, once: bool) -> None:
    """Run this command again in a process that has the demo's settings from the start.

    A finite run gets a new data folder. Partners on loopback are allowed.
    """
    environ = {**os.environ, _HAS_SETTINGS: "1", "ALLOW_PRIVATE_DESTINATIONS": "127.0.0.0/8"}
    folder = Path(tempfile.mkdtemp(prefix="postbacks-")) if once else settings.DATA_DIR.resolve()
    environ["DATA_DIR"] = str(folder)
    os.execve(sys.executable, [sys.executable, *sys.argv], environ)  # noqa: S606
