"""The devices of a simulated day: new installs, live visits and returning users."""

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
_MAX_OFFLINE_DAYS = 50.0  # events may be 58 days old
# A touchpoint counts if it is reported within 12 hours; the oldest is three hours before the start.
_MAX_HOURS_SINCE_START = 8.5
_RETURNING_SCENARIOS = (organic.__name__, single_click.__name__)


@dataclass(frozen=True, slots=True)
class AcquiredDevice:
    """A device with the scenario of its install and the events of its day."""

    device: SimulatedDevice
    scenario: str
    acquisition: Acquisition
    events: tuple[TimedEvent, ...]

    @property
    def key(self) -> DeviceKey:
        return self.device.app, str(self.device.sdk_fields["install_id"])


class Population:
    """Makes the devices of one day."""

    def __init__(self, rng: Random, bundles: Mapping[DemoApp, str], now: datetime) -> None:
        self._rng = rng
        self._bundles = bundles
        self._now = now
        self._scenarios = ScenarioDeck(rng)
        self._networks = cycle(NETWORKS)

    def acquire(self) -> AcquiredDevice:
        """Return a device that installs the app at some time of the day."""
        device = self._new_device()
        start = self._now - timedelta(hours=self._rng.triangular(0.3, _MAX_HOURS_SINCE_START, 6))
        touches = TouchSimulator(self._rng, device, start, self._now)
        scenario = self._scenarios.next(touches)
        offline = timedelta()
        if scenario is organic:
            start = self._now - timedelta(hours=self._rng.triangular(0.1, 24, 6))
            offline = self._offline_time()
            touches = replace(touches, start=start - offline)
        acquisition = scenario(touches)
        device = replace(device, evidence=acquisition.evidence)
        events = tuple(simulate_usage(self._rng, device, start, offline=offline))
        return AcquiredDevice(device, scenario.__name__, acquisition, events)

    def live_visit(self) -> LiveVisit:
        """Return a click while the demo runs; on iOS only an IDFA can lead back to it."""
        device = self._new_device()
        touches = TouchSimulator(self._rng, device, self._now, self._now)
        while device.app is DemoApp.IOS and touches.advertising_id is None:
            device = self._new_device()
            touches = TouchSimulator(self._rng, device, self._now, self._now)
        network = next(self._networks)
        click = touches.click(network)
        if device.app is DemoApp.ANDROID and self._rng.random() < 0.6:
            click = replace(click, ids={})
        previewed = self._rng.random() < 0.3
        return LiveVisit(
            app=device.app,
            truth=truth_of(click),
            events=tuple(self._first_minute(device, "install", "open")),
            click=click,
            preview_id=network.new_click_id(self._rng) if previewed else "",
        )

    def returning_visits(self, acquired: Sequence[AcquiredDevice], share: float) -> list[LiveVisit]:
        """Return the visits of users who reinstall the app, every other one after a click."""
        candidates = [device for device in acquired if self._can_return(device)]
        count = min(len(candidates), round(len(acquired) * share))
        return [
            self._returning_visit(device, with_click=bool(index % 2))
            for index, device in enumerate(self._rng.sample(candidates, count))
        ]

    def _can_return(self, acquired: AcquiredDevice) -> bool:
        """Return whether the product can recognize the device, by its advertising id."""
        touches = TouchSimulator(self._rng, acquired.device, self._now, self._now)
        return acquired.scenario in _RETURNING_SCENARIOS and touches.advertising_id is not None

    def _returning_visit(self, acquired: AcquiredDevice, *, with_click: bool) -> LiveVisit:
        sdk_fields = {**acquired.device.sdk_fields, "install_id": new_id(self._rng)}
        device = replace(acquired.device, sdk_fields=sdk_fields)
        earned_before = acquired.acquisition.truth.earned
        click = None
        if with_click:
            touches = TouchSimulator(self._rng, device, self._now, self._now)
            click = touches.click(next(self._networks))
        return LiveVisit(
            app=device.app,
            truth=GroundTruth(
                open_kind=OpenKind.REATTRIBUTION if click else OpenKind.REINSTALL,
                earned=click or earned_before,
                at_first=click or earned_before,
            ),
            events=tuple(self._first_minute(device, "open")),
            click=click,
        )

    def _first_minute(self, device: SimulatedDevice, *names: str) -> list[SentEvent]:
        """Return the events of a visit's first minute; half of the visitors buy something."""
        events: list[tuple[str, Mapping[str, object]]] = [(name, {}) for name in names]
        if self._rng.random() < 0.5:
            events.append(("purchase", purchase_fields(self._rng, device)))
        return [
            SentEvent(
                {
                    "event_id": new_id(self._rng),
                    "event_name": name,
                    **device.sdk_fields,
                    **fields,
                }
            )
            for name, fields in events
        ]

    def _new_device(self) -> SimulatedDevice:
        app = DemoApp.IOS if self._rng.random() < _IOS_SHARE else DemoApp.ANDROID
        return make_device(self._rng, app, self._bundles[app])

    def _offline_time(self) -> timedelta:
        """Return how late a device reports: most at once, some after a flight or after weeks."""
        if self._rng.random() >= _OFFLINE_SHARE:
            return timedelta()
        if self._rng.random() < 0.6:
            return timedelta(hours=self._rng.uniform(2, 36))
        return timedelta(days=self._rng.uniform(2, _MAX_OFFLINE_DAYS))
