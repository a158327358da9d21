"""gunicorn on the tests' database, as README, container and demo start it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

from django.conf import settings
from django.db import connection

from tests import database


def serve(**environment: str) -> Iterator[int]:
    """Run it with two threads, and give its port."""
    login, host = connection.settings_dict["USER"], connection.settings_dict["HOST"]
    keys = settings.FIELD_ENCRYPTION_KEYS.items()
    environment = {
        "DATABASE_URL": f"postgresql://{login}@/{database.NAME}?host={host}",
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_ENCRYPTION_KEYS": ",".join(f"{name}:{key}" for name, key in keys),
        **environment,
    }
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--workers=1", "--threads=2"),
                f"--bind=fd://{listener.fileno()}",
            ],
            cwd=settings.BASE_DIR,
            env={**os.environ, **environment},
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
        yield listener.getsockname()[1]
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
