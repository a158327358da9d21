"""The stand-in ad network as a real process, and a kept connection to it."""

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from postbacks.demo.partner import server

ROOT = Path(__file__).parents[2]


class Entry(TypedDict):
    """An accepted request in the stand-in's list."""

    idempotency_key: str | None
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str
    status: int
    received_at: str


class Listing(TypedDict):
    """The response of /received."""

    accepted: int
    received_twice: int
    answered: dict[str, int]
    requests: list[Entry]


@dataclass(frozen=True, slots=True)
class Reply:
    """The stand-in's response."""

    status: int
    retry_after: str | None
    body: str


class Stand:
    """A running stand-in and a kept connection to it."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "postbacks.demo.partner.server", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--data", str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def ask(self, path: str, *, method: str = "GET", key: str = "", body: bytes = b"") -> Reply:
        headers = {"Idempotency-Key": key} if key else {}
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        answer = response.read()
        return Reply(response.status, response.headers["Retry-After"], answer.decode())

    def received(self, query: str = "") -> Listing:
        listing: Listing = json.loads(self.ask(f"/received{query}").body)
        return listing

    def times_accepted(self) -> dict[str, int]:
        keys: dict[str, int] = json.loads(self.ask("/received/keys").body)["keys"]
        return keys

    def end(self, number: signal.Signals) -> int:
        self._connection.close()
        self.process.send_signal(number)
        return self.process.wait(timeout=10)


@contextmanager
def running(folder: Path) -> Iterator[Stand]:
    stand = Stand(folder)
    try:
        yield stand
    finally:
        stand.end(signal.SIGKILL)
        assert stand.process.stdout is not None
        stand.process.stdout.close()


def key_that_gets(path: str, status: int) -> str:
    """Return a key whose first request under this path gets the status."""
    path_behavior = server.behavior_of(path)
    return next(
        key
        for key in (f"key-{n}" for n in range(10_000))
        if server.first_status(path_behavior, key) == status
    )
