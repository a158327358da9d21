"""A day of traffic of a mobile game, as the calls that its SDKs and ad networks make.

Everything but the time of day comes from the seed. Two seeds share no id, so one data folder can
take many days; the same seed gives the same day again.
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

_LIVE_VISIT_SHARE = 0.05
_RETURNING_SHARE = 0.03


@dataclass(frozen=True, slots=True)
class SimulatedDay:
    """The traffic of a day, in the order in which it is sent, and its ground truth.

    First the networks report `touches` and the users of `visits` click; then come the apps' `calls`
    and those of the visits. Once all of these are decided, the `late` reports and the `comebacks`
    of users who had removed the game follow.
    """

    touches: tuple[SimulatedTouch, ...]
    visits: tuple[LiveVisit, ...]
    calls: tuple[SdkCall, ...]
    late: tuple[SimulatedTouch, ...]
    comebacks: tuple[LiveVisit, ...]
    truths: Mapping[DeviceKey, GroundTruth]
    scenarios: Mapping[str, str]  # the scenario's name, by click id

    @property
    def all_calls(self) -> tuple[SdkCall, ...]:
        """Return the calls of all devices; those of visits have no body until they are sent."""
        visits = (*self.visits, *self.comebacks)
        return (*self.calls, *(visit.call_without_time for visit in visits))


def simulate_day(
    *, seed: int, devices: int, now: datetime, ios_bundle: str, android_bundle: str
) -> SimulatedDay:
    """Return the 24 hours before `now`, which must be aware.

    A device's events are in the order in which they happened, the install first; see `failures` for
    events that are sent twice or malformed.
    """
    rng = Random(seed)  # noqa: S311  # a game's day, not a secret
    bundles = {DemoApp.IOS: ios_bundle, DemoApp.ANDROID: android_bundle}
    visit_count = round(devices * _LIVE_VISIT_SHARE)
    population = Population(rng, bundles, now)
    visits = tuple(population.live_visit() for _ in range(visit_count))
    acquired = [population.acquire() for _ in range(devices - visit_count)]
    events = [event for device in acquired for event in device.events if event.sent_at <= now]
    comebacks = tuple(population.returning_visits(acquired, _RETURNING_SHARE))
    events.sort(key=lambda event: event.sent_at)
    failures = {app: SdkFailures(rng, now) for app in DemoApp}
    return SimulatedDay(
        touches=_by_time(touch for device in acquired for touch in device.acquisition.touches),
        visits=visits,
        calls=tuple(
            _call(rng, app, sent)
            for app, batch in _batches(rng, events)
            for sent in failures[app].apply(batch)
        ),
        late=_by_time(touch for device in acquired for touch in device.acquisition.late),
        comebacks=comebacks,
        truths={
            **{device.key: device.acquisition.truth for device in acquired},
            **{visit.device: visit.truth for visit in (*visits, *comebacks)},
        },
        scenarios={
            **{
                touch.click_id: device.scenario
                for device in acquired
                for touch in device.acquisition.all_touches
            },
            **{visit.click.click_id: "live visit" for visit in visits if visit.click},
        },
    )


def _by_time(touches: Iterable[SimulatedTouch]) -> tuple[SimulatedTouch, ...]:
    return tuple(sorted(touches, key=lambda touch: touch.at))


def _batches(
    rng: Random, events: Sequence[TimedEvent]
) -> Iterator[tuple[DemoApp, list[SentEvent]]]:
    """Yield the batches of each app's relay, which sends once it has collected enough events."""
    queues: dict[DemoApp, list[SentEvent]] = {app: [] for app in DemoApp}
    sizes = {app: _batch_size(rng) for app in DemoApp}
    for timed in events:
        app = DemoApp(str(timed.event.fields["platform"]))
        queues[app].append(timed.event)
        if len(queues[app]) >= sizes[app]:
            yield app, queues[app]
            queues[app] = []
            sizes[app] = _batch_size(rng)
    yield from ((app, batch) for app, batch in queues.items() if batch)


def _batch_size(rng: Random) -> int:
    """Return 1 to 40 events, mostly few; failures may add some, up to 50."""
    smallest, largest = rng.choices(((1, 1), (2, 10), (11, 40)), weights=(30, 50, 20))[0]
    return rng.randint(smallest, largest)


def _call(rng: Random, app: DemoApp, events: Sequence[SentEvent]) -> SdkCall:
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
