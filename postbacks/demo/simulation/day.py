"""A day of traffic of a mobile game, as the calls that its SDKs and ad networks make.

Everything but the time of day comes from the seed. Two seeds share no id, so one data folder can
take many days; the same seed gives the same day again.
"""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from random import Random

from postbacks.demo.networks import DemoApp
from postbacks.demo.simulation.app_usage import TimedEvent
from postbacks.demo.simulation.devices import new_id
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
DEVICES_AFTER_HISTORY = 20

_LIVE_VISIT_SHARE = 0.05
_RETURNING_SHARE = 0.03
_TOO_OLD_BY = timedelta(days=90)
_AHEAD_BY = timedelta(days=20)

_Fields = Mapping[str, object]


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

    A device's events are in the order in which they happened, the install first; see `SdkFailures`
    for events that are sent twice or malformed.
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


def _without_name(fields: _Fields, now: datetime) -> _Fields:
    return {name: value for name, value in fields.items() if name != "event_name"}


def _with_revenue_in_words(fields: _Fields, now: datetime) -> _Fields:
    return {**fields, "event_name": "purchase", "revenue": "four ninety-nine", "currency": "USD"}


def _too_old(fields: _Fields, now: datetime) -> _Fields:
    return {**fields, "event_time": (now - _TOO_OLD_BY).isoformat(timespec="seconds")}


def _too_far_ahead(fields: _Fields, now: datetime) -> _Fields:
    return {**fields, "event_time": int((now + _AHEAD_BY).timestamp())}


def _with_foreign_bundle_id(fields: _Fields, now: datetime) -> _Fields:
    return {**fields, "bundle_id": "com.example.somebody-else"}


def _with_unknown_currency(fields: _Fields, now: datetime) -> _Fields:
    return {**fields, "event_name": "purchase", "revenue": "120", "currency": "GEM"}


EVENT_ERRORS: tuple[Callable[[_Fields, datetime], _Fields], ...] = (
    _without_name,
    _with_revenue_in_words,
    _too_old,
    _too_far_ahead,
    _with_foreign_bundle_id,
    _with_unknown_currency,
)


class SdkFailures:
    """Applies failures to one app's batches, in turn, so that chance leaves none out."""

    def __init__(self, rng: Random, now: datetime) -> None:
        self._rng = rng
        self._now = now
        self._event_errors = cycle(EVENT_ERRORS)
        self._batch_number = 0
        self._unanswered: list[SentEvent] = []

    def apply(self, batch: Sequence[SentEvent]) -> list[list[SentEvent]]:
        """Return the batches that are sent in place of one; they contain each good event.

        A repeated event always comes after its original, in the same batch or in a later one.
        """
        self._batch_number += 1
        sent = [*self._unanswered, *batch]
        self._unanswered = []
        match self._batch_number % 20:
            case 3 | 7 | 11 | 18:
                return [self._with_malformed_events(sent)]
            case 5:
                return [self._with_repeated_event(sent)]
            case 9:
                return [sent, sent]  # the response was lost, so all of it is sent again
            case 13:
                self._unanswered = sent[-3:]  # lost as well, but new events join the retry
            case 16:
                return [sent, [self._malformed(event) for event in sent[:4]]]
        return [sent]

    def _with_malformed_events(self, batch: Sequence[SentEvent]) -> list[SentEvent]:
        mixed = list(batch)
        for _ in range(self._rng.randint(1, 3)):
            malformed = self._malformed(self._rng.choice(batch))
            mixed.insert(self._rng.randint(0, len(mixed)), malformed)
        return mixed

    def _with_repeated_event(self, batch: Sequence[SentEvent]) -> list[SentEvent]:
        """Repeat one event right after itself, as a client without a lock on its queue does."""
        index = self._rng.randrange(len(batch))
        return [*batch[: index + 1], *batch[index:]]

    def _malformed(self, event: SentEvent) -> SentEvent:
        fields = {**event.fields, "event_id": new_id(self._rng)}
        return SentEvent(next(self._event_errors)(fields, self._now), well_formed=False)
