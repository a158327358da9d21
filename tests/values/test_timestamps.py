"""One reader of times for all that send them: seconds, milliseconds or ISO 8601."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from postbacks.values.timestamps import parse_timestamp

MOMENT = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        1777888800,
        1777888800.0,
        Decimal(1777888800),
        1777888800000,
        "1777888800",
        "1777888800.0",
        "1.7778888e9",
        " 1777888800000 ",
        "2026-05-04T10:00:00Z",
        "2026-05-04T12:00:00+02:00",
        "2026-05-04 10:00:00+00:00",
        "20260504T100000Z",
        1777888800000000,
        "1777888800000000",
        Decimal("1777888800000000.0"),
        "2026-05-04T10:00:00.000Z+0000",  # Adjust
        "2026-05-04T12:00:00.000Z+0200",
        "2026-05-04T12:00:00Z+02:00",
        "2026-05-04T04:30:00.000Z-0530",
        "2026-05-04T10:00:00+0000",
        "2026-05-04 10:00:00 +0000",
        "2026-05-04 10:00:00 UTC",
        "2026-05-04T10:00:00.000Z 0000",  # a plus in a URL that nobody encoded
        "2026-05-04T12:00:00 02:00",
        "2026-05-04T12:00:00.000 0200",
        "2026-05-04 10:00:00.000 GMT",
    ],
    ids=repr,
)
def test_a_time_is_seconds_milliseconds_or_iso(value: object) -> None:
    assert parse_timestamp(value) == MOMENT


def test_fractions_are_exact_to_the_microsecond() -> None:
    assert parse_timestamp("1777888800.123456") == MOMENT + timedelta(microseconds=123_456)
    assert parse_timestamp(Decimal("1777888800123.5")) == MOMENT + timedelta(microseconds=123_500)


@pytest.mark.parametrize("naive", ["refuse", "utc"])
@pytest.mark.parametrize(
    "value", [0, 0.0, "0", "0.0", -1, "-1777888800", Decimal("-0.5")], ids=repr
)
def test_zero_and_below_are_no_time(value: object, naive: object) -> None:
    assert parse_timestamp(value, naive=naive) is None  # type: ignore[arg-type]  # parametrized


def test_a_time_without_an_offset_is_refused_or_taken_as_utc() -> None:
    assert parse_timestamp("2026-05-04T10:00:00") is None
    assert parse_timestamp("2026-05-04T10:00:00", naive="utc") == MOMENT


def test_a_time_keeps_the_offset_that_it_came_with() -> None:
    moment = parse_timestamp("2026-05-04T12:00:00+02:00")

    assert moment is not None
    assert moment.isoformat() == "2026-05-04T12:00:00+02:00"


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        [],
        {},
        MOMENT,
        "",
        "soon",
        "NaN",
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        "1_777_888_800",
        "1777888800000000000",  # nanoseconds
        "2026-05-04T10:00:00ZZ",
        "2026-05-04T10:00:00Z+",
        "2026-05-04T10:00:00 CEST",
        "2026-05-04 10:00",
        "UTC",
        "1e400",
        10**400,
        Decimal("1E+999999999"),
        "9" * 5000,
        "0001-01-01T00:00:00+14:00",
    ],
    ids=lambda value: repr(value)[:40],
)
def test_anything_else_is_no_time_and_raises_nothing(value: object) -> None:
    assert parse_timestamp(value) is None
