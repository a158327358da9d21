"""The benchmark's arithmetic; its figures are measured, never tested."""

import math

import pytest

from tests.bench import table
from tests.bench.sums import (
    AtLeast,
    AtMost,
    EveryAtMost,
    EveryWithin,
    NotBelow,
    Row,
    Spread,
    Within,
    percentile,
    ratio,
)

FIGURES = {"naive": Spread((80.0, 70.0, 90.0)), "Postbacks": Spread((900.0, 3_200.0, 2_400.0))}


def test_the_median_is_the_middle_round_whatever_their_order() -> None:
    spread = Spread((9.0, 1.0, 4.0))

    middle, low, high = spread.median, spread.low, spread.high

    assert (middle, low, high) == (4.0, 1.0, 9.0)


def test_the_median_of_two_rounds_lies_between_them() -> None:
    spread = Spread((1.0, 4.0))

    assert spread.median == 2.5


def test_a_ratio_compares_medians() -> None:
    assert ratio(FIGURES, of="Postbacks", to="naive") == 30.0


def test_a_ratio_to_nothing_is_infinite() -> None:
    figures = {"naive": Spread((0.0,)), "Postbacks": Spread((1.0,))}

    assert ratio(figures, of="Postbacks", to="naive") == math.inf


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0)]
)
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    values = [float(value) for value in range(100, 0, -1)]

    assert percentile(values, share) == expected


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.99) == 7.0


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        (AtLeast(30, "Postbacks", "naive"), True),
        (AtLeast(31, "Postbacks", "naive"), False),
        (AtMost(80, "naive", "ms"), True),
        (AtMost(79, "naive", "ms"), False),
        (NotBelow(80, "naive", "events/s"), True),
        (NotBelow(81, "naive", "events/s"), False),
        (Within(30, "naive", "Postbacks"), True),
        (Within(2, "naive", "Postbacks"), False),
        (Within(2, "Postbacks", "naive"), False),
    ],
)
def test_a_goal_is_reached_by_medians(
    goal: AtLeast | AtMost | NotBelow | Within, reached: bool
) -> None:
    assert goal.is_reached(FIGURES) is reached


def test_the_table_says_whether_a_goal_was_reached() -> None:
    goals = (AtLeast(15, "Postbacks", "naive"), AtLeast(40, "Postbacks", "naive"))
    row = Row("Delivery", "acknowledged/s", FIGURES, ("naive",), goals, ("A note.",))

    lines = table.table([row]).splitlines()

    assert lines == [
        "Delivery",
        "             median acknowledged/s    min–max  × naive",  # noqa: RUF001
        "  naive                       80.0  70.0–90.0         ",  # noqa: RUF001
        "  Postbacks                  2,400  900–3,200     30.0",  # noqa: RUF001
        "  Goal: Postbacks at least 15× naive: reached.",  # noqa: RUF001
        "  Goal: Postbacks at least 40× naive: NOT reached.",  # noqa: RUF001
        "  A note.",
    ]


def test_the_file_keeps_every_round() -> None:
    row = Row("Delivery", "acknowledged/s", FIGURES, ("naive",), (AtMost(80, "naive", "ms"),))

    row_json = table.as_json(row)

    assert row_json["figures"]["Postbacks"] == {
        "median": 2_400.0,
        "min": 900.0,
        "max": 3_200.0,
        "rounds": [900.0, 3_200.0, 2_400.0],
        "times": {"naive": 30.0},
    }
    assert row_json["goals"] == [{"goal": "naive at most 80 ms", "reached": True}]


def test_a_run_is_compared_page_by_page_with_another() -> None:
    small = {"Events": Spread((40.0,)), "Search: a click": Spread((20.0,))}
    large = {"Events": Spread((48.0,)), "Search: a click": Spread((70.0,)), "new": Spread((9.0,))}
    row = Row(
        name="Pages",
        unit="ms",
        figures=large,
        beside=("100,000", small),
        goals=(
            EveryWithin(1.5, small, "of the same"),
            EveryAtMost(300, "ms"),
            EveryAtMost(50, "ms", of="Search: "),
        ),
    )

    text = table.table([row])

    assert [goal.is_reached(large) for goal in row.goals] == [False, True, False]
    assert "100,000" in text
    assert "1.2" in text
    assert "3.5" in text
    assert "each “Search:” at most 50 ms: NOT reached." in text
