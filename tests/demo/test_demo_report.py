"""The comparison at the end of a finite run: what differs is named, and makes it fail."""

import json
from dataclasses import replace

import pytest

from postbacks.demo.evaluation.expected import Expectation
from postbacks.demo.evaluation.measured import MeasuredOutcome, PartnerReceipts
from postbacks.demo.evaluation.report import RunReport
from postbacks.demo.networks import NETWORKS
from postbacks.demo.sending.sdk_client import EventsAnswer

_EARNED = {
    "Lumen Ads": frozenset({"LA.1", "LA.2"}),
    "Tidal Reach": frozenset({"t1"}),
    "Kitebird": frozenset[str](),
}
_EXPECTED = Expectation(
    sent_events=3,
    events=2,
    duplicates=1,
    rejected=0,
    installs=4,
    postbacks=2,
    skipped=0,
    by_rule={"a": 2},
    attributed=3,
    refused=1,
    skan_postbacks=2,
    earned=_EARNED,
)
_OUTCOME = MeasuredOutcome(
    installs=4,
    attributed=3,
    comebacks=1,
    clicks=5,
    impressions=1,
    rejected_installs=1,
    skan_postbacks=2,
    postbacks=2,
    delivered=2,
    failed=0,
    skipped=0,
    p50_ms=1.0,
    p99_ms=2.0,
    delivered_ids=frozenset({"p1", "p2"}),
    by_rule={"a": 2},
)
_RECEIVED = PartnerReceipts({"p1": 1, "p2": 1}, _EARNED)
_ANSWERS = [EventsAnswer(202, accepted=2, duplicates=1, rejected=0, ids=())]


def test_a_run_is_right_if_everybody_counted_the_same() -> None:
    report = RunReport.of(_EXPECTED, _ANSWERS, _OUTCOME, _RECEIVED)

    figures = json.loads(report.as_json)
    assert report.is_right
    assert report.differences == ()
    assert (figures["attributed"], figures["attributed_truth"]) == (3, 3)
    assert figures["by_network"]["Lumen Ads"] == {"earned": 2, "told": 2}
    assert set(figures["by_network"]) == {network.name for network in NETWORKS}


@pytest.mark.parametrize(
    "outcome",
    [
        replace(_OUTCOME, attributed=2),
        replace(_OUTCOME, rejected_installs=0),
        replace(_OUTCOME, skan_postbacks=3),
        replace(_OUTCOME, postbacks=3),
        replace(_OUTCOME, by_rule={"a": 1, "b": 1}),
    ],
)
def test_a_figure_that_differs_from_the_truth_makes_it_wrong(outcome: MeasuredOutcome) -> None:
    assert not RunReport.of(_EXPECTED, _ANSWERS, outcome, _RECEIVED).is_right


def test_a_network_that_was_told_of_another_install_is_named_with_both() -> None:
    notified = {**_EARNED, "Lumen Ads": frozenset({"LA.1", "LA.9"})}

    received = replace(_RECEIVED, notified=notified)
    report = RunReport.of(_EXPECTED, _ANSWERS, _OUTCOME, received, scenarios={"LA.2": "tapped"})

    assert not report.is_right
    assert "Lumen Ads was not told of 1 installs: LA.2 (tapped)" in report.table
    assert "Lumen Ads was told by mistake of 1 installs: LA.9 (unknown)" in report.table


def test_a_rule_that_sent_too_little_is_named() -> None:
    outcome = replace(_OUTCOME, by_rule={"a": 1})

    report = RunReport.of(_EXPECTED, _ANSWERS, outcome, _RECEIVED)

    assert report.differences == ("a: 1 postbacks, expected 2",)
