"""Workers in processes of their own, which tests may kill: each works until then.

`python -m tests.pipeline.worker_process HOST USER DATABASE` loads everything once. For each line
that it reads it forks a worker, and answers with the worker's process id.
"""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import django
import psutil

from postbacks.infrastructure.processes import die_with_parent


class WorkerNursery:
    """Starts workers on a database by forking, which takes a moment and not two seconds."""

    def __init__(self, host: str, user: str, name: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.pipeline.worker_process", host, user, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def worker(self) -> Iterator[psutil.Process]:
        """Run a worker, which is dead at the end if it was not killed before."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("start\n")
        self._process.stdin.flush()
        process = psutil.Process(int(self._process.stdout.readline()))
        try:
            yield process
        finally:
            with suppress(psutil.NoSuchProcess):
                process.kill()
            process.wait(60)

    def close(self) -> None:
        """End the nursery, and with it every worker that is left."""
        self._process.communicate()


def _serve(host: str, user: str, name: str) -> None:
    from django.db import connection

    from postbacks import pipeline
    from postbacks.infrastructure.database import roles
    from postbacks.rulebook import held_postbacks, saving

    def work() -> None:
        while True:
            held_postbacks.work(5)
            saving.move_queued(5)
            if not pipeline.work(5):
                time.sleep(0.01)

    connection.settings_dict.update(HOST=host, USER=user, NAME=name)
    connection.settings_dict["OPTIONS"]["assume_role"] = roles.WORKER
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # or the dead would stay as zombies
    end_with_nursery = die_with_parent(signal.SIGKILL)
    gc.freeze()
    for _ in sys.stdin:
        pid = os.fork()
        if not pid:
            if end_with_nursery:
                end_with_nursery()
            work()
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    django.setup()
    _serve(*sys.argv[1:])
