"""Row 6: from the moment an event is sent until its postback has arrived, hop by hop.

One event per request in an open loop: the next one is sent on time, whether or not the last one
has been answered, and its time counts from when it had to be sent. PostgreSQL tells when it
committed each row, the sink when a postback arrived.
"""

import itertools
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.bench import sample
from tests.bench.client import Client
from tests.bench.sides import Moments, Side
from tests.bench.stage import Stage
from tests.bench.sums import percentile

_CONNECTIONS = 24
_SECONDS = 60.0

ARRIVED = "sent → arrived"
LOGGED = "event committed → attempt committed"
HOPS = (
    "sent → committed",
    "committed → answered",
    "committed → attempt begun",
    "begun → arrived",
    "arrived → logged",
)


@dataclass(slots=True)
class _Sender:
    """What the threads share that send on time."""

    side: Side
    bodies: Sequence[bytes]
    rate: int
    starts_at: float
    turns: "itertools.count[int]"  # `next` of a count is one step, which threads can't share
    answered: list[float]

    def due(self, turn: int) -> float:
        return self.starts_at + turn / self.rate

    def run(self) -> None:
        with Client(self.side) as client:
            for turn in self.turns:
                if turn >= len(self.bodies):
                    return
                time.sleep(max(0.0, self.due(turn) - time.time()))
                client.send(self.bodies[turn], events=1)
                self.answered[turn] = time.time()


def measure(stage: Stage, side_index: int, rate: int, seconds: float) -> dict[str, list[float]]:
    """Measure one side once; return each event's milliseconds, in all and of each hop."""
    side = stage.sides[side_index]
    count = round(rate * seconds)
    last = side.last_postback()
    mark = stage.sink.mark()
    events = [sample.event(number) for number in range(count)]
    bodies = [json.dumps(event).encode() for event in events]
    sender = _Sender(side, bodies, rate, time.time() + 0.1, itertools.count(), [0.0] * count)
    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        for done in [threads.submit(sender.run) for _ in range(_CONNECTIONS)]:
            done.result()
    stage.settle(side, after=last, expected=count, seconds=_SECONDS)
    ids = [str(event["event_id"]) for event in events]
    arrivals = _arrivals(stage, mark, ids)
    moments = {each.event_id: each for each in side.moments_of_events(after=last)}
    durations: dict[str, list[float]] = {}
    for turn, id_ in enumerate(ids):
        hops = _hops(sender.due(turn), sender.answered[turn], arrivals[id_], moments[id_])
        for hop, milliseconds in hops.items():
            durations.setdefault(hop, []).append(milliseconds)
    return durations


def percentiles(durations: Mapping[str, Sequence[float]], share: float) -> dict[str, float]:
    """Return a percentile of each hop."""
    return {hop: percentile(values, share) for hop, values in durations.items()}


def _arrivals(stage: Stage, mark: int, ids: Sequence[str]) -> Mapping[str, float]:
    """Return when each postback arrived, once the sink has written all of it down."""
    arrivals: dict[str, float] = {}

    def are_written() -> bool:
        nonlocal arrivals
        arrivals = stage.sink.arrivals(after=mark)
        return arrivals.keys() >= set(ids)

    stage.children.wait_until(are_written, "The sink has noted all", seconds=10, pause=0.1)
    return arrivals


def _hops(sent: float, answered: float, arrived: float, moments: Moments) -> dict[str, float]:
    hops = {
        ARRIVED: (sent, arrived),
        LOGGED: (moments.committed, moments.logged),
        HOPS[0]: (sent, moments.committed),
        HOPS[1]: (moments.committed, answered),
        HOPS[4]: (arrived, moments.logged),
    }
    if moments.begun is not None:
        hops[HOPS[2]] = (moments.committed, moments.begun)
        hops[HOPS[3]] = (moments.begun, arrived)
    return {hop: 1000 * (end - start) for hop, (start, end) in hops.items()}
