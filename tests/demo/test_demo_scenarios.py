"""The scenarios that lead to installs: is each possible, and is none left out?"""

import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from itertools import chain
from random import Random
from urllib.parse import parse_qs

import pytest

from postbacks.demo.networks import KITEBIRD, LUMEN, NETWORKS, TIDAL, DemoApp
from postbacks.demo.simulation import scenarios
from postbacks.demo.simulation.day import SimulatedDay, simulate_day
from postbacks.demo.simulation.devices import NO_ID, make_device
from postbacks.demo.simulation.model import Acquisition, OpenKind, TouchKind
from postbacks.demo.simulation.scenarios import ANONYMOUS_NETWORK
from postbacks.demo.simulation.touches import TouchSimulator

_NOW = datetime(2026, 7, 14, 18, 30, tzinfo=UTC)
_SEEDS = (1, 7, 2026)


def _day(seed: int) -> SimulatedDay:
    return simulate_day(
        seed=seed, devices=320, now=_NOW, ios_bundle="com.ios", android_bundle="com.android"
    )


def _simulator(app: DemoApp, *, with_id: bool, seed: int = 1) -> TouchSimulator:
    rng = Random(seed)  # noqa: S311  # a device, not a secret
    while True:
        device = make_device(rng, app, f"com.example.{app}")
        simulator = TouchSimulator(rng, device, _NOW - timedelta(hours=3), _NOW)
        if with_id is (simulator.advertising_id is not None):
            return simulator


@pytest.mark.parametrize("seed", _SEEDS)
def test_every_network_earns_installs_and_loses_others(seed: int) -> None:
    day = _day(seed)

    earned = [truth.earned for truth in day.truths.values() if truth.earned]
    touched = Counter(touch.network for touch in chain(day.touches, day.late))
    for network in NETWORKS:
        assert 20 < sum(touch.network is network for touch in earned) < touched[network]
    assert {touch.kind for touch in earned} == set(TouchKind)
    assert sum(truth.earned is None for truth in day.truths.values()) > 80
    assert {touch.network for truth in day.truths.values() for touch in truth.refused} == set(
        NETWORKS
    )
    assert day.visits
    assert day.late


@pytest.mark.parametrize("seed", _SEEDS)
def test_no_report_is_older_than_twelve_hours_or_of_the_future(seed: int) -> None:
    day = _day(seed)

    moments = [touch.at for touch in chain(day.touches, day.late)]
    assert _NOW - timedelta(hours=11, minutes=40) < min(moments)
    assert max(moments) <= _NOW


@pytest.mark.parametrize("seed", _SEEDS)
def test_click_ids_are_unique_and_only_a_repeated_report_shares_one(seed: int) -> None:
    day = _day(seed)

    reports = Counter(touch.click_id for touch in chain(day.touches, day.late))
    assert set(reports.values()) == {1, 2}
    ids = {touch.network: touch.click_id for touch in day.touches}
    assert ids[LUMEN].startswith("LA.")
    assert len(ids[TIDAL]) == 36
    assert set("+/=") < set(ids[KITEBIRD])


@pytest.mark.parametrize("app", list(DemoApp))
@pytest.mark.parametrize("with_id", [True, False])
def test_what_earns_an_install_can_be_recognized(app: DemoApp, *, with_id: bool) -> None:
    all_scenarios = [
        scenarios.single_click,
        scenarios.click_reported_twice,
        scenarios.clicks_of_two_networks,
        scenarios.two_clicks_of_one_network,
        scenarios.click_then_impressions,
        scenarios.click_reported_late,
        scenarios.rival_click_reported_late,
    ]
    for seed in range(30):
        simulator = _simulator(app, with_id=with_id, seed=seed)
        for scenario in all_scenarios:
            acquisition = scenario(simulator)
            assert _is_recognizable(acquisition, simulator), scenario.__name__


def _is_recognizable(acquisition: Acquisition, simulator: TouchSimulator) -> bool:
    """Return whether touch and device share an id, or the device shows the click id."""
    earned = acquisition.truth.earned
    assert earned is not None
    referrer = parse_qs(str(acquisition.evidence.get("install_referrer", "")))
    evidence_ids = {acquisition.evidence.get("click_id"), *referrer.get("click_id", [])}
    if earned.click_id in evidence_ids:
        return True
    _, value = simulator.advertising_id or ("", NO_ID)
    forms = {value.lower(), value.upper()}
    hashes = {
        hashlib.new(name, form.encode(), usedforsecurity=False).hexdigest()
        for name in ("md5", "sha1")
        for form in forms
    }
    return value != NO_ID and set(earned.ids.values()) <= forms | hashes


def test_an_honest_click_comes_before_the_download_and_an_injected_one_during_it() -> None:
    simulator = _simulator(DemoApp.ANDROID, with_id=True)

    honest, fraud = scenarios.single_click(simulator), scenarios.click_injection(simulator)

    begins = datetime.fromtimestamp(float(str(fraud.evidence["install_begin_time_server"])), UTC)
    assert honest.truth.earned is not None
    assert honest.truth.earned.at < begins
    [refused] = fraud.truth.refused
    assert begins < refused.at < simulator.start


def test_a_flood_is_of_one_network_and_one_id_within_an_hour() -> None:
    refused = scenarios.click_flooding(_simulator(DemoApp.IOS, with_id=True)).truth.refused

    moments = [touch.at for touch in refused]
    assert len(refused) > 10
    assert max(moments) - min(moments) < timedelta(hours=1)
    assert len({(touch.network.name, *touch.ids.items()) for touch in refused}) == 1


def test_a_data_center_has_other_addresses_than_people() -> None:
    simulator = _simulator(DemoApp.IOS, with_id=True)

    [refused] = scenarios.data_center_click(simulator).truth.refused

    anonymous = ip_network(ANONYMOUS_NETWORK)
    assert ip_address(refused.ip_address) in anonymous
    assert ip_address(str(simulator.device.sdk_fields["ip_address"])) not in anonymous


def test_the_game_credits_kitebird_for_an_hour_only() -> None:
    simulator = _simulator(DemoApp.IOS, with_id=True)

    acquisition = scenarios.older_click_with_longer_window(simulator)

    lumen, kitebird = acquisition.touches
    assert acquisition.truth.earned is lumen
    assert lumen.at < kitebird.at < simulator.start - timedelta(hours=1)
    assert KITEBIRD.click_window_hours == 1


@pytest.mark.parametrize("seed", _SEEDS)
def test_a_visitor_can_be_recognized_by_the_referrer_or_an_id(seed: int) -> None:
    visits = _day(seed).visits

    for visit in visits:
        assert visit.click
        assert visit.app is DemoApp.ANDROID or visit.click.ids
        call = visit.call(_NOW, "postbacks_click=1")
        assert [event.event_id for event in call.events] == [e.event_id for e in visit.events]
    assert any(visit.click and not visit.click.ids for visit in visits)
    assert any(visit.preview_id for visit in visits)


@pytest.mark.parametrize("seed", _SEEDS)
def test_who_comes_back_has_the_same_advertising_id_and_another_install_id(seed: int) -> None:
    day = _day(seed)

    ids: dict[object, set[str]] = {}
    for event in (event for call in day.calls for event in call.events):
        ids.setdefault(event.fields.get("idfa") or event.fields["gaid"], set()).add(
            event.install_id
        )
    assert {visit.truth.open_kind for visit in day.comebacks} == {
        OpenKind.REINSTALL,
        OpenKind.REATTRIBUTION,
    }
    for visit in day.comebacks:
        fields = visit.events[0].fields
        before = ids[fields.get("idfa") or fields["gaid"]]
        assert len(before) == 1
        assert fields["install_id"] not in before
        assert (visit.truth.open_kind is OpenKind.REATTRIBUTION) is (visit.click is not None)
