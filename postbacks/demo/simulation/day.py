"""A believable day of a mobile game, as the calls that its SDKs make.

Everything but the time of day comes from the seed: two seeds share no id, so a data folder can live
through many days, and one seed can be lived again.
"""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random

from postbacks.demo.networks import DemoApp
from postbacks.demo.simulation.app_usage import TimedEvent
from postbacks.demo.simulation.failures import SdkFailures
from postbacks.demo.simulation.model import (
    DeviceKey,
    GroundTruth,
    LiveVisit,
    SdkCall,
    SentEvent,
    SimulatedTouch,
)
from postbacks.demo.simulation.population import Population

DEFAULT_DEVICES = 320  # makes about 4,000 postbacks under the demo's rules

_VISITOR_SHARE = 0.05
_COMEBACK_SHARE = 0.03


@dataclass(frozen=True, slots=True)
class SimulatedDay:
    """This is what is sent for a day, in this order, and what is true of it.

    First come the `touches` that networks report and the taps of `visits`, then the apps' `calls`
    and those of the visits. When all these are dealt with come the `late` reports and the
    `comebacks` of people who had removed the game.
    """

    touches: tuple[SimulatedTouch, ...]
    visits: tuple[LiveVisit, ...]
    calls: tuple[SdkCall, ...]
    late: tuple[SimulatedTouch, ...]
    comebacks: tuple[LiveVisit, ...]
    truths: Mapping[DeviceKey, GroundTruth]
    ways: Mapping[str, str]  # what happened, by click id

    @property
    def all_calls(self) -> tuple[SdkCall, ...]:
        """The calls of all players; a visitor's has its body only when it is sent."""
        visits = (*self.visits, *self.comebacks)
        return (*self.calls, *(visit.call_without_time for visit in visits))


def simulate_day(
    *, seed: int, devices: int, now: datetime, ios_bundle: str, android_bundle: str
) -> SimulatedDay:
    """Return the 24 hours before `now`, each kind in the order in which it is sent.

    A device's events are in the order in which it lived them, the install first; see mishaps for
    what is sent twice or wrongly. `now` must be aware.
    """
    rng = Random(seed)  # noqa: S311  # a game's day, not a secret
    bundles = {DemoApp.IOS: ios_bundle, DemoApp.ANDROID: android_bundle}
    visitors = round(devices * _VISITOR_SHARE)
    people = Population(rng, bundles, now)
    visits = tuple(people.visit() for _ in range(visitors))
    lives = [people.live() for _ in range(devices - visitors)]
    moments = [moment for life in lives for moment in life.moments if moment.sent_at <= now]
    comebacks = tuple(people.comebacks(lives, _COMEBACK_SHARE))
    moments.sort(key=lambda moment: moment.sent_at)
    mishaps = {app: SdkFailures(rng, now) for app in DemoApp}
    return SimulatedDay(
        touches=_by_time(touch for life in lives for touch in life.journey.touches),
        visits=visits,
        calls=tuple(
            _call(rng, app, sent)
            for app, batch in _batches(rng, moments)
            for sent in mishaps[app].strike(batch)
        ),
        late=_by_time(touch for life in lives for touch in life.journey.late),
        comebacks=comebacks,
        truths={
            **{life.device: life.journey.truth for life in lives},
            **{visit.device: visit.truth for visit in (*visits, *comebacks)},
        },
        ways={
            **{touch.click_id: life.way for life in lives for touch in life.journey.all_touches},
            **{visit.click.click_id: "visited" for visit in visits if visit.click},
        },
    )


def _by_time(touches: Iterable[SimulatedTouch]) -> tuple[SimulatedTouch, ...]:
    return tuple(sorted(touches, key=lambda touch: touch.at))


def _batches(
    rng: Random, moments: Sequence[TimedEvent]
) -> Iterator[tuple[DemoApp, list[SentEvent]]]:
    """Yield what each app's relay sends at once: it collects events until it has enough."""
    waiting: dict[DemoApp, list[SentEvent]] = {app: [] for app in DemoApp}
    enough = {app: _batch_size(rng) for app in DemoApp}
    for moment in moments:
        app = DemoApp(str(moment.event.fields["platform"]))
        waiting[app].append(moment.event)
        if len(waiting[app]) >= enough[app]:
            yield app, waiting[app]
            waiting[app] = []
            enough[app] = _batch_size(rng)
    yield from ((app, batch) for app, batch in waiting.items() if batch)


def _batch_size(rng: Random) -> int:
    """Return 1 to 40 events, mostly few; mishaps may add some, up to 50."""
    smallest, largest = rng.choices(((1, 1), (2, 10), (11, 40)), weights=(30, 50, 20))[0]
    return rng.randint(smallest, largest)


def _call(rng: Random, app: DemoApp, events: Sequence[SentEvent]) -> SdkCall:
    """Return the call in one of the forms that the API takes."""
    items = [event.fields for event in events]
    form: object = items
    if len(items) == 1 and rng.random() < 0.7:
        form = items[0]
    elif rng.random() < 0.4:
        form = {"events": items}
    body = json.dumps(form, ensure_ascii=rng.random() < 0.5).encode()
    compressed = rng.random() < 0.35
    if compressed:
        body = gzip.compress(body, mtime=0)
    return SdkCall(app=app, body=body, gzip=compressed, events=tuple(events))
