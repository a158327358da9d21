"""The whole way of events with installs among them: credited to clicks, and not credited at all.

Every device opens the app once and buys four times. With attribution its first open is an install
that a click has earned; without, the event has a name that means nothing to us. Both deliver the
same number of postbacks.
"""

import itertools
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg

from apps_registry.models import TrackingLink
from tests.bench import sample, touches
from tests.bench.children import BenchError
from tests.bench.client import Client
from tests.bench.plan import Plan
from tests.bench.stage import Stage
from tests.bench.sums import AtLeast, Row, Spread

_WITHOUT, _WITH = "without", "with attribution"
_CONNECTIONS = 4
_SECONDS = 300.0
_PER_DEVICE = 5
_NOT_YET = "UPDATE unsettled_install SET due_at = final_at"
_CREDITED = "SELECT count(*) FROM install WHERE attribution_type = 'click'"


def measure(stage: Stage, plan: Plan) -> Row:
    """Measure both by turns, round after round."""
    link = touches.make_link(stage.account, "Lumen Ads")
    devices = itertools.count(500_000)
    rounds: dict[str, list[float]] = {_WITHOUT: [], _WITH: []}
    for _ in range(plan.crediting_rounds):
        for side, rates in rounds.items():
            rates.append(_measure(stage, link, side, plan.crediting_events, devices))
    _check(stage, plan)
    return Row(
        name="The whole way, one event in five an install: credited to a click, or not at all",
        unit="events/s",
        figures={side: Spread(tuple(rates)) for side, rates in rounds.items()},
        compared_with=(_WITHOUT,),
        goals=(AtLeast(0.5, _WITH, _WITHOUT),),
        notes=(
            f"{plan.crediting_rounds} interleaved rounds of {plan.crediting_events:,} events; "
            "the second look at an install, a minute later, is not among them.",
        ),
    )


def _measure(
    stage: Stage, link: TrackingLink, side: str, count: int, devices: "itertools.count[int]"
) -> float:
    ours = stage.sides[-1]
    last = ours.last_postback()
    named = [f"{next(devices):012d}" for _ in range(count // _PER_DEVICE)]
    if side == _WITH:
        idfas = (f"6D92078A-8246-4BA4-AE5B-{device}" for device in named)
        touches.click(stage.account, link, idfas, at=datetime.now(UTC))
    bodies = _bodies(named, first="open" if side == _WITH else "session_start")
    started_at = time.monotonic()
    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        shares = [bodies[number::_CONNECTIONS] for number in range(_CONNECTIONS)]
        for done in [threads.submit(_send, stage, share) for share in shares]:
            done.result()
    stage.children.wait_until(ours.is_idle, "all is delivered", seconds=_SECONDS)
    seconds = time.monotonic() - started_at
    stage.settle(ours, after=last, expected=count - len(named))
    with psycopg.connect(ours.conninfo, autocommit=True) as superuser:
        superuser.execute(_NOT_YET)  # the next round is not to pay for this one
    return count / seconds


def _bodies(devices: Sequence[str], *, first: str) -> list[bytes]:
    """Return the devices' events in bodies of 100, each device's one after the other."""
    events = [
        {
            **sample.event(0),
            "event_name": "purchase" if number else first,
            "install_id": f"device-{device}",
            "idfa": f"6D92078A-8246-4BA4-AE5B-{device}",
        }
        for device in devices
        for number in range(_PER_DEVICE)
    ]
    return [
        json.dumps(events[start : start + sample.BATCH]).encode()
        for start in range(0, len(events), sample.BATCH)
    ]


def _send(stage: Stage, bodies: Sequence[bytes]) -> None:
    with Client(stage.sides[-1]) as client:
        for body in bodies:
            client.send(body, events=sample.BATCH)


def _check(stage: Stage, plan: Plan) -> None:
    """Make sure that every install was credited: to measure less would be easy."""
    expected = plan.crediting_rounds * (plan.crediting_events // _PER_DEVICE)
    with psycopg.connect(stage.sides[-1].conninfo) as superuser:
        row = superuser.execute(_CREDITED).fetchone()
    if row is None or row[0] != expected:
        raise BenchError(f"{row} installs were credited, not {expected}.")
