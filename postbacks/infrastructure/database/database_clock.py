"""The database's clock, which all hosts share: a host's own may be minutes off, or be set anew."""

import time
from datetime import UTC, datetime, timedelta

from django.db import connection

_began: datetime | None = None  # the database's time when this host's monotonic clock was at zero


def note(at: datetime, *, asked_at: float, answered_at: float) -> None:
    """Note what the database's clock said between two moments of `time.monotonic()`."""
    global _began
    _began = at - timedelta(seconds=(asked_at + answered_at) / 2)


def now() -> datetime:
    """Return the database's time without asking it; this host's, as long as none was noted."""
    if _began is None:
        return datetime.now(UTC)
    return _began + timedelta(seconds=time.monotonic())


def ask() -> datetime:
    """Return the database's time, and note it."""
    asked_at = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (at,) = cursor.fetchone()
    note(at, asked_at=asked_at, answered_at=time.monotonic())
    return at  # type: ignore[no-any-return]  # psycopg's rows have no types
