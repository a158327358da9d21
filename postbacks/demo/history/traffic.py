"""What players did in the days before: more by day than at night, and most at weekends."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from postbacks.demo.networks import KITEBIRD, LUMEN, NETWORKS, TIDAL, DemoApp, Network
from postbacks.demo.simulation.app_usage import TimedEvent, simulate_usage
from postbacks.demo.simulation.devices import make_device
from postbacks.demo.simulation.model import SentEvent, SimulatedTouch
from postbacks.demo.simulation.touches import TouchSimulator

DAYS = 14
_PLAYERS_A_DAY = 60
_WEEKEND = 1.35
_GROWTH = 0.02  # a day
_ZONE = ZoneInfo("Europe/Berlin")
_NIGHT, _EVENING = 0.15, 20  # the least share of an hour; the hour with most
_ORGANIC = 0.35
_SHARES = {LUMEN: 5, TIDAL: 3, KITEBIRD: 2}
_IOS = 0.5
_STEP_BY_DAY, _STEP_AT_NIGHT = timedelta(minutes=90), timedelta(hours=3)
_LAST_DAY, _FINE_STEP = timedelta(hours=25), timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What arrives at one moment: clicks of networks first, then events of players."""

    at: datetime
    touches: tuple[SimulatedTouch, ...]
    events: tuple[SentEvent, ...]


def simulate_history(
    rng: Random, now: datetime, bundles: Mapping[DemoApp, str], *, days: int = DAYS
) -> list[Arrivals]:
    """Return what arrived in the days before `now`, oldest first, some of it together."""
    touches: list[SimulatedTouch] = []
    events: list[TimedEvent] = []
    for start in _starts(rng, now, days):
        clicks, usage = _player(rng, start, now, bundles)
        touches += clicks
        events += usage
    touches.sort(key=lambda touch: touch.at)
    events.sort(key=lambda event: event.sent_at)
    return list(_arrivals(rng, now, days, touches, events))


def _starts(rng: Random, now: datetime, days: int) -> Iterator[datetime]:
    """Yield when players install, hour by hour."""
    hours = days * 24
    for back in range(hours, 0, -1):
        hour = now - timedelta(hours=back)
        expected = _PLAYERS_A_DAY / 24 * _weight(hour) * (1 + _GROWTH) ** ((hours - back) / 24)
        count = int(expected) + (rng.random() < expected % 1)
        for _ in range(count):
            yield hour + timedelta(minutes=rng.uniform(0, 59))


def _weight(moment: datetime) -> float:
    """Return how busy an hour is; the mean of a weekday is about 1."""
    local = moment.astimezone(_ZONE)
    wave = (1 + math.cos((local.hour - _EVENING) / 24 * 2 * math.pi)) / 2
    weekend = _WEEKEND if local.weekday() >= 5 else 1.0  # Saturday, Sunday
    return (_NIGHT + 1.7 * wave) * weekend


def _player(
    rng: Random, start: datetime, now: datetime, bundles: Mapping[DemoApp, str]
) -> tuple[list[SimulatedTouch], list[TimedEvent]]:
    app = DemoApp.IOS if rng.random() < _IOS else DemoApp.ANDROID
    device = make_device(rng, app, bundles[app])
    simulator = TouchSimulator(rng, device, start, now)
    clicks: list[SimulatedTouch] = []
    evidence = simulator.store_evidence()
    if rng.random() >= _ORGANIC:
        network: Network = rng.choices(NETWORKS, [_SHARES[each] for each in NETWORKS])[0]
        click = replace(simulator.click(network), by_link=False)
        clicks.append(click)
        evidence = simulator.click_evidence(click)
        if rng.random() < 0.4:  # most people look twice
            clicks.append(replace(simulator.impression(network), by_link=False))
    clicks += [
        replace(simulator.click(rng.choice(NETWORKS)), ids={}) for _ in range(rng.randint(0, 2))
    ]
    usage = simulate_usage(rng, replace(device, evidence=evidence), start, offline=timedelta())
    return clicks, [event for event in usage if event.sent_at < now]


def _arrivals(
    rng: Random,
    now: datetime,
    days: int,
    touches: Sequence[SimulatedTouch],
    events: Sequence[TimedEvent],
) -> Iterator[Arrivals]:
    at, clicks, sent = (now - timedelta(days=days)).replace(microsecond=0), 0, 0
    while at < now:
        at = min(at + _step(at, now), now)
        moment = at - timedelta(milliseconds=rng.randint(1_000, 50_000))
        first_click, first_event = clicks, sent
        while clicks < len(touches) and touches[clicks].at < moment:
            clicks += 1
        while sent < len(events) and events[sent].sent_at < moment:
            sent += 1
        yield Arrivals(
            moment,
            tuple(touches[first_click:clicks]),
            tuple(event.event for event in events[first_event:sent]),
        )


def _step(at: datetime, now: datetime) -> timedelta:
    if at >= now - _LAST_DAY:
        return _FINE_STEP
    return _STEP_BY_DAY if 8 <= at.astimezone(_ZONE).hour < 23 else _STEP_AT_NIGHT
