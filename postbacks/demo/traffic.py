"""A believable day of a mobile game, as the calls that its SDKs make.

Everything but the time of day comes from the seed: two seeds share no id, so a data folder can live
through many days, and one seed can be lived again.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random

from postbacks.demo.calls import SdkCall, SentEvent
from postbacks.demo.mishaps import Mishaps
from postbacks.demo.players import make_player
from postbacks.demo.rules import DemoApp
from postbacks.demo.story import Moment, live

DEFAULT_DEVICES = 320  # makes about 4,000 postbacks under the demo's rules

_IOS_SHARE = 0.5
_OFFLINE_SHARE = 0.08
_LONGEST_OFFLINE_DAYS = 50.0  # events may be 58 days old


def simulate_day(
    *, seed: int, devices: int, now: datetime, ios_bundle: str, android_bundle: str
) -> list[SdkCall]:
    """Return the calls of the 24 hours before `now`, in the order in which they are sent.

    A device's events are in the order in which it lived them, the install first; see mishaps for
    what is sent twice or wrongly. `now` must be aware.
    """
    rng = Random(seed)  # noqa: S311  # a game's day, not a secret
    bundles = {DemoApp.IOS: ios_bundle, DemoApp.ANDROID: android_bundle}
    moments = [
        moment
        for _ in range(devices)
        for moment in _one_device(rng, bundles, now)
        if moment.sent_at <= now
    ]
    moments.sort(key=lambda moment: moment.sent_at)
    mishaps = {app: Mishaps(rng, now) for app in DemoApp}
    return [
        _call(rng, app, sent)
        for app, batch in _batches(rng, moments)
        for sent in mishaps[app].strike(batch)
    ]


def _one_device(rng: Random, bundles: dict[DemoApp, str], now: datetime) -> Iterator[Moment]:
    app = DemoApp.IOS if rng.random() < _IOS_SHARE else DemoApp.ANDROID
    player = make_player(rng, app, bundles[app])
    start = now - timedelta(hours=rng.triangular(0.1, 24, 6))
    return live(rng, player, start, offline=_time_offline(rng))


def _time_offline(rng: Random) -> timedelta:
    """Return how late a device reports: most at once, some after a flight, some after weeks."""
    if rng.random() >= _OFFLINE_SHARE:
        return timedelta()
    if rng.random() < 0.6:
        return timedelta(hours=rng.uniform(2, 36))
    return timedelta(days=rng.uniform(2, _LONGEST_OFFLINE_DAYS))


def _batches(rng: Random, moments: Sequence[Moment]) -> Iterator[tuple[DemoApp, list[SentEvent]]]:
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
