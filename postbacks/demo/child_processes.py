"""Child processes: started in order, stopped in reverse order, none left behind."""

import os
import random
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from postbacks.infrastructure.processes import die_with_parent

_GRACE_SECONDS = 25.0
# Below those that Linux (32768) and macOS (49152) give to outgoing connections.
_PORTS_OF_SERVERS = range(20_000, 32_000)


class DemoError(Exception):
    """The demo can't continue; the message says in one line why, and what helps."""


@dataclass(slots=True)
class ChildProcesses:
    """The running child processes, each with a log file in the data folder."""

    folder: Path
    cwd: Path
    _running: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        first_line: bool = False,
        to_terminal: bool = False,
    ) -> str:
        """Start a process; with `first_line` wait for its first line of output and return it.

        Its output goes into `<name>.log`, or to the terminal.
        """
        log = (self.folder / f"{name}.log").open("ab")
        process = subprocess.Popen(  # noqa: S603
            command,
            cwd=self.cwd,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if first_line else None if to_terminal else log,
            stderr=None if to_terminal else log,
            process_group=0,  # Ctrl-C reaches only the demo, which stops its children in order
            preexec_fn=die_with_parent(),
        )
        log.close()
        self._running.append((name, process))
        return _first_line(process.stdout) if process.stdout else ""

    def run(self, command: Sequence[str], *, name: str) -> None:
        """Run a short command to its end. Raises DemoError with its last line if it fails."""
        with (self.folder / f"{name}.log").open("ab") as log:
            completed = subprocess.run(  # noqa: S603
                command, cwd=self.cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            )
        if completed.returncode:
            raise DemoError(f"“{name}” failed: {self.last_log_line(name)}")

    def check(self) -> None:
        """Raise DemoError if a process has ended unexpectedly."""
        for name, process in self._running:
            if process.poll() is not None:
                raise DemoError(f"The process “{name}” has ended: {self.last_log_line(name)}")

    def stop(self) -> None:
        """Stop the processes, the last started first."""
        while self._running:
            _name, process = self._running.pop()
            _signal_group(process, signal.SIGTERM)
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                _signal_group(process, signal.SIGKILL)
                process.wait()

    def last_log_line(self, name: str) -> str:
        lines = (self.folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing."


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a process with its own children: an autoreloader would leave its child running."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def free_port() -> int:
    """Return a port on which nobody listens, from those that no outgoing connection is given.

    A port that the system chose could be given to somebody's connection before our server binds it.
    """
    for port in random.sample(_PORTS_OF_SERVERS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise DemoError("No port can be used. Choose one: make demo PORT=8000")


def require_free(port: int) -> None:
    """Raise DemoError if the port is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(
                f"Port {port} can't be used ({error.strerror}). "
                f"Choose another one: make demo PORT={port + 1}"
            ) from None


def stop_on_signals() -> None:
    """Let SIGTERM and a closed terminal stop the demo in order, as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def _first_line(stream: IO[bytes]) -> str:
    return stream.readline().decode().strip()
