"""Networks that claim players whom they did not bring, and what remains when they are refused."""

from dataclasses import replace
from datetime import timedelta

from postbacks.demo.networks import NETWORKS, DemoApp
from postbacks.demo.scenes import Scene
from postbacks.demo.touches import Journey, SimulatedTouch, earned_by

ANONYMOUS_NETWORK = "198.18.0.0/15"  # RFC 2544: nobody's addresses, as the demo's data center
_FLOOD = 12
_NO_IDS = ("{advertising_id}", "38400000-8cf0", "unknown")


def injected(scene: Scene) -> Journey:
    """A click that a malicious app made while the download ran."""
    honest, fraud = _suspects(scene)
    click = scene.moved(scene.tap(fraud.network), scene.start - timedelta(seconds=20))
    return _refused(scene, honest, (click,))


def flooded(scene: Scene) -> Journey:
    """So many clicks of one device that no person made them."""
    honest, fraud = _suspects(scene)
    flood = (scene.tap(fraud.network, least=3, most=35) for _ in range(_FLOOD))
    return _refused(scene, honest, tuple(replace(click, ids=fraud.ids) for click in flood))


def malformed(scene: Scene) -> Journey:
    """A click with something in place of an id, such as a macro that nobody filled."""
    [network] = scene.networks(1)
    name = "idfa" if scene.player.app is DemoApp.IOS else "gaid"
    click = replace(scene.tap(network), ids={name: scene.rng.choice(_NO_IDS)})
    return Journey((click,), evidence=scene.store_facts())


def from_a_data_center(scene: Scene) -> Journey:
    """A click from where machines live."""
    honest, fraud = _suspects(scene)
    address = f"198.18.{scene.rng.randint(0, 255)}.{scene.rng.randint(1, 254)}"
    return _refused(scene, honest, (replace(fraud, ip_address=address),))


def _suspects(scene: Scene) -> tuple[SimulatedTouch | None, SimulatedTouch]:
    """Return an earlier, honest click for half of the players, and one of another network."""
    honest, fraud = scene.rng.sample(NETWORKS, 2)
    click = scene.tap(honest, least=40, most=55) if scene.rng.random() < 0.5 else None
    return click, scene.tap(fraud, most=30)


def _refused(
    scene: Scene, honest: SimulatedTouch | None, frauds: tuple[SimulatedTouch, ...]
) -> Journey:
    """Return the way on which honesty wins: each fraud came later and would have won before it."""
    touches = (honest, *frauds) if honest else frauds
    return Journey(touches, evidence=scene.store_facts(), truth=earned_by(honest, refused=frauds))
