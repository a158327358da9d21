"""Figures, times and answers in words."""

from datetime import UTC, datetime, timedelta

import pytest

from postbacks.insights import wording


def _tied(words: str) -> str:
    """Return words in which each underscore stands for a no-break space."""
    return words.replace("_", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0_%"), (0.04, "< 0.1_%"), (96.25, "96.2_%"), (99.97, "> 99.9_%"), (100, "100_%")],
)
def test_a_percentage_never_rounds_to_all_or_nothing(share: float, words: str) -> None:
    assert wording.percent(share) == _tied(words)


@pytest.mark.parametrize(
    ("count", "before", "words"),
    [
        (112, 100, "+12_% to the day before"),
        (90, 100, "\N{MINUS SIGN}10_% to the day before"),
        (100, 100, "as many as the day before"),
        (2_400, 100, "24 times the day before"),
        (5, 0, ""),
        (30, 19, ""),
    ],
)
def test_a_change_is_told_where_it_says_something(count: int, before: int, words: str) -> None:
    assert wording.change(count, before) == _tied(words)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0004, "1_ms"),
        (0.04, "40_ms"),
        (1.44, "1.4_s"),
        (42.4, "42_s"),
        (200, "3_min"),
        (7_300, "2_h"),
        (90_000, "1_day"),
        (260_000, "3_days"),
    ],
)
def test_a_time_span_has_the_unit_that_suits_it(seconds: float, words: str) -> None:
    assert wording.seconds(seconds) == _tied(words)


def test_how_long_ago_is_told_in_words() -> None:
    now = datetime(2026, 8, 20, 15, 20, tzinfo=UTC)

    phrases = [wording.ago(now - timedelta(seconds=passed), now) for passed in (20, 130, 7_300)]

    assert phrases == ["just now", _tied("2_min ago"), _tied("2_h ago")]


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
