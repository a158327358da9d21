"""Many clients at once: wrk, or threads of Python where it is missing, which take more for it."""

import json
import re
import secrets
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from tests.bench import sample, sink
from tests.bench.children import BenchError

SINGLE_CLIENTS = 64
BATCH_CLIENTS = 4
_THREADS = 16  # of Python at most
_SECONDS = 120
_SCRIPT = Path(__file__).with_name("load.lua")
_REFUSED = re.compile(r"refused (\d+)")


@dataclass(frozen=True, slots=True)
class Door:
    """An address that takes events: what is called, in which words, and how often in a round."""

    name: str
    port: int
    key: str
    path: str = sample.EVENTS_PATH


def send(door: Door, requests: int, *, batch: int = 1) -> float:
    """Send so many requests and return the seconds until they were answered.

    `batch` is the number of events in each; 1 sends a bare event. Raises BenchError if any of them
    was refused.
    """
    started_at = time.monotonic()
    if wrk := sink.program("wrk"):
        _by_wrk(wrk, door, requests, batch)
    else:
        _by_threads(door, requests, batch)
    return time.monotonic() - started_at


def _clients(batch: int) -> int:
    return SINGLE_CLIENTS if batch == 1 else BATCH_CLIENTS


def _by_wrk(wrk: str, door: Door, requests: int, batch: int) -> None:
    words = [str(requests), str(batch), str(secrets.randbelow(2**31)), door.key, _template()]
    command = [
        wrk,
        "-t1",
        f"-c{_clients(batch)}",
        f"-d{_SECONDS}s",
        f"--timeout={_SECONDS}s",
        f"--script={_SCRIPT}",
        f"http://{sink.HOST}:{door.port}{door.path}",
        "--",
        *words,
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_SECONDS + 10, check=False
    )
    match = _REFUSED.search(done.stdout)
    if not match:
        raise BenchError(f"wrk did not end with {door.name}: {done.stdout[-300:]}{done.stderr}")
    _check(door, int(match[1]))


def _template() -> str:
    event = {
        **sample.event(0),
        "event_id": "EVENT_ID",
        "install_id": "device-DEVICE",
        "idfa": "6D92078A-8246-4BA4-AE5B-DEVICE",
    }
    return json.dumps(event)


def _by_threads(door: Door, requests: int, batch: int) -> None:
    numbers = range(requests * batch)
    bodies = [json.dumps(sample.event(number)).encode() for number in numbers]
    if batch > 1:
        bodies = sample.batches(requests * batch)
    count = min(_THREADS, _clients(batch))
    with ThreadPoolExecutor(count) as threads:
        shares = [bodies[number::count] for number in range(count)]
        for done in [threads.submit(_send, door, share) for share in shares]:
            done.result()


def _send(door: Door, bodies: list[bytes]) -> None:
    headers = {"Authorization": f"Bearer {door.key}", "Content-Type": "application/json"}
    connection = HTTPConnection(sink.HOST, door.port, timeout=_SECONDS)
    for body in bodies:
        connection.request("POST", door.path, body, headers)
        response = connection.getresponse()
        response.read()
        _check(door, 0 if response.status in {200, 202} else response.status)
    connection.close()


def _check(door: Door, refused: int) -> None:
    if refused:
        raise BenchError(f"{door.name} answered {refused}.")
