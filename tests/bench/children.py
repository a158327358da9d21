"""The benchmark's processes: each with a log, watched while one waits, ended all at once."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from postbacks.infrastructure.processes import die_with_parent

ROOT = Path(__file__).parents[2]
_GRACE_SECONDS = 20.0
_ANSWER_SECONDS = 120.0


class BenchError(Exception):
    """The benchmark can't go on; the message says why and what helps."""


@dataclass(slots=True)
class Children:
    """What runs beside the benchmark, by name."""

    folder: Path
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        answers: bool = False,
    ) -> None:
        """Start a process in a group of its own; what it says goes into `<name>.log`.

        One that answers can be asked: it reads lines and writes one for each.
        """
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.PIPE if answers else subprocess.DEVNULL,
                stdout=subprocess.PIPE if answers else log,
                stderr=log,
                process_group=0,  # Ctrl-C is for the benchmark, which ends them in order
                preexec_fn=die_with_parent(),
            )

    def ask(self, name: str, question: str = "") -> str:
        """Send a line, if there is one, and return the next one that the process writes."""
        process = self._running[name]
        if process.stdin is None or process.stdout is None:
            raise BenchError(f"“{name}” can't be asked.")
        with suppress(BrokenPipeError):
            process.stdin.write(f"{question}\n".encode() if question else b"")
            process.stdin.flush()
        readable, _, _ = select.select([process.stdout], [], [], _ANSWER_SECONDS)
        answer = process.stdout.readline().decode().strip() if readable else ""
        if not answer:
            words = last_words(self.folder / f"{name}.log")
            raise BenchError(f"“{name}” does not answer: {words}")
        return answer

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def wait_until(
        self, condition: Callable[[], bool], what: str, *, seconds: float, pause: float = 0.02
    ) -> None:
        """Wait for a condition. Raises BenchError if it takes longer or a process ends."""
        deadline = time.monotonic() + seconds
        while not condition():
            self._check()
            if time.monotonic() > deadline:
                raise BenchError(f"{what}: not within {seconds:.0f} s. The logs: {self.folder}")
            time.sleep(pause)

    def end(self, name: str) -> None:
        """End one process at once, and close all of its connections."""
        process = self._running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End every process: SIGTERM to all, then SIGKILL to what is left of their groups."""
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            with suppress(ProcessLookupError):  # all of them may have ended already
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in filter(None, (process.stdin, process.stdout)):
                pipe.close()
        self._running.clear()

    def _check(self) -> None:
        for name, process in self._running.items():
            if process.poll() is not None:
                raise BenchError(f"“{name}” has ended: {last_words(self.folder / f'{name}.log')}")


def finish(
    command: Sequence[str], environment: Mapping[str, str], *, seconds: float = 120.0
) -> str:
    """Run a command to its end and return what it printed. Raises BenchError if it fails."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"“{' '.join(command)}” did not end in {seconds:.0f} s.") from None
    if done.returncode:
        words = done.stderr.strip().splitlines()[-1:] or ["it said nothing."]
        raise BenchError(f"“{' '.join(command)}” failed: {words[0]}")
    return done.stdout


def last_words(log: Path) -> str:
    """Return the last line of a log."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing."
