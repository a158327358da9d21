"""Each scenario of the table ends as a marketer would expect, and says why the others lost."""

import itertools

import pytest

from postbacks.attribution import reasons as words
from postbacks.attribution.waterfall import attribute
from tests.attribution.scenario_table import (
    Scenario,
    evidence,
    partner_of,
    scenarios,
    settings_by_scope,
    touches,
)

_TABLE = scenarios()


def test_the_table_is_large_and_names_each_scenario_once() -> None:
    names = [scenario.name for scenario in _TABLE]

    assert len(names) == len(set(names)) >= 80
    assert len(scenarios(http=True)) * 3 >= len(_TABLE)


@pytest.mark.parametrize("scenario", _TABLE, ids=lambda candidate: candidate.name)
def test_a_scenario_ends_as_the_table_says(scenario: Scenario) -> None:
    labelled = touches(scenario)

    verdict = attribute(
        evidence(scenario), [touch for _, touch in labelled], settings_by_scope(scenario)
    )

    labels = {touch.id: label for label, touch in labelled}
    credit = verdict.credit
    assert (labels[credit.touchpoint.id] if credit.touchpoint else "organic") == scenario.winner
    assert credit.type == ("organic" if scenario.winner == "organic" else scenario.type)
    assert scenario.method in {"", credit.method}
    lost = {
        labels[candidate.touchpoint.id]: candidate.reason
        for candidate in verdict.candidates
        if candidate.reason != "won" and labels[candidate.touchpoint.id] != scenario.winner
    }
    assert lost == scenario.lost
    assert {
        partner_of({"by": labels[candidate.touchpoint.id]}): candidate.reason
        for candidate in verdict.rejections
    } == scenario.rejected
    assert list(verdict.remarks) == list(scenario.remarks)


@pytest.mark.parametrize("scenario", _TABLE, ids=lambda candidate: candidate.name)
def test_the_order_in_which_touchpoints_are_known_changes_nothing(scenario: Scenario) -> None:
    touchpoints = [touch for _, touch in touches(scenario)]
    orders = list(itertools.islice(itertools.permutations(touchpoints), 24))

    verdicts = {
        attribute(evidence(scenario), order, settings_by_scope(scenario))
        == attribute(evidence(scenario), touchpoints, settings_by_scope(scenario))
        for order in orders
    }

    assert verdicts == {True}


def test_every_reason_of_the_table_has_a_sentence() -> None:
    reasons = {reason for scenario in _TABLE for reason in scenario.lost.values()}

    assert all("does not know" not in words.of_reason(reason) for reason in reasons)
