"""The days whose partitions hold given rows."""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta

_LAST_MOMENT = timedelta(days=1) - timedelta(milliseconds=1)  # the columns keep milliseconds


def whole_days(moments: Iterable[datetime]) -> tuple[datetime, datetime]:
    """Return the first and the last moment of the UTC days that `moments` span.

    With these bounds in a statement PostgreSQL opens only these days' partitions. Narrower bounds
    would tempt it, where its statistics lag behind, to read everything between them instead of
    looking each row up by its key.
    """
    together = list(moments)
    first, last = (
        datetime.combine(moment.astimezone(UTC).date(), time(), UTC)
        for moment in (min(together), max(together))
    )
    return first, last + _LAST_MOMENT
