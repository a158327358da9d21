"""Statements name whole days, and so exactly the partitions that hold their rows."""

from datetime import UTC, datetime, timedelta, timezone

from postbacks.models.days import whole_days


def test_days_are_counted_in_utc_and_from_their_first_to_their_last_moment() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    past_midnight_in_utc = datetime(2026, 3, 1, 23, 30, tzinfo=timezone(timedelta(hours=-2)))

    first, last = whole_days([past_midnight_in_utc, noon])

    assert first == datetime(2026, 3, 1, tzinfo=UTC)
    assert last == datetime(2026, 3, 2, 23, 59, 59, 999_000, tzinfo=UTC)


def test_one_moment_is_within_its_own_day() -> None:
    last_moment = datetime(2026, 3, 1, 23, 59, 59, 999_000, tzinfo=UTC)

    first, last = whole_days([last_moment])

    assert first < last_moment == last
