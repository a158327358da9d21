"""When a circuit breaker opens, probes and closes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from postbacks.delivery.breaker import Breaker, LaneReport
from postbacks.models import BreakerState

START = datetime(2026, 11, 30, 12, tzinfo=UTC)


def breaker() -> Breaker:
    return Breaker(1, "ads.example.com:443", BreakerState.CLOSED, "", 0, START, 0, 0)


def report(outcomes: str, *, is_probe: bool = False) -> LaneReport:
    """Return a report of requests: `.` an answer, `x` a failure."""
    made = LaneReport()
    for outcome in outcomes:
        made = made.with_result(failure="timeout" if outcome == "x" else "", is_probe=is_probe)
    return made


def after(reports: Sequence[str], *, seconds_apart: float = 1.0) -> Breaker:
    state = breaker()
    for number, outcomes in enumerate(reports):
        now = START + timedelta(seconds=number * seconds_apart)
        state = state.after(report(outcomes), now)
    return state


@pytest.mark.parametrize(
    ("reports", "is_open"),
    [
        (["x" * 9], False),
        (["x" * 10], True),
        (["x" * 5, "x" * 5], True),
        (["x" * 5, ".", "x" * 5], False),
        ([".xxxxx", "xxxxx"], True),
        (["xxxxx.", "xxxxx"], False),
        (["xx.x" * 5], True),  # 15 of 20
        (["x.x." * 10], False),  # half of them
        (["xx.x" * 4], False),  # too few to judge
        (["xx.x" * 2] * 3, True),
        (["......."], False),
        ([""], False),
    ],
)
def test_it_opens_after_ten_failures_in_a_row_or_most_of_a_minute(
    reports: list[str], is_open: bool
) -> None:
    assert (after(reports).state == BreakerState.OPEN) is is_open


def test_failures_of_another_minute_do_not_count_together() -> None:
    assert after(["xx.x" * 3, "xx.x" * 3], seconds_apart=59).state == BreakerState.OPEN
    assert after(["xx.x" * 3, "xx.x" * 3], seconds_apart=61).state == BreakerState.CLOSED


def test_failures_in_a_row_count_however_far_apart_they_are() -> None:
    assert after(["x"] * 10, seconds_apart=600).state == BreakerState.OPEN


def test_probes_come_after_half_a_minute_and_at_last_every_five_minutes() -> None:
    state = after(["x" * 10])
    waits = []
    for _ in range(6):
        assert state.next_probe_at is not None
        waits.append(state.probe_wait_seconds)
        state = state.after(report("x", is_probe=True), state.next_probe_at)

    assert waits == [30, 60, 120, 240, 300, 300]
    assert (state.state, state.opened_at, state.reason) == (BreakerState.OPEN, START, "timeout")


def test_a_probe_that_is_answered_closes_it() -> None:
    state = after(["x" * 10]).after(report(".", is_probe=True), START)

    assert state == breaker()
    assert state.is_well


def test_answers_to_what_was_under_way_neither_close_it_nor_put_the_probe_off() -> None:
    opened = after(["x" * 10])

    assert opened.after(report("..x.xx"), START + timedelta(seconds=9)) == opened


def test_a_lane_is_well_when_nothing_failed_for_a_minute() -> None:
    assert not after(["x", "."]).is_well
    assert after(["x", "."], seconds_apart=61).is_well
