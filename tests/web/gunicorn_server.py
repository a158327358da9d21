"""gunicorn on the tests' database, as README, container and demo start it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from tests import database


def serve(**environment: str) -> Iterator[int]:
    """Run it with two threads, and give its port."""
    with running(**environment) as (port, _):
        yield port


@contextmanager
def running(**environment: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """Run it with two threads; give its port and the process of its master."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--workers=1", "--threads=2"),
                f"--bind=fd://{listener.fileno()}",
            ],
            cwd=settings.BASE_DIR,
            env=database.environment() | environment,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
        yield listener.getsockname()[1], process
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def exchange(port: int, request: bytes) -> bytes:
    """Send a request and return all that is answered until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as caller:
        caller.sendall(request)
        answer = b""
        while piece := caller.recv(65_536):
            answer += piece
        return answer
