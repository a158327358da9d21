"""The simulated day: is it what SDKs would send, and is nothing left out by chance?"""

import gzip
import ipaddress
import json
import uuid
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from postbacks.demo.networks import DemoApp
from postbacks.demo.rules import DEMO_RULES
from postbacks.demo.simulation.day import DEFAULT_DEVICES, EVENT_ERRORS, SimulatedDay, simulate_day
from postbacks.demo.simulation.model import SdkCall, SentEvent

_NOW = datetime(2026, 7, 14, 18, 30, tzinfo=UTC)
_BUNDLES = {DemoApp.IOS: "com.gemharbor.ios", DemoApp.ANDROID: "com.gemharbor.android"}
_SEEDS = (1, 7, 2026)


def _simulated(seed: int, *, devices: int = DEFAULT_DEVICES) -> SimulatedDay:
    return simulate_day(
        seed=seed,
        devices=devices,
        now=_NOW,
        ios_bundle=_BUNDLES[DemoApp.IOS],
        android_bundle=_BUNDLES[DemoApp.ANDROID],
    )


def _day(seed: int) -> list[SdkCall]:
    """Return the calls of the day without those of live visits."""
    return list(_simulated(seed).calls)


def _events(calls: list[SdkCall]) -> list[SentEvent]:
    return [event for call in calls for event in call.events]


def _good(calls: list[SdkCall]) -> list[SentEvent]:
    return [event for event in _events(calls) if event.well_formed]


def _happened_at(event: SentEvent) -> datetime:
    written = event.fields["event_time"]
    if isinstance(written, str):
        return datetime.fromisoformat(written)
    assert isinstance(written, int)
    return datetime.fromtimestamp(written / 1000 if written > 10**11 else written, UTC)


def _carried(call: SdkCall) -> object:
    return json.loads(gzip.decompress(call.body) if call.gzip else call.body)


@pytest.mark.parametrize("seed", _SEEDS)
def test_the_body_carries_exactly_the_events(seed: int) -> None:
    for call in _day(seed):
        carried = _carried(call)
        if isinstance(carried, dict):
            carried = carried.get("events", [carried])
        assert carried == [dict(event.fields) for event in call.events]
        assert 1 <= len(call.events) <= 50


@pytest.mark.parametrize("seed", _SEEDS)
def test_every_form_of_a_body_is_used(seed: int) -> None:
    calls = _day(seed)

    forms = {
        "array" if isinstance(body, list) else "wrapped" if "events" in body else "single"
        for body in map(_carried, calls)
        if isinstance(body, list | dict)
    }
    assert forms == {"array", "wrapped", "single"}
    assert {call.gzip for call in calls} == {True, False}
    assert {call.app for call in calls} == set(DemoApp)


def test_one_seed_is_one_day_and_two_seeds_share_no_id() -> None:
    first, again, other = _day(1), _day(1), _day(2)

    assert first == again
    for field in ("event_id", "install_id", "transaction_id"):
        ids, other_ids = (
            {event.fields[field] for event in _events(calls) if field in event.fields}
            for calls in (first, other)
        )
        assert ids
        assert ids.isdisjoint(other_ids)


@pytest.mark.parametrize("seed", _SEEDS)
def test_ids_are_random_uuids_and_only_repetitions_share_one(seed: int) -> None:
    contents = defaultdict(set)
    for event in _events(_day(seed)):
        assert uuid.UUID(event.event_id).version == 4
        contents[event.event_id].add(json.dumps(dict(event.fields)))

    assert {len(versions) for versions in contents.values()} == {1}


@pytest.mark.parametrize("seed", _SEEDS)
def test_a_device_begins_with_its_install_or_first_open(seed: int) -> None:
    first_names: dict[str, str] = {}
    day = _simulated(seed)
    visits = [visit.call_without_time for visit in day.visits]
    for event in _good([*day.calls, *visits]):
        first_names.setdefault(event.install_id, event.name)

    assert len(first_names) == DEFAULT_DEVICES
    assert set(first_names.values()) == {"install", "open"}


@pytest.mark.parametrize("seed", _SEEDS)
def test_few_devices_say_twice_that_they_installed_the_game(seed: int) -> None:
    events = {event.event_id: event for event in _good(_day(seed))}.values()

    installs = Counter(event.install_id for event in events if event.name == "install")
    times = Counter(installs.values())
    assert set(times) == {1, 2}
    assert times[2] < 30 < times[1]


@pytest.mark.parametrize("seed", _SEEDS)
def test_good_events_are_in_order_and_within_what_the_api_takes(seed: int) -> None:
    latest: dict[str, datetime] = {}
    event_ids = set()
    for event in _good(_day(seed)):
        happened_at = _happened_at(event)
        assert _NOW - timedelta(days=58) < happened_at <= _NOW
        if event.event_id not in event_ids:
            assert happened_at >= latest.get(event.install_id, happened_at)
            latest[event.install_id] = happened_at
        event_ids.add(event.event_id)

    assert any(happened_at < _NOW - timedelta(days=2) for happened_at in latest.values())


@pytest.mark.parametrize("seed", _SEEDS)
def test_consent_and_identifiers_of_a_device_never_change(seed: int) -> None:
    fields = ("idfa", "gaid", "limit_ad_tracking", "att_status", "gdpr_applies", "ad_user_data")
    values = defaultdict(set)
    for event in _good(_day(seed)):
        values[event.install_id].add(tuple(event.fields.get(name) for name in fields))

    assert {len(versions) for versions in values.values()} == {1}


@pytest.mark.parametrize("seed", _SEEDS)
def test_who_opted_out_has_an_all_zero_id(seed: int) -> None:
    opted_out = [event for event in _good(_day(seed)) if event.fields["limit_ad_tracking"]]

    ids = {event.fields.get("idfa", event.fields.get("gaid")) for event in opted_out}
    assert ids == {"00000000-0000-0000-0000-000000000000"}
    assert {event.fields["platform"] for event in opted_out} == {"ios", "android"}


@pytest.mark.parametrize("seed", _SEEDS)
def test_purchases_come_in_five_currencies_and_name_product_and_transaction(seed: int) -> None:
    purchases = [event for event in _good(_day(seed)) if event.name == "purchase"]

    assert {event.fields["currency"] for event in purchases} == {"USD", "EUR", "GBP", "JPY", "BRL"}
    assert all({"revenue", "product_id", "transaction_id"} <= set(p.fields) for p in purchases)
    assert {type(event.fields["revenue"]) for event in purchases} >= {str, float}


@pytest.mark.parametrize("seed", _SEEDS)
def test_every_address_is_reserved_for_documentation(seed: int) -> None:
    networks = [
        ipaddress.ip_network(network)
        for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
    ]

    addresses = {ipaddress.ip_address(str(e.fields["ip_address"])) for e in _events(_day(seed))}
    assert {address.version for address in addresses} == {4, 6}
    assert all(any(address in network for network in networks) for address in addresses)


@pytest.mark.parametrize("seed", _SEEDS)
def test_every_kind_of_malformed_event_is_sent(seed: int) -> None:
    bad = [event for event in _events(_day(seed)) if not event.well_formed]

    kinds: Counter[str] = Counter()
    for event in bad:
        kinds["nameless"] += not event.name
        kinds["worded"] += event.fields.get("revenue") == "four ninety-nine"
        kinds["gems"] += event.fields.get("currency") == "GEM"
        kinds["old"] += _happened_at(event) < _NOW - timedelta(days=58)
        kinds["future"] += _happened_at(event) > _NOW + timedelta(minutes=5)
        kinds["foreign"] += event.fields["bundle_id"] not in _BUNDLES.values()
    assert len(kinds) == len(EVENT_ERRORS)
    assert min(kinds.values()) > 0
    assert kinds.total() == len(bad)


@pytest.mark.parametrize("seed", _SEEDS)
def test_malformed_events_come_with_good_neighbors_and_alone(seed: int) -> None:
    mixtures = {frozenset(event.well_formed for event in call.events) for call in _day(seed)}

    assert mixtures == {frozenset({True}), frozenset({False}), frozenset({True, False})}


@pytest.mark.parametrize("seed", _SEEDS)
def test_events_are_repeated_within_a_call_and_in_later_calls(seed: int) -> None:
    event_ids: set[str] = set()
    within = later = 0
    for call in _day(seed):
        ids = [event.event_id for event in call.events]
        within += len(ids) - len(set(ids))
        later += len(event_ids.intersection(ids))
        event_ids.update(ids)

    assert within > 0
    assert later > 0


@pytest.mark.parametrize("seed", _SEEDS)
def test_every_rule_has_its_events_in_the_day(seed: int) -> None:
    names = {event.name for event in _good(_day(seed))}

    ours = {"*", "rejected_install", "skan_postback", "reattribution"}  # no SDK reports these
    triggers = {trigger for rule in DEMO_RULES for trigger in rule.triggers}
    assert triggers - ours <= names


def test_a_day_of_one_device_is_possible() -> None:
    assert {event.install_id for event in _good(list(_simulated(3, devices=1).calls))}
