"""Rates as operators write them."""

import pytest

from postbacks.infrastructure.rate_limits.counting import RateLimit, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("60/s", RateLimit(60, 1)),
        (" 600/m ", RateLimit(600, 60)),
        ("5000/h", RateLimit(5000, 3600)),
        ("off", None),
        ("0", None),
    ],
)
def test_a_rate_is_read(text: str, rate: RateLimit | None) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["60", "60/d", "/s", "-1/s", "0/s", "six/s", "60/s/ip"])
def test_what_is_no_rate_is_told_what_one_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match="60/s, 600/m, 5000/h, or off"):
        parse_rate(text)


def test_a_rate_per_second_is_held_over_ten_so_that_a_burst_passes() -> None:
    assert (RateLimit(60, 1).window, RateLimit(60, 1).most) == (10, 600)
    assert (RateLimit(60, 60).window, RateLimit(60, 60).most) == (60, 60)
