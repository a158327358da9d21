"""Networks that claim players whom they did not bring, and what remains when they are refused."""

from dataclasses import replace
from datetime import timedelta

from postbacks.demo.networks import NETWORKS, DemoApp
from postbacks.demo.simulation.model import Acquisition, SimulatedTouch, truth_of
from postbacks.demo.simulation.touches import TouchSimulator

ANONYMOUS_NETWORK = "198.18.0.0/15"  # RFC 2544: nobody's addresses, as the demo's data center
_FLOOD_CLICKS = 12
_INVALID_IDS = ("{advertising_id}", "38400000-8cf0", "unknown")


def click_injection(scene: TouchSimulator) -> Acquisition:
    """A click that a malicious app made while the download ran."""
    honest, fraud = _honest_and_fraudulent_click(scene)
    click = scene.moved(scene.tap(fraud.network), scene.start - timedelta(seconds=20))
    return _fraud_rejected(scene, honest, (click,))


def click_flooding(scene: TouchSimulator) -> Acquisition:
    """So many clicks of one device that no person made them."""
    honest, fraud = _honest_and_fraudulent_click(scene)
    flood = (scene.tap(fraud.network, least=3, most=35) for _ in range(_FLOOD_CLICKS))
    return _fraud_rejected(scene, honest, tuple(replace(click, ids=fraud.ids) for click in flood))


def malformed_device_id(scene: TouchSimulator) -> Acquisition:
    """A click with something in place of an id, such as a macro that nobody filled."""
    [network] = scene.networks(1)
    name = "idfa" if scene.player.app is DemoApp.IOS else "gaid"
    click = replace(scene.tap(network), ids={name: scene.rng.choice(_INVALID_IDS)})
    return Acquisition((click,), evidence=scene.store_facts())


def data_center_click(scene: TouchSimulator) -> Acquisition:
    """A click from where machines live."""
    honest, fraud = _honest_and_fraudulent_click(scene)
    address = f"198.18.{scene.rng.randint(0, 255)}.{scene.rng.randint(1, 254)}"
    return _fraud_rejected(scene, honest, (replace(fraud, ip_address=address),))


def _honest_and_fraudulent_click(
    scene: TouchSimulator,
) -> tuple[SimulatedTouch | None, SimulatedTouch]:
    """Return an earlier, honest click for half of the players, and one of another network."""
    honest, fraud = scene.rng.sample(NETWORKS, 2)
    click = scene.tap(honest, least=40, most=55) if scene.rng.random() < 0.5 else None
    return click, scene.tap(fraud, most=30)


def _fraud_rejected(
    scene: TouchSimulator, honest: SimulatedTouch | None, frauds: tuple[SimulatedTouch, ...]
) -> Acquisition:
    """Return the way on which honesty wins: each fraud came later and would have won before it."""
    touches = (honest, *frauds) if honest else frauds
    return Acquisition(
        touches, evidence=scene.store_facts(), truth=truth_of(honest, refused=frauds)
    )
