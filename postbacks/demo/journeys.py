"""How players come to the game, and who earned them: each way is written down with its truth.

The truth is what the story itself says. Nothing here asks the product, nor decides as it does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

from postbacks.demo import frauds
from postbacks.demo.networks import KITEBIRD, LUMEN, TIDAL, DemoApp
from postbacks.demo.scenes import Scene
from postbacks.demo.touches import Journey, Truth, earned_by

Way = Callable[[Scene], Journey]  # its name says what happens


def came_alone(scene: Scene) -> Journey:
    """Nobody showed an ad."""
    return Journey(evidence=scene.store_facts())


def tapped(scene: Scene) -> Journey:
    """One tap, one install."""
    [network] = scene.networks(1)
    click = scene.tap(network)
    return Journey((click,), evidence=scene.proof(click), truth=earned_by(click))


def tapped_and_reported_twice(scene: Scene) -> Journey:
    """The network's server did not hear our answer, and reported the same click once more."""
    journey = tapped(scene)
    return replace(journey, touches=journey.touches * 2)


def tapped_two_networks(scene: Scene) -> Journey:
    """The last click counts, whoever's it is."""
    early, last = scene.networks(2)
    clicks = (scene.tap(early, least=25, most=50), scene.tap(last, most=20))
    return Journey(clicks, evidence=scene.proof(clicks[1]), truth=earned_by(clicks[1]))


def tapped_twice(scene: Scene) -> Journey:
    """The network is told the id of its last click, not of the one before."""
    [network] = scene.networks(1)
    clicks = (scene.tap(network, least=25, most=50), scene.tap(network, most=20))
    return Journey(clicks, evidence=scene.proof(clicks[1]), truth=earned_by(clicks[1]))


def tapped_then_saw_others(scene: Scene) -> Journey:
    """A click counts more than what was seen after it."""
    tapped_first, *others = scene.networks(3)
    click = scene.tap(tapped_first, least=25, most=50)
    seen = tuple(scene.view(network, most=20) for network in others)
    return Journey((click, *seen), evidence=scene.proof(click), truth=earned_by(click))


def saw(scene: Scene) -> Journey:
    """An ad that was seen last counts where none was tapped."""
    early, last = scene.networks(2)
    views = (scene.view(early, least=60), scene.view(last, most=50))
    return Journey(views, evidence=scene.store_facts(), truth=earned_by(views[1]))


def tapped_too_long_ago(scene: Scene) -> Journey:
    """Kitebird's clicks count for an hour; the one from before that earns nothing."""
    old = scene.tap(KITEBIRD, least=75, most=150)
    return Journey((old,), evidence=scene.store_facts())


def tapped_long_ago_elsewhere(scene: Scene) -> Journey:
    """An older click of a network with a longer window wins over one outside of its own."""
    older, outside = scene.tap(LUMEN, least=155, most=170), scene.tap(KITEBIRD, least=75, most=150)
    return Journey((older, outside), evidence=scene.store_facts(), truth=earned_by(older))


def tapped_after_the_install(scene: Scene) -> Journey:
    """An ad for what one has already."""
    [network] = scene.networks(1)
    click = scene.moved(scene.tap(network), scene.now)
    return Journey((click,), evidence=scene.store_facts())


def tapped_unrecognizably(scene: Scene) -> Journey:
    """Neither an id nor a referrer leads from the install to the click."""
    [network] = scene.networks(1)
    click = replace(scene.tap(network), ids={})
    return Journey((click,), evidence=scene.store_facts())


def tapped_for_the_other_app(scene: Scene) -> Journey:
    """An ad for the game's other app brings nobody to this one."""
    [network] = scene.networks(1)
    other = DemoApp.IOS if scene.player.app is DemoApp.ANDROID else DemoApp.ANDROID
    return Journey((replace(scene.tap(network), app=other),), evidence=scene.store_facts())


def tapped_and_reported_late(scene: Scene) -> Journey:
    """The report comes after the install, which was nobody's until then."""
    journey = tapped(scene)
    truth = Truth(earned=journey.truth.earned, at_first=None)
    return replace(journey, touches=(), late=journey.touches, truth=truth)


def rival_reported_late(scene: Scene) -> Journey:
    """Who was told that it earned the install keeps it, though a later click turns up."""
    early, rival = scene.networks(2)
    click = scene.tap(early, least=25, most=50)
    late = scene.tap(rival, most=20)
    return Journey((click,), (late,), evidence=scene.proof(click), truth=earned_by(click))


def useless_report_late(scene: Scene) -> Journey:
    """A late report of a click that would not have counted in time either."""
    late = (scene.tap(KITEBIRD, least=75, most=150), scene.moved(scene.tap(TIDAL), scene.now))
    return Journey((), late, evidence=scene.store_facts())


@dataclass(frozen=True, slots=True)
class _Card:
    """This is a way with its share; some ways need an id to be recognized by, some Google Play."""

    share: int
    way: Way
    needs_id: bool = False
    needs_play: bool = False

    def suits(self, scene: Scene) -> bool:
        return (not self.needs_id or scene.advertising_id is not None) and (
            not self.needs_play or scene.player.app is DemoApp.ANDROID
        )


_CARDS = (
    _Card(24, came_alone),
    _Card(18, tapped),
    _Card(2, tapped_and_reported_twice),
    _Card(4, tapped_two_networks),
    _Card(2, tapped_twice),
    _Card(3, tapped_then_saw_others),
    _Card(5, saw, needs_id=True),
    _Card(2, tapped_too_long_ago),
    _Card(2, tapped_long_ago_elsewhere, needs_id=True),
    _Card(2, tapped_after_the_install),
    _Card(3, tapped_unrecognizably),
    _Card(1, tapped_for_the_other_app),
    _Card(3, tapped_and_reported_late),
    _Card(2, rival_reported_late),
    _Card(1, useless_report_late, needs_id=True),
    _Card(2, frauds.injected, needs_id=True, needs_play=True),
    _Card(1, frauds.flooded, needs_id=True),
    _Card(1, frauds.malformed),
    _Card(2, frauds.from_a_data_center, needs_id=True),
)


class Ways:
    """This deals the ways by their shares; they take turns, so that chance leaves none out."""

    def __init__(self, rng: Random) -> None:
        self._deck = self._deal(rng)
        self._kept: list[_Card] = []

    def next(self, scene: Scene) -> Way:
        """Return the way of the next player: the first in turn that suits them."""
        for card in self._kept:
            if card.suits(scene):
                self._kept.remove(card)
                return card.way
        while not (card := next(self._deck)).suits(scene):
            self._kept.append(card)
        return card.way

    @staticmethod
    def _deal(rng: Random) -> Iterator[_Card]:
        cards = [card for card in _CARDS for _ in range(card.share)]
        while True:
            rng.shuffle(cards)
            yield from cards
