"""The scenarios that lead to an install, honest ones and fraud, each with its ground truth.

In the scenarios of fraud networks claim installs that they did not bring, and must be rejected.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

from postbacks.demo.networks import KITEBIRD, LUMEN, NETWORKS, TIDAL, DemoApp
from postbacks.demo.simulation.model import Acquisition, GroundTruth, SimulatedTouch, truth_of
from postbacks.demo.simulation.touches import TouchSimulator

ANONYMOUS_NETWORK = "198.18.0.0/15"  # RFC 2544: reserved; here it is the demo's data center
_FLOOD_CLICKS = 12
_INVALID_IDS = ("{advertising_id}", "38400000-8cf0", "unknown")
# A scenario's name is reported where the product's attribution differs from the truth.
Scenario = Callable[[TouchSimulator], Acquisition]


def organic(simulator: TouchSimulator) -> Acquisition:
    """An install without any ad."""
    return Acquisition(evidence=simulator.store_evidence())


def single_click(simulator: TouchSimulator) -> Acquisition:
    """One click, one install."""
    [network] = simulator.pick_networks(1)
    click = simulator.click(network)
    return Acquisition((click,), evidence=simulator.click_evidence(click), truth=truth_of(click))


def click_reported_twice(simulator: TouchSimulator) -> Acquisition:
    """The network's server missed our answer and reports the same click again."""
    acquisition = single_click(simulator)
    return replace(acquisition, touches=acquisition.touches * 2)


def clicks_of_two_networks(simulator: TouchSimulator) -> Acquisition:
    """Clicks of two networks: the last one wins."""
    early, last = simulator.pick_networks(2)
    clicks = (simulator.click(early, least=25, most=50), simulator.click(last, most=20))
    return Acquisition(
        clicks, evidence=simulator.click_evidence(clicks[1]), truth=truth_of(clicks[1])
    )


def two_clicks_of_one_network(simulator: TouchSimulator) -> Acquisition:
    """Two clicks of one network: the last one wins."""
    [network] = simulator.pick_networks(1)
    clicks = (simulator.click(network, least=25, most=50), simulator.click(network, most=20))
    return Acquisition(
        clicks, evidence=simulator.click_evidence(clicks[1]), truth=truth_of(clicks[1])
    )


def click_then_impressions(simulator: TouchSimulator) -> Acquisition:
    """A click wins over later impressions."""
    clicked_first, *others = simulator.pick_networks(3)
    click = simulator.click(clicked_first, least=25, most=50)
    impressions = tuple(simulator.impression(network, most=20) for network in others)
    return Acquisition(
        (click, *impressions), evidence=simulator.click_evidence(click), truth=truth_of(click)
    )


def impressions_only(simulator: TouchSimulator) -> Acquisition:
    """Without a click the last impression wins."""
    early, last = simulator.pick_networks(2)
    impressions = (simulator.impression(early, least=60), simulator.impression(last, most=50))
    return Acquisition(
        impressions, evidence=simulator.store_evidence(), truth=truth_of(impressions[1])
    )


def click_outside_window(simulator: TouchSimulator) -> Acquisition:
    """A click outside of Kitebird's window of one hour earns nothing."""
    old = simulator.click(KITEBIRD, least=75, most=150)
    return Acquisition((old,), evidence=simulator.store_evidence())


def older_click_with_longer_window(simulator: TouchSimulator) -> Acquisition:
    """An older click within its network's window wins over one outside of its own."""
    older, outside = (
        simulator.click(LUMEN, least=155, most=170),
        simulator.click(KITEBIRD, least=75, most=150),
    )
    return Acquisition((older, outside), evidence=simulator.store_evidence(), truth=truth_of(older))


def click_after_install(simulator: TouchSimulator) -> Acquisition:
    """A click after the install earns nothing."""
    [network] = simulator.pick_networks(1)
    click = replace(simulator.click(network), at=simulator.now)
    return Acquisition((click,), evidence=simulator.store_evidence())


def unmatchable_click(simulator: TouchSimulator) -> Acquisition:
    """A click without an id and without a referrer can't be matched."""
    [network] = simulator.pick_networks(1)
    click = replace(simulator.click(network), ids={})
    return Acquisition((click,), evidence=simulator.store_evidence())


def click_for_other_app(simulator: TouchSimulator) -> Acquisition:
    """A click for the game's other app earns nothing here."""
    [network] = simulator.pick_networks(1)
    other = DemoApp.IOS if simulator.device.app is DemoApp.ANDROID else DemoApp.ANDROID
    return Acquisition(
        (replace(simulator.click(network), app=other),), evidence=simulator.store_evidence()
    )


def click_reported_late(simulator: TouchSimulator) -> Acquisition:
    """The report comes after the install, which is organic until then."""
    acquisition = single_click(simulator)
    truth = GroundTruth(earned=acquisition.truth.earned, at_first=None)
    return replace(acquisition, touches=(), late=acquisition.touches, truth=truth)


def rival_click_reported_late(simulator: TouchSimulator) -> Acquisition:
    """A network that was notified keeps the credit, though a rival's later click is reported."""
    early, rival = simulator.pick_networks(2)
    click = simulator.click(early, least=25, most=50)
    late = simulator.click(rival, most=20)
    return Acquisition(
        (click,), (late,), evidence=simulator.click_evidence(click), truth=truth_of(click)
    )


def ineligible_clicks_reported_late(simulator: TouchSimulator) -> Acquisition:
    """Late reports of clicks that would not have counted in time either."""
    late = (
        simulator.click(KITEBIRD, least=75, most=150),
        replace(simulator.click(TIDAL), at=simulator.now),
    )
    return Acquisition((), late, evidence=simulator.store_evidence())


def click_injection(simulator: TouchSimulator) -> Acquisition:
    """A malicious app makes a click while the download runs."""
    honest, fraud = _honest_and_fraudulent_click(simulator)
    click = replace(simulator.click(fraud.network), at=simulator.start - timedelta(seconds=20))
    return _fraud_rejected(simulator, honest, (click,))


def click_flooding(simulator: TouchSimulator) -> Acquisition:
    """A network reports more clicks of one device than a person makes, all by the same way."""
    honest, fraud = _honest_and_fraudulent_click(simulator)
    flood = (simulator.click(fraud.network, least=3, most=35) for _ in range(_FLOOD_CLICKS))
    return _fraud_rejected(
        simulator,
        honest,
        tuple(replace(click, ids=fraud.ids, by_link=fraud.by_link) for click in flood),
    )


def malformed_device_id(simulator: TouchSimulator) -> Acquisition:
    """A click with an invalid id, such as an unfilled macro."""
    [network] = simulator.pick_networks(1)
    name = "idfa" if simulator.device.app is DemoApp.IOS else "gaid"
    click = replace(simulator.click(network), ids={name: simulator.rng.choice(_INVALID_IDS)})
    return Acquisition((click,), evidence=simulator.store_evidence())


def data_center_click(simulator: TouchSimulator) -> Acquisition:
    """A click from an address in a data center."""
    honest, fraud = _honest_and_fraudulent_click(simulator)
    address = f"198.18.{simulator.rng.randint(0, 255)}.{simulator.rng.randint(1, 254)}"
    return _fraud_rejected(simulator, honest, (replace(fraud, ip_address=address),))


def _honest_and_fraudulent_click(
    simulator: TouchSimulator,
) -> tuple[SimulatedTouch | None, SimulatedTouch]:
    """Return an honest click for half of the devices, and a later fraudulent one."""
    honest, fraud = simulator.rng.sample(NETWORKS, 2)
    click = simulator.click(honest, least=40, most=55) if simulator.rng.random() < 0.5 else None
    return click, simulator.click(fraud, most=30)


def _fraud_rejected(
    simulator: TouchSimulator, honest: SimulatedTouch | None, frauds: tuple[SimulatedTouch, ...]
) -> Acquisition:
    """Return an install that the honest click earns, though each later fraud would have won."""
    touches = (honest, *frauds) if honest else frauds
    return Acquisition(
        touches, evidence=simulator.store_evidence(), truth=truth_of(honest, refused=frauds)
    )


@dataclass(frozen=True, slots=True)
class _WeightedScenario:
    """A scenario with its share; some need an advertising id, some need Google Play."""

    share: int
    scenario: Scenario
    needs_id: bool = False
    needs_play: bool = False

    def suits(self, simulator: TouchSimulator) -> bool:
        return (not self.needs_id or simulator.advertising_id is not None) and (
            not self.needs_play or simulator.device.app is DemoApp.ANDROID
        )


_SCENARIOS = (
    _WeightedScenario(24, organic),
    _WeightedScenario(18, single_click),
    _WeightedScenario(2, click_reported_twice),
    _WeightedScenario(4, clicks_of_two_networks),
    _WeightedScenario(2, two_clicks_of_one_network),
    _WeightedScenario(3, click_then_impressions),
    _WeightedScenario(5, impressions_only, needs_id=True),
    _WeightedScenario(2, click_outside_window),
    _WeightedScenario(2, older_click_with_longer_window, needs_id=True),
    _WeightedScenario(2, click_after_install),
    _WeightedScenario(3, unmatchable_click),
    _WeightedScenario(1, click_for_other_app),
    _WeightedScenario(3, click_reported_late),
    _WeightedScenario(2, rival_click_reported_late),
    _WeightedScenario(1, ineligible_clicks_reported_late, needs_id=True),
    _WeightedScenario(2, click_injection, needs_id=True, needs_play=True),
    _WeightedScenario(1, click_flooding, needs_id=True),
    _WeightedScenario(1, malformed_device_id),
    _WeightedScenario(2, data_center_click, needs_id=True),
)


class ScenarioDeck:
    """Deals the scenarios by their shares, in turn, so that chance leaves none out."""

    def __init__(self, rng: Random) -> None:
        self._deck = self._deal(rng)
        self._skipped: list[_WeightedScenario] = []

    def next(self, simulator: TouchSimulator) -> Scenario:
        """Return the scenario of the next device: the first in turn that suits it."""
        for weighted in self._skipped:
            if weighted.suits(simulator):
                self._skipped.remove(weighted)
                return weighted.scenario
        while not (weighted := next(self._deck)).suits(simulator):
            self._skipped.append(weighted)
        return weighted.scenario

    @staticmethod
    def _deal(rng: Random) -> Iterator[_WeightedScenario]:
        deck = [weighted for weighted in _SCENARIOS for _ in range(weighted.share)]
        while True:
            rng.shuffle(deck)
            yield from deck
