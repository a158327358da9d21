"""The demo as a user runs it: a process of its own in a data folder of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from postbacks.demo.child_processes import free_port

ROOT = Path(__file__).resolve().parent.parent.parent


class DemoProcess:
    """One run of `manage.py demo`."""

    def __init__(self, folder: Path, *arguments: str, port: int, history: bool = False) -> None:
        self.folder = folder
        (folder / "demo.json").unlink(missing_ok=True)  # a killed run's says nothing about this one
        self.output = folder.parent / f"{folder.name}.out"
        self._said_before = self.output.stat().st_size if self.output.exists() else 0
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in {"DATABASE_URL", "DATABASE_ROLE"}
        } | {
            "DJANGO_SETTINGS_MODULE": "tests.faults.short_lease",
            # What the demo would restart itself with, loading everything twice.
            "POSTBACKS_DEMO": "1",
            "ALLOW_PRIVATE_DESTINATIONS": "127.0.0.0/8",
            "LIVE": "0",  # tests count what they send
            "HISTORY": "1" if history else "0",
        }
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "demo", *arguments],
                cwd=ROOT,
                env={**environment, "DATA_DIR": str(folder), "PORT": str(port)},
                stdout=output,
                stderr=output,
            )

    def family(self) -> list[psutil.Process]:
        """Return the demo and all processes that descend from it, PostgreSQL's included."""
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def cluster(self) -> list[psutil.Process]:
        """Return the processes of the django-q2 cluster."""
        return [process for process in self.family() if "qcluster" in _command(process)]

    def kill_everything(self) -> None:
        """SIGKILL to every process, as far as that is possible at one moment."""
        family = self.family()
        for process in family:
            with suppress(psutil.NoSuchProcess):  # PostgreSQL's own come and go
                process.suspend()
        for process in {*family, *self.family()}:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        psutil.wait_procs(family, timeout=20)

    def stop(self) -> int:
        """Stop it as Ctrl-C does."""
        self.process.terminate()
        return self.process.wait(60)

    def driving(self) -> dict[str, Any]:
        """Return what `demo.json` tells other programs."""
        data: dict[str, Any] = json.loads((self.folder / "demo.json").read_text())
        return data

    def wait_for(self, condition: Callable[[], bool], *, seconds: float) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"The demo ended: {self.said()}"
            assert time.monotonic() < deadline, f"Not within {seconds} s: {self.said()}"
            time.sleep(0.1)

    def is_up(self) -> bool:
        return (self.folder / "demo.json").exists()

    def said(self) -> str:
        """Return the end of what this run has printed."""
        return self.output.read_bytes()[self._said_before :].decode()[-3000:]


class DemoRuns:
    """The runs of the demo on one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = free_port()
        self._started: list[DemoProcess] = []

    def start(self, *arguments: str) -> DemoProcess:
        self.kill_everything()  # what a test that failed has left
        self._started.append(DemoProcess(self.folder, *arguments, port=self._port))
        return self._started[-1]

    def running(self) -> DemoProcess:
        """Return the last run if it is still up, else one that has begun now; its day is over."""
        last = self._started[-1] if self._started else None
        demo = last if last and last.process.poll() is None else self.start("--devices=20")
        demo.wait_for(lambda: demo.is_up() and "until Ctrl-C" in demo.said(), seconds=240)
        return demo

    def kill_everything(self) -> None:
        for demo in self._started:
            if demo.process.poll() is None:
                demo.kill_everything()


def _command(process: psutil.Process) -> list[str]:
    """Return a process's command line; nothing for one that has ended since it was listed."""
    try:
        command: list[str] = process.cmdline()
    except psutil.NoSuchProcess:
        return []
    return command
