"""The people of a day who open the game for the first time, and how they came to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import cycle
from random import Random

from postbacks.demo.networks import NETWORKS, DemoApp
from postbacks.demo.simulation.app_usage import TimedEvent, purchase_fields, simulate_usage
from postbacks.demo.simulation.devices import SimulatedDevice, make_device, new_id
from postbacks.demo.simulation.model import (
    Acquisition,
    DeviceKey,
    GroundTruth,
    LiveVisit,
    OpenKind,
    SentEvent,
    truth_of,
)
from postbacks.demo.simulation.scenarios import ScenarioDeck, organic, single_click
from postbacks.demo.simulation.touches import TouchSimulator

_IOS_SHARE = 0.5
_OFFLINE_SHARE = 0.08
_LONGEST_OFFLINE_DAYS = 50.0  # events may be 58 days old
# A touchpoint counts if it is reported within 12 hours; the oldest is three hours before the start.
_LONGEST_SINCE_AD = 8.5
_CAN_COME_BACK = (organic.__name__, single_click.__name__)


@dataclass(frozen=True, slots=True)
class AcquiredDevice:
    """This is a player's day and the way to it."""

    player: SimulatedDevice
    way: str
    journey: Acquisition
    moments: tuple[TimedEvent, ...]

    @property
    def device(self) -> DeviceKey:
        """The device, as truths name it."""
        return self.player.app, str(self.player.facts["install_id"])


class Population:
    """This makes the players of one day."""

    def __init__(self, rng: Random, bundles: Mapping[DemoApp, str], now: datetime) -> None:
        self._rng = rng
        self._bundles = bundles
        self._now = now
        self._ways = ScenarioDeck(rng)
        self._networks = cycle(NETWORKS)

    def live(self) -> AcquiredDevice:
        """Return a player who comes at some time of the day."""
        player = self._player()
        start = self._now - timedelta(hours=self._rng.triangular(0.3, _LONGEST_SINCE_AD, 6))
        scene = TouchSimulator(self._rng, player, start, self._now)
        way = self._ways.next(scene)
        offline = timedelta()
        if way is organic:
            start = self._now - timedelta(hours=self._rng.triangular(0.1, 24, 6))
            offline = self._time_offline()
            scene = replace(scene, start=start - offline)
        journey = way(scene)
        player = replace(player, evidence=journey.evidence)
        moments = tuple(simulate_usage(self._rng, player, start, offline=offline))
        return AcquiredDevice(player, way.__name__, journey, moments)

    def visit(self) -> LiveVisit:
        """Return a player who taps an ad while the demo runs; iOS shows nothing but an IDFA."""
        player = self._player()
        scene = TouchSimulator(self._rng, player, self._now, self._now)
        while player.app is DemoApp.IOS and scene.advertising_id is None:
            player = self._player()
            scene = TouchSimulator(self._rng, player, self._now, self._now)
        network = next(self._networks)
        click = scene.tap(network)
        if player.app is DemoApp.ANDROID and self._rng.random() < 0.6:
            click = replace(click, ids={})
        previewed = self._rng.random() < 0.3
        return LiveVisit(
            app=player.app,
            truth=truth_of(click),
            events=tuple(self._first_minute(player, "install", "open")),
            click=click,
            preview_id=network.new_click_id(self._rng) if previewed else "",
        )

    def comebacks(self, lives: Sequence[AcquiredDevice], share: float) -> list[LiveVisit]:
        """Return how some removed the game and come back: every other one by a tap on an ad."""
        able = [life for life in lives if self._may_come_back(life)]
        those = self._rng.sample(able, min(len(able), round(len(lives) * share)))
        return [self._comeback(life, taps=bool(turn % 2)) for turn, life in enumerate(those)]

    def _may_come_back(self, life: AcquiredDevice) -> bool:
        """Tell whether the device will be known again, by its advertising id."""
        scene = TouchSimulator(self._rng, life.player, self._now, self._now)
        return life.way in _CAN_COME_BACK and scene.advertising_id is not None

    def _comeback(self, life: AcquiredDevice, *, taps: bool) -> LiveVisit:
        facts = {**life.player.facts, "install_id": new_id(self._rng)}
        player = replace(life.player, facts=facts)
        before = life.journey.truth.earned
        click = None
        if taps:
            click = TouchSimulator(self._rng, player, self._now, self._now).tap(
                next(self._networks)
            )
        return LiveVisit(
            app=player.app,
            truth=GroundTruth(
                open_kind=OpenKind.REATTRIBUTION if click else OpenKind.REINSTALL,
                earned=click or before,
                at_first=click or before,
            ),
            events=tuple(self._first_minute(player, "open")),
            click=click,
        )

    def _first_minute(self, player: SimulatedDevice, *first: str) -> list[SentEvent]:
        """Return what a visitor does at once; half of them buy something."""
        deeds: list[tuple[str, Mapping[str, object]]] = [(name, {}) for name in first]
        if self._rng.random() < 0.5:
            deeds.append(("purchase", purchase_fields(self._rng, player)))
        return [
            SentEvent(
                {
                    "event_id": new_id(self._rng),
                    "event_name": name,
                    **player.facts,
                    **details,
                }
            )
            for name, details in deeds
        ]

    def _player(self) -> SimulatedDevice:
        app = DemoApp.IOS if self._rng.random() < _IOS_SHARE else DemoApp.ANDROID
        return make_device(self._rng, app, self._bundles[app])

    def _time_offline(self) -> timedelta:
        """Return how late a device reports: most at once, some after a flight or after weeks."""
        if self._rng.random() >= _OFFLINE_SHARE:
            return timedelta()
        if self._rng.random() < 0.6:
            return timedelta(hours=self._rng.uniform(2, 36))
        return timedelta(days=self._rng.uniform(2, _LONGEST_OFFLINE_DAYS))
