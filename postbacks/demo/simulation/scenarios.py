"""How players come to the game, and who earned them: each way is written down with its truth.

The truth is what the story itself says. Nothing here asks the product, nor decides as it does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

from postbacks.demo.networks import KITEBIRD, LUMEN, TIDAL, DemoApp
from postbacks.demo.simulation import fraud_scenarios
from postbacks.demo.simulation.model import Acquisition, GroundTruth, truth_of
from postbacks.demo.simulation.touches import TouchSimulator

Scenario = Callable[[TouchSimulator], Acquisition]  # its name says what happens


def organic(scene: TouchSimulator) -> Acquisition:
    """Nobody showed an ad."""
    return Acquisition(evidence=scene.store_facts())


def single_click(scene: TouchSimulator) -> Acquisition:
    """One tap, one install."""
    [network] = scene.networks(1)
    click = scene.tap(network)
    return Acquisition((click,), evidence=scene.proof(click), truth=truth_of(click))


def click_reported_twice(scene: TouchSimulator) -> Acquisition:
    """The network's server did not hear our answer, and reported the same click once more."""
    journey = single_click(scene)
    return replace(journey, touches=journey.touches * 2)


def clicks_of_two_networks(scene: TouchSimulator) -> Acquisition:
    """The last click counts, whoever's it is."""
    early, last = scene.networks(2)
    clicks = (scene.tap(early, least=25, most=50), scene.tap(last, most=20))
    return Acquisition(clicks, evidence=scene.proof(clicks[1]), truth=truth_of(clicks[1]))


def two_clicks_of_one_network(scene: TouchSimulator) -> Acquisition:
    """The network is told the id of its last click, not of the one before."""
    [network] = scene.networks(1)
    clicks = (scene.tap(network, least=25, most=50), scene.tap(network, most=20))
    return Acquisition(clicks, evidence=scene.proof(clicks[1]), truth=truth_of(clicks[1]))


def click_then_impressions(scene: TouchSimulator) -> Acquisition:
    """A click counts more than what was seen after it."""
    tapped_first, *others = scene.networks(3)
    click = scene.tap(tapped_first, least=25, most=50)
    seen = tuple(scene.view(network, most=20) for network in others)
    return Acquisition((click, *seen), evidence=scene.proof(click), truth=truth_of(click))


def impressions_only(scene: TouchSimulator) -> Acquisition:
    """An ad that was seen last counts where none was tapped."""
    early, last = scene.networks(2)
    views = (scene.view(early, least=60), scene.view(last, most=50))
    return Acquisition(views, evidence=scene.store_facts(), truth=truth_of(views[1]))


def click_outside_window(scene: TouchSimulator) -> Acquisition:
    """Kitebird's clicks count for an hour; the one from before that earns nothing."""
    old = scene.tap(KITEBIRD, least=75, most=150)
    return Acquisition((old,), evidence=scene.store_facts())


def older_click_with_longer_window(scene: TouchSimulator) -> Acquisition:
    """An older click of a network with a longer window wins over one outside of its own."""
    older, outside = scene.tap(LUMEN, least=155, most=170), scene.tap(KITEBIRD, least=75, most=150)
    return Acquisition((older, outside), evidence=scene.store_facts(), truth=truth_of(older))


def click_after_install(scene: TouchSimulator) -> Acquisition:
    """An ad for what one has already."""
    [network] = scene.networks(1)
    click = scene.moved(scene.tap(network), scene.now)
    return Acquisition((click,), evidence=scene.store_facts())


def unmatchable_click(scene: TouchSimulator) -> Acquisition:
    """Neither an id nor a referrer leads from the install to the click."""
    [network] = scene.networks(1)
    click = replace(scene.tap(network), ids={})
    return Acquisition((click,), evidence=scene.store_facts())


def click_for_other_app(scene: TouchSimulator) -> Acquisition:
    """An ad for the game's other app brings nobody to this one."""
    [network] = scene.networks(1)
    other = DemoApp.IOS if scene.player.app is DemoApp.ANDROID else DemoApp.ANDROID
    return Acquisition((replace(scene.tap(network), app=other),), evidence=scene.store_facts())


def click_reported_late(scene: TouchSimulator) -> Acquisition:
    """The report comes after the install, which was nobody's until then."""
    journey = single_click(scene)
    truth = GroundTruth(earned=journey.truth.earned, at_first=None)
    return replace(journey, touches=(), late=journey.touches, truth=truth)


def rival_click_reported_late(scene: TouchSimulator) -> Acquisition:
    """Who was told that it earned the install keeps it, though a later click turns up."""
    early, rival = scene.networks(2)
    click = scene.tap(early, least=25, most=50)
    late = scene.tap(rival, most=20)
    return Acquisition((click,), (late,), evidence=scene.proof(click), truth=truth_of(click))


def ineligible_clicks_reported_late(scene: TouchSimulator) -> Acquisition:
    """A late report of a click that would not have counted in time either."""
    late = (scene.tap(KITEBIRD, least=75, most=150), scene.moved(scene.tap(TIDAL), scene.now))
    return Acquisition((), late, evidence=scene.store_facts())


@dataclass(frozen=True, slots=True)
class _WeightedScenario:
    """This is a way with its share; some ways need an id to be recognized by, some Google Play."""

    share: int
    way: Scenario
    needs_id: bool = False
    needs_play: bool = False

    def suits(self, scene: TouchSimulator) -> bool:
        return (not self.needs_id or scene.advertising_id is not None) and (
            not self.needs_play or scene.player.app is DemoApp.ANDROID
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
    _WeightedScenario(2, fraud_scenarios.click_injection, needs_id=True, needs_play=True),
    _WeightedScenario(1, fraud_scenarios.click_flooding, needs_id=True),
    _WeightedScenario(1, fraud_scenarios.malformed_device_id),
    _WeightedScenario(2, fraud_scenarios.data_center_click, needs_id=True),
)


class ScenarioDeck:
    """This deals the ways by their shares; they take turns, so that chance leaves none out."""

    def __init__(self, rng: Random) -> None:
        self._deck = self._deal(rng)
        self._kept: list[_WeightedScenario] = []

    def next(self, scene: TouchSimulator) -> Scenario:
        """Return the way of the next player: the first in turn that suits them."""
        for card in self._kept:
            if card.suits(scene):
                self._kept.remove(card)
                return card.way
        while not (card := next(self._deck)).suits(scene):
            self._kept.append(card)
        return card.way

    @staticmethod
    def _deal(rng: Random) -> Iterator[_WeightedScenario]:
        cards = [card for card in _SCENARIOS for _ in range(card.share)]
        while True:
            rng.shuffle(cards)
            yield from cards
