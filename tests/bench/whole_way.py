"""Rows 3 and 5: events in over HTTP → stored → matched → rendered → delivered → logged, per second.

Batches of 100 over four kept connections, or one event a request from 64 clients; the time runs
from the first request until nothing is left unacknowledged.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.bench import load, sample
from tests.bench.client import Client
from tests.bench.load import Door
from tests.bench.sides import Side
from tests.bench.stage import Stage

_CONNECTIONS = 4
_SECONDS = 300.0


def measure(stage: Stage, side_index: int, count: int) -> float:
    """Measure one side once and return its rate."""
    side = stage.sides[side_index]
    last = side.last_postback()
    bodies = sample.batches(count)
    started_at = time.monotonic()
    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        shares = [bodies[number::_CONNECTIONS] for number in range(_CONNECTIONS)]
        for done in [threads.submit(_send, side, share) for share in shares]:
            done.result()
    stage.children.wait_until(side.is_idle, f"{side.name} has delivered", seconds=_SECONDS)
    seconds = time.monotonic() - started_at
    stage.settle(side, after=last, expected=count)
    return count / seconds


def measure_single(stage: Stage, side_index: int, count: int) -> float:
    """Measure one side once, one event a request, and return its rate."""
    side = stage.sides[side_index]
    last = side.last_postback()
    started_at = time.monotonic()
    load.send(Door(side.name, side.port, side.key), count)
    stage.children.wait_until(side.is_idle, f"{side.name} has delivered", seconds=_SECONDS)
    seconds = time.monotonic() - started_at
    stage.settle(side, after=last, expected=count)
    return side.count_logged(after=last) / seconds


def _send(side: Side, bodies: Sequence[bytes]) -> None:
    with Client(side) as client:
        for body in bodies:
            client.send(body, events=sample.BATCH)
