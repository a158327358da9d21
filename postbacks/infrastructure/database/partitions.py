"""The daily partitions of the logs."""

from django.db import connections

DAYS_AHEAD = 8  # today and a week


def ensure_partitions(using: str = "default", **_: object) -> None:
    """Make the partitions of yesterday, today and the week ahead, also after `migrate`."""
    with connections[using].cursor() as cursor:
        for day in range(-1, DAYS_AHEAD):  # one by one, so that no lock lasts long
            cursor.execute(
                "SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date + %s, 1)", [day]
            )


def days_ahead() -> int:
    """Return for how many days after today partitions exist."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM generate_series(1, 30) AS ahead
            WHERE to_regclass('event_p' || to_char(
                (now() AT TIME ZONE 'UTC')::date + ahead::int, 'YYYYMMDD')) IS NOT NULL
            """
        )
        return int(cursor.fetchone()[0])


def days_kept() -> int:
    """Return for how many days before today partitions of events exist."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce((now() AT TIME ZONE 'UTC')::date
                            - min(to_date(right(relname, 8), 'YYYYMMDD')), 0)
            FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
            WHERE inhparent = 'event'::regclass AND relname ~ '^event_p[0-9]{8}$'
            """
        )
        return int(cursor.fetchone()[0])
