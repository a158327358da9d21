"""Fraud scenarios: networks claim installs that they did not bring, and must be rejected."""

from dataclasses import replace
from datetime import timedelta

from postbacks.demo.networks import NETWORKS, DemoApp
from postbacks.demo.simulation.model import Acquisition, SimulatedTouch, truth_of
from postbacks.demo.simulation.touches import TouchSimulator

ANONYMOUS_NETWORK = "198.18.0.0/15"  # RFC 2544: reserved; here it is the demo's data center
_FLOOD_CLICKS = 12
_INVALID_IDS = ("{advertising_id}", "38400000-8cf0", "unknown")


def click_injection(simulator: TouchSimulator) -> Acquisition:
    """A malicious app makes a click while the download runs."""
    honest, fraud = _honest_and_fraudulent_click(simulator)
    click = replace(simulator.click(fraud.network), at=simulator.start - timedelta(seconds=20))
    return _fraud_rejected(simulator, honest, (click,))


def click_flooding(simulator: TouchSimulator) -> Acquisition:
    """A network reports more clicks of one device than a person makes."""
    honest, fraud = _honest_and_fraudulent_click(simulator)
    flood = (simulator.click(fraud.network, least=3, most=35) for _ in range(_FLOOD_CLICKS))
    return _fraud_rejected(
        simulator, honest, tuple(replace(click, ids=fraud.ids) for click in flood)
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
