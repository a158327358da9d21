"""What the simulator expects: counted by hand for small days, and true of any day."""

from datetime import UTC, datetime
from random import Random

import pytest

from postbacks.demo.evaluation.expected import Expectation, expect
from postbacks.demo.networks import DemoApp
from postbacks.demo.rules import DEMO_RULES, DemoRule
from postbacks.demo.simulation.day import DEFAULT_DEVICES, SimulatedDay, simulate_day
from postbacks.demo.simulation.model import SdkCall, SentEvent
from postbacks.demo.simulation.skan_copies import COPIES
from postbacks.values.rule_choices import Frequency

_ID = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
_ZEROS = "00000000-0000-0000-0000-000000000000"
_EVERYTHING = DemoRule(name="all", triggers=("*",), path="/ok")
_INSTALLS = DemoRule(name="installs", triggers=("install",), path="/ok")
_WITH_IDFA = DemoRule(name="idfa", triggers=("*",), path="/ok?idfa={{idfa!}}")


def _event(number: int, name: str, device: str = "d1") -> SentEvent:
    return SentEvent({"event_id": f"e{number}", "event_name": name, "install_id": device})


def _malformed(number: int, name: str, device: str = "d1") -> SentEvent:
    return SentEvent(_event(number, name, device).fields, well_formed=False)


def _call(*events: SentEvent, app: DemoApp = DemoApp.IOS) -> SdkCall:
    return SdkCall(app=app, body=b"", gzip=False, events=events)


def _day(seed: int) -> SimulatedDay:
    return simulate_day(
        seed=seed,
        devices=DEFAULT_DEVICES,
        now=datetime(2026, 7, 14, 18, 30, tzinfo=UTC),
        ios_bundle="com.gemharbor.ios",
        android_bundle="com.gemharbor.android",
    )


@pytest.mark.parametrize("seed", range(12))
def test_every_day_adds_up_and_owes_between_3000_and_5000_postbacks(seed: int) -> None:
    day = _day(seed)

    expected = expect(day.all_calls, DEMO_RULES, day.truths, COPIES)

    assert expected.sent_events == expected.events + expected.duplicates + expected.rejected
    assert expected.installs == DEFAULT_DEVICES
    assert expected.postbacks == sum(expected.by_rule.values())
    assert 3000 < expected.postbacks < 5000
    assert min(expected.duplicates, expected.rejected, expected.skipped) > 0
    assert min(expected.by_rule.values()) > 0
    updated = sum(truth.earned is not truth.at_first for truth in day.truths.values())
    assert expected.by_rule["Every event to the data warehouse"] == (
        expected.events + expected.refused + updated + expected.skan_postbacks
    )
    assert expected.attributed == sum(map(len, expected.earned.values()))
    for name, click_ids in expected.earned.items():
        assert expected.by_rule[f"Installs that {name} earned"] == len(click_ids)
    assert expected.by_rule["Install to Lumen Ads"] == expected.installs


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_processing_changes_nothing(seed: int) -> None:
    day = _day(seed)
    shuffled = [
        SdkCall(call.app, b"", gzip=False, events=(event,))
        for call in day.all_calls
        for event in call.events
    ]
    Random(seed).shuffle(shuffled)  # noqa: S311  # an order, not a secret

    expected = expect(shuffled, DEMO_RULES, day.truths, COPIES)

    assert expected == expect(day.all_calls, DEMO_RULES, day.truths, COPIES)


def test_a_repetition_and_a_malformed_event_owe_nothing() -> None:
    expected = expect(
        [
            _call(_event(1, "open"), _event(2, "purchase"), _event(2, "purchase")),
            _call(_event(1, "open"), _malformed(3, "purchase")),
        ],
        [_EVERYTHING],
    )

    assert expected == Expectation(
        sent_events=5,
        events=2,
        duplicates=2,
        rejected=1,
        installs=1,
        postbacks=2,
        skipped=0,
        by_rule={"all": 2},
        earned={"Lumen Ads": frozenset(), "Tidal Reach": frozenset(), "Kitebird": frozenset()},
    )


def test_one_event_id_in_two_apps_is_two_events() -> None:
    calls = [_call(_event(1, "open"), app=app) for app in DemoApp]

    expected = expect(calls, [_EVERYTHING])

    assert (expected.events, expected.duplicates, expected.installs) == (2, 0, 2)


def test_a_device_installs_once_by_its_install_or_its_first_open() -> None:
    calls = [
        _call(_event(1, "install", "both"), _event(2, "open", "both")),
        _call(_event(3, "open", "opens only"), _event(4, "open", "opens only")),
        _call(_event(5, "purchase", "neither"), _malformed(6, "open", "neither")),
    ]
    opens = DemoRule(name="opens", triggers=("open",), path="/ok")

    expected = expect(calls, [_INSTALLS, opens])

    assert expected.installs == 2
    assert expected.by_rule == {"installs": 2, "opens": 3}


def test_a_rule_sends_once_for_an_event_that_fits_several_of_its_triggers() -> None:
    rule = DemoRule(name="both", triggers=("install", "*"), path="/ok")

    assert expect([_call(_event(1, "install"))], [rule]).postbacks == 1


def test_first_time_per_device_is_counted_per_rule_and_device() -> None:
    first = DemoRule(name="first", triggers=("buy",), frequency=Frequency.FIRST, path="/ok")
    calls = [_call(_event(1, "buy"), _event(2, "buy"), _event(3, "buy", "d2"))]

    assert expect(calls, [first, _EVERYTHING]).by_rule == {"first": 2, "all": 3}


def test_a_rule_of_an_app_ignores_the_other_app() -> None:
    android = DemoRule(name="android", app=DemoApp.ANDROID, triggers=("*",), path="/ok")
    calls = [_call(_event(1, "open")), _call(_event(2, "open", "d2"), app=DemoApp.ANDROID)]

    assert expect(calls, [android]).by_rule == {"android": 1}


@pytest.mark.parametrize(
    ("fields", "skipped"),
    [
        ({"idfa": _ID}, 0),
        ({"idfa": _ID, "att_status": 3, "limit_ad_tracking": False}, 0),
        ({"idfa": _ID, "gdpr_applies": True, "ad_user_data": True}, 0),
        ({}, 1),
        ({"idfa": _ZEROS}, 1),
        ({"idfa": _ID, "limit_ad_tracking": True}, 1),
        ({"idfa": _ID, "att_status": 1}, 1),
        ({"idfa": _ID, "att_status": 2}, 1),
        ({"idfa": _ID, "gdpr_applies": True}, 1),
        ({"idfa": _ID, "eea": True, "ad_user_data": False}, 1),
    ],
)
def test_a_postback_without_a_required_id_is_owed_but_skipped(
    fields: dict[str, object], skipped: int
) -> None:
    event = SentEvent({**_event(1, "open").fields, **fields})

    expected = expect([_call(event)], [_WITH_IDFA])

    assert (expected.postbacks, expected.skipped) == (1, skipped)


@pytest.mark.parametrize(
    "rule",
    [
        DemoRule(name="order", triggers=("install", "open"), path="/ok"),
        DemoRule(name="macro", triggers=("*",), path="/ok?x={{idfa||gaid!}}"),
    ],
)
def test_a_rule_that_cannot_be_counted_from_outside_is_refused(rule: DemoRule) -> None:
    with pytest.raises(ValueError, match=rule.name):
        expect([], [rule])


def test_conditions_leave_out_other_countries_and_lower_levels() -> None:
    def level_up(number: int, country: str, level: int) -> SentEvent:
        fields = _event(number, "level_up").fields
        return SentEvent({**fields, "country": country, "params": {"level": level}})

    rule = DemoRule(
        name="keen", triggers=("level_up",), path="/ok", countries=("DE", "FR"), least_level=3
    )
    events = [
        level_up(1, "DE", 3),
        level_up(2, "FR", 4),
        level_up(3, "US", 9),
        level_up(4, "DE", 2),
        _event(5, "level_up"),
    ]

    assert expect([_call(*events)], [rule]).by_rule == {"keen": 2}
