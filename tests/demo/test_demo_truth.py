"""The figures that follow from the ground truth, counted by hand."""

from datetime import UTC, datetime

from postbacks.demo.evaluation.expected import Expectation, expect
from postbacks.demo.networks import LUMEN, TIDAL, DemoApp, Network
from postbacks.demo.rules import DemoRule
from postbacks.demo.simulation.model import (
    GroundTruth,
    OpenKind,
    SdkCall,
    SentEvent,
    SimulatedTouch,
    TouchKind,
    truth_of,
)
from postbacks.demo.simulation.skan_copies import COPIES


def _touch(network: Network, click_id: str = "c1") -> SimulatedTouch:
    at = datetime(2026, 7, 14, tzinfo=UTC)
    return SimulatedTouch(network, DemoApp.IOS, TouchKind.CLICK, at, click_id, "", {}, "", "")


def _rule(trigger: str, network: Network) -> DemoRule:
    return DemoRule(
        name=f"{trigger} {network.short}",
        triggers=(trigger,),
        path="/ok",
        network=network,
        only_earned=True,
    )


_RULES = [
    DemoRule(name="everything", triggers=("*",), path="/ok"),
    *(
        _rule(trigger, network)
        for network in (LUMEN, TIDAL)
        for trigger in ("install", "purchase", "rejected_install", "reattribution")
    ),
]


def _owed(truth: GroundTruth, *names: str) -> Expectation:
    events = tuple(
        SentEvent({"event_id": f"e{number}", "event_name": name, "install_id": "d"})
        for number, name in enumerate(names)
    )
    call = SdkCall(DemoApp.IOS, b"", gzip=False, events=events)
    return expect([call], _RULES, {(DemoApp.IOS, "d"): truth})


def _sent(expected: Expectation) -> dict[str, int]:
    return {name: count for name, count in expected.by_rule.items() if count}


def test_the_network_that_earned_an_install_is_told_of_it_and_of_what_follows() -> None:
    expected = _owed(truth_of(_touch(LUMEN)), "open", "purchase", "purchase")

    assert _sent(expected) == {"everything": 3, "install lumen": 1, "purchase lumen": 2}
    assert expected.attributed == 1
    assert expected.earned["Lumen Ads"] == {"c1"}


def test_an_organic_install_is_told_to_no_network() -> None:
    expected = _owed(GroundTruth(), "open", "purchase")

    assert _sent(expected) == {"everything": 2}
    assert expected.attributed == 0


def test_a_late_report_earns_the_install_but_not_what_was_bought_before() -> None:
    expected = _owed(GroundTruth(earned=_touch(LUMEN), at_first=None), "open", "purchase")

    assert _sent(expected) == {"everything": 3, "install lumen": 1}  # with attribution_updated
    assert expected.attributed == 1


def test_each_fraud_is_told_to_the_network_that_it_is_of() -> None:
    frauds = (_touch(TIDAL, "f1"), _touch(TIDAL, "f2"))

    expected = _owed(truth_of(_touch(LUMEN), refused=frauds), "open")

    assert _sent(expected) == {"everything": 3, "install lumen": 1, "rejected_install tidal": 2}
    assert expected.refused == 2


def test_who_is_won_back_is_no_new_install_but_counts_for_the_winner() -> None:
    click = _touch(TIDAL)
    truth = GroundTruth(open_kind=OpenKind.REATTRIBUTION, earned=click, at_first=click)

    expected = _owed(truth, "open", "purchase")

    assert _sent(expected) == {"everything": 2, "purchase tidal": 1, "reattribution tidal": 1}
    assert (expected.installs, expected.attributed) == (0, 0)
    assert expected.earned["Tidal Reach"] == frozenset()


def test_only_copies_that_apple_signed_count_and_each_once() -> None:
    rule = _rule("skan_postback", LUMEN)

    expected = expect([], [rule, _RULES[0]], {}, COPIES)

    assert _sent(expected) == {"skan_postback lumen": 2, "everything": 2}
    assert expected.skan_postbacks == 2 < len(COPIES)
