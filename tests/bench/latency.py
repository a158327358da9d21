"""Row 6: from an event's commit, which its 202 follows, to the commit of its attempt.

One event per request in an open loop: the next one is sent on time, whether or not the last one
has been answered. PostgreSQL tells when it committed each row.
"""

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from tests.bench import sample
from tests.bench.client import Client
from tests.bench.sides import Side
from tests.bench.stage import Stage

_CONNECTIONS = 24
_SECONDS = 60.0
_ROUNDING = timedelta(milliseconds=1)  # a moment may be stored to the millisecond


def measure(stage: Stage, side_index: int, rate: int, seconds: float) -> list[float]:
    """Measure one side once and return each event's latency in milliseconds."""
    side = stage.sides[side_index]
    count = round(rate * seconds)
    before = side.count_logged()
    bodies = [json.dumps(sample.event(number)).encode() for number in range(count)]
    began_at = datetime.now(UTC) - _ROUNDING
    turns = itertools.count()
    starts_at = time.monotonic() + 0.1
    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        senders = [
            threads.submit(_send, side, bodies, turns, rate, starts_at) for _ in range(_CONNECTIONS)
        ]
        for sender in senders:
            sender.result()
    stage.settle(side, expected=before + count, seconds=_SECONDS)
    return side.latencies_since(began_at)


def _send(
    side: Side, bodies: list[bytes], turns: "itertools.count[int]", rate: int, starts_at: float
) -> None:
    with Client(side) as client:
        for turn in turns:  # `next` of a count is one step, which threads can't share
            if turn >= len(bodies):
                return
            time.sleep(max(0.0, starts_at + turn / rate - time.monotonic()))
            client.send(bodies[turn], events=1)
