"""The events of one device: first open, onboarding, levels, purchases and further sessions."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from postbacks.demo.networks import DemoApp
from postbacks.demo.simulation.devices import SimulatedDevice, new_id
from postbacks.demo.simulation.model import SentEvent

LIFE_CYCLE_EVENTS = frozenset({"install", "open"})

_PRICES: Mapping[str, Mapping[str, str]] = {
    "gems_pouch": {"USD": "1.99", "EUR": "2.29", "GBP": "1.99", "JPY": "300", "BRL": "9.90"},
    "gems_chest": {"USD": "9.99", "EUR": "10.99", "GBP": "8.99", "JPY": "1500", "BRL": "49.90"},
    "no_ads": {"USD": "4.99", "EUR": "5.49", "GBP": "4.99", "JPY": "800", "BRL": "27.90"},
}
_WORLDS = ("Coral Bay", "Lantern Pier", "Smuggler's Cove", "Port d'Émeraude")
# Nicknames can look like a macro or need escaping.
_NICKNAMES = ("Zoë", "gem&co", "ハル", "O'Neil", "100% luck", "{{idfa}}", 'the "captain"', "a+b c")


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event and the time at which the device can send it."""

    sent_at: datetime
    event: SentEvent


@dataclass(frozen=True, slots=True)
class _PlannedEvent:
    """An event of a session, some time after the one before."""

    name: str
    pause: timedelta
    fields: Mapping[str, object] = field(default_factory=dict)


def simulate_usage(
    rng: Random, device: SimulatedDevice, start: datetime, *, offline: timedelta
) -> Iterator[TimedEvent]:
    """Yield a device's events in order, from the first open at `start` on.

    A device that was `offline` sends all of them that much later than they happened.
    """
    time = start
    sdk_fields = dict(device.sdk_fields)
    for planned in _planned_events(rng, device):
        time += planned.pause
        if planned.name == "registration":
            sdk_fields["customer_user_id"] = device.customer_user_id
        fields = {
            "event_id": new_id(rng),
            "event_name": planned.name,
            "event_time": _format_time(time - offline, device),
        }
        evidence = device.evidence if planned.name in LIFE_CYCLE_EVENTS else {}
        yield TimedEvent(time, SentEvent({**fields, **sdk_fields, **evidence, **planned.fields}))


def purchase_fields(rng: Random, device: SimulatedDevice) -> dict[str, object]:
    """Return the fields of a purchase in the currency of the device's market."""
    product_id, prices = rng.choice(list(_PRICES.items()))
    price = prices[device.market.currency]
    return {
        # Money may be a string or a number; SDKs do both.
        "revenue": price if rng.random() < 0.5 else json.loads(price),
        "currency": device.market.currency,
        "quantity": 1,
        "product_id": f"{device.sdk_fields['bundle_id']}.{product_id}",
        "transaction_id": _transaction_id(rng, device.app),
    }


def _planned_events(rng: Random, device: SimulatedDevice) -> Iterator[_PlannedEvent]:
    if rng.random() < 0.7:  # a device without an install event is known by its first open
        yield _PlannedEvent("install", timedelta())
    yield _PlannedEvent("open", timedelta(seconds=rng.uniform(1, 4)))
    if rng.random() < 0.04:  # a repeated report by the SDK, no second install
        yield _PlannedEvent("install", timedelta(seconds=rng.uniform(5, 300)))
    yield from _onboarding_events(rng)
    level = 1
    for session in range(rng.choices((1, 2, 3), weights=(45, 35, 20))[0]):
        if session:
            yield _PlannedEvent("open", timedelta(minutes=rng.uniform(30, 300)))
        for _ in range(rng.choices((0, 1, 2, 4), weights=(25, 30, 30, 15))[0]):
            level += 1
            yield _level_up(rng, level)
        yield from _revenue_events(rng, device)


def _onboarding_events(rng: Random) -> Iterator[_PlannedEvent]:
    if rng.random() < 0.6:
        nickname = rng.choice(_NICKNAMES)
        times = 2 if rng.random() < 0.1 else 1  # signed out by mistake, and registered again
        for _ in range(times):
            pause = timedelta(seconds=rng.uniform(20, 90))
            yield _PlannedEvent("registration", pause, {"params": {"nickname": nickname}})
    if rng.random() < 0.75:
        pause = timedelta(seconds=rng.uniform(60, 240))
        yield _PlannedEvent("tutorial_complete", pause, {"params": {"skipped": rng.random() < 0.2}})


def _level_up(rng: Random, level: int) -> _PlannedEvent:
    params = {"level": level, "world": rng.choice(_WORLDS), "moves_left": rng.randint(0, 20)}
    return _PlannedEvent("level_up", timedelta(seconds=rng.uniform(60, 400)), {"params": params})


def _revenue_events(rng: Random, device: SimulatedDevice) -> Iterator[_PlannedEvent]:
    pause = timedelta(seconds=rng.uniform(5, 60))
    if rng.random() < 0.3:
        revenue = {"revenue": f"0.{rng.randint(5, 400):05d}", "currency": "USD"}
        params = {"ad_unit": "rewarded_gems", "placement": "out_of_moves"}
        yield _PlannedEvent("ad_impression", pause, {**revenue, "params": params})
    if rng.random() < 0.22:
        yield _PlannedEvent("purchase", pause, purchase_fields(rng, device))


def _transaction_id(rng: Random, app: DemoApp) -> str:
    if app is DemoApp.IOS:
        return f"2000{rng.randrange(10**14):014d}"
    digits = f"{rng.randrange(10**17):017d}"
    return f"GPA.{digits[:4]}-{digits[4:8]}-{digits[8:12]}-{digits[12:]}"


def _format_time(time: datetime, device: SimulatedDevice) -> str | int:
    """Return the time as the SDK of this app version writes it, in one of three allowed forms."""
    version = device.sdk_fields["app_version"]
    if version == "3.2.0":
        return int(time.timestamp())
    if version == "3.2.1":
        return int(time.timestamp() * 1000)
    return time.isoformat(timespec="milliseconds")
