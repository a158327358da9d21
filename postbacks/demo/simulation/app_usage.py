"""What one player lives through: the first start, the tutorial, levels, purchases, coming back."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from postbacks.demo.networks import DemoApp
from postbacks.demo.simulation.devices import SimulatedDevice, new_id
from postbacks.demo.simulation.model import SentEvent

LIFE_CYCLE = frozenset({"install", "open"})

_PRICES: Mapping[str, Mapping[str, str]] = {
    "gems_pouch": {"USD": "1.99", "EUR": "2.29", "GBP": "1.99", "JPY": "300", "BRL": "9.90"},
    "gems_chest": {"USD": "9.99", "EUR": "10.99", "GBP": "8.99", "JPY": "1500", "BRL": "49.90"},
    "no_ads": {"USD": "4.99", "EUR": "5.49", "GBP": "4.99", "JPY": "800", "BRL": "27.90"},
}
_WORLDS = ("Coral Bay", "Lantern Pier", "Smuggler's Cove", "Port d'Émeraude")
# People call themselves anything, also what looks like a macro or must be escaped.
_NICKNAMES = ("Zoë", "gem&co", "ハル", "O'Neil", "100% luck", "{{idfa}}", 'the "captain"', "a+b c")


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """This is an event and when its device got to send it."""

    sent_at: datetime
    event: SentEvent


@dataclass(frozen=True, slots=True)
class _PlannedEvent:
    """This is one thing that a player does, some time after the one before."""

    name: str
    pause: timedelta
    details: Mapping[str, object] = field(default_factory=dict)


def simulate_usage(
    rng: Random, player: SimulatedDevice, start: datetime, *, offline: timedelta
) -> Iterator[TimedEvent]:
    """Yield a player's events in order, from the first start on.

    A device that was `offline` sends all of them that much later than they happened.
    """
    moment = start
    facts = dict(player.facts)
    for deed in _planned_events(rng, player):
        moment += deed.pause
        if deed.name == "registration":
            facts["customer_user_id"] = player.customer_user_id
        fields = {
            "event_id": new_id(rng),
            "event_name": deed.name,
            "event_time": _format_time(moment - offline, player),
        }
        evidence = player.evidence if deed.name in LIFE_CYCLE else {}
        yield TimedEvent(moment, SentEvent({**fields, **facts, **evidence, **deed.details}))


def _planned_events(rng: Random, player: SimulatedDevice) -> Iterator[_PlannedEvent]:
    """Yield what a player does; who never reports an install is known by the first open."""
    if rng.random() < 0.7:
        yield _PlannedEvent("install", timedelta())
    yield _PlannedEvent("open", timedelta(seconds=rng.uniform(1, 4)))
    if rng.random() < 0.04:  # an SDK that forgot that it had said so; it is no second install
        yield _PlannedEvent("install", timedelta(seconds=rng.uniform(5, 300)))
    yield from _onboarding_events(rng)
    level = 1
    for session in range(rng.choices((1, 2, 3), weights=(45, 35, 20))[0]):
        if session:
            yield _PlannedEvent("open", timedelta(minutes=rng.uniform(30, 300)))
        for _ in range(rng.choices((0, 1, 2, 4), weights=(25, 30, 30, 15))[0]):
            level += 1
            yield _level_up(rng, level)
        yield from _revenue_events(rng, player)


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


def _revenue_events(rng: Random, player: SimulatedDevice) -> Iterator[_PlannedEvent]:
    pause = timedelta(seconds=rng.uniform(5, 60))
    if rng.random() < 0.3:
        earned = {"revenue": f"0.{rng.randint(5, 400):05d}", "currency": "USD"}
        params = {"ad_unit": "rewarded_gems", "placement": "out_of_moves"}
        yield _PlannedEvent("ad_impression", pause, {**earned, "params": params})
    if rng.random() < 0.22:
        yield _PlannedEvent("purchase", pause, purchase_fields(rng, player))


def purchase_fields(rng: Random, player: SimulatedDevice) -> dict[str, object]:
    """Return the details of a purchase in the player's own money."""
    product_id, prices = rng.choice(list(_PRICES.items()))
    price = prices[player.market.currency]
    return {
        # Money may be written as a string or as a number; SDKs do both.
        "revenue": price if rng.random() < 0.5 else json.loads(price),
        "currency": player.market.currency,
        "quantity": 1,
        "product_id": f"{player.facts['bundle_id']}.{product_id}",
        "transaction_id": _transaction_id(rng, player.app),
    }


def _transaction_id(rng: Random, app: DemoApp) -> str:
    if app is DemoApp.IOS:
        return f"2000{rng.randrange(10**14):014d}"
    digits = f"{rng.randrange(10**17):017d}"
    return f"GPA.{digits[:4]}-{digits[4:8]}-{digits[8:12]}-{digits[12:]}"


def _format_time(moment: datetime, player: SimulatedDevice) -> str | int:
    """Return the time as this player's SDK writes it: three ways are allowed, each in use."""
    version = player.facts["app_version"]
    if version == "3.2.0":
        return int(moment.timestamp())
    if version == "3.2.1":
        return int(moment.timestamp() * 1000)
    return moment.isoformat(timespec="milliseconds")
