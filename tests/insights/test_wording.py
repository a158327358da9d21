"""Figures, times and answers in words."""

from datetime import UTC, datetime, timedelta

import pytest

from postbacks.insights import wording


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0 %"), (0.04, "< 0.1 %"), (96.25, "96.2 %"), (99.97, "> 99.9 %"), (100, "100 %")],
)
def test_a_percentage_never_rounds_to_all_or_nothing(share: float, words: str) -> None:
    assert wording.percent(share) == words


@pytest.mark.parametrize(
    ("count", "before", "words"),
    [
        (112, 100, "+12 % to the day before"),
        (90, 100, "\N{MINUS SIGN}10 % to the day before"),
        (100, 100, "as many as the day before"),
        (2_400, 100, "24 times the day before"),
        (5, 0, ""),
        (30, 19, ""),
    ],
)
def test_a_change_is_told_where_it_says_something(count: int, before: int, words: str) -> None:
    assert wording.change(count, before) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0004, "1 ms"), (0.04, "40 ms"), (1.44, "1.4 s"), (42.4, "42 s"), (200, "3 min"),
     (7_300, "2 h"), (90_000, "1 day"), (260_000, "3 days")],
)  # fmt: skip
def test_a_time_span_has_the_unit_that_suits_it(seconds: float, words: str) -> None:
    assert wording.seconds(seconds) == words


def test_how_long_ago_is_told_in_words() -> None:
    now = datetime(2026, 8, 20, 15, 20, tzinfo=UTC)

    told = [wording.ago(now - timedelta(seconds=passed), now) for passed in (20, 130, 7_300)]

    assert told == ["just now", "2 min ago", "2 h ago"]


@pytest.mark.parametrize(
    ("code", "status_code", "words"),
    [
        ("http_503", 503, "HTTP 503"),
        ("http_204", 204, "HTTP 204, but not a success"),
        ("body_says_no", 200, "HTTP 200: body says no"),
        ("timeout", None, "Timed out"),
        ("some_new_code", None, "Some new code"),
    ],
)
def test_an_answer_is_told_in_words(code: str, status_code: int | None, words: str) -> None:
    assert wording.answer(code, status_code) == words
