"""Deletes data past their retention, as the role worker and in small batches.

Logs are dropped by a day's partition, never by a bulk DELETE.
"""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import OperationalError, connection

from postbacks.infrastructure.database.statements import run
from postbacks.models import TouchpointKind

# Each deletes what nothing refers to any more, the replays themselves last.
_DELETE_OLD_REPLAYS = (
    "DELETE FROM replayed_postback WHERE id IN (SELECT replayed.id "
    "FROM replayed_postback AS replayed JOIN replay_part AS part ON part.id = replayed.part_id "
    "JOIN replay ON replay.id = part.replay_id "
    "WHERE replay.finished_at < now() - interval '90 days' LIMIT %s)",
    "DELETE FROM replay_part WHERE id IN (SELECT part.id FROM replay_part AS part "
    "JOIN replay ON replay.id = part.replay_id "
    "WHERE replay.finished_at < now() - interval '90 days' AND NOT EXISTS "
    "(SELECT FROM replayed_postback WHERE part_id = part.id) LIMIT %s)",
    "DELETE FROM replay WHERE id IN (SELECT id FROM replay "
    "WHERE finished_at < now() - interval '90 days' AND NOT EXISTS "
    "(SELECT FROM replay_part WHERE replay_id = replay.id) LIMIT %s)",
)


def drop_old_days() -> None:
    """Drop the days of each log that are past the operator's retention."""
    for log, days in (
        ("event", settings.RETENTION_DAYS_EVENTS),
        ("postback", settings.RETENTION_DAYS_POSTBACKS),
        ("delivery_attempt", settings.RETENTION_DAYS_POSTBACKS),
        ("touchpoint_click", settings.RETENTION_DAYS_CLICKS),
        ("touchpoint_impression", settings.RETENTION_DAYS_IMPRESSIONS),
    ):
        try:
            while days and _drop_oldest(log, datetime.now(UTC) - timedelta(days=days)):
                pass
        except OperationalError:  # a long read holds the lock: the next hour is early enough
            continue


def _drop_oldest(log: str, before: datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT drop_oldest_partition(%s, %s)", [log, before.date()])
        return bool(cursor.fetchone()[0])


def delete_old_touchpoint_keys(limit: int = 5_000) -> int:
    """Delete a batch of keys whose touchpoints were dropped; return how many."""
    return sum(
        run(
            "DELETE FROM touchpoint_key WHERE ctid IN (SELECT ctid FROM touchpoint_key "
            "WHERE kind = %s AND received_at < now() - %s * interval '1 day' LIMIT %s)",
            [kind, days, limit],
        )
        for kind, days in (
            (TouchpointKind.CLICK, settings.RETENTION_DAYS_CLICKS),
            (TouchpointKind.IMPRESSION, settings.RETENTION_DAYS_IMPRESSIONS),
        )
        if days
    )


def delete_old_event_keys(limit: int = 5_000) -> int:
    """Delete a batch of keys older than any event that is still accepted; return how many.

    Intake accepts events up to 58 days old, so a key of 60 days can meet no retry any more.
    """
    return run(
        "DELETE FROM event_key WHERE ctid IN (SELECT ctid FROM event_key "
        "WHERE received_at < now() - interval '60 days' LIMIT %s)",
        [limit],
    )


def delete_old_held(limit: int = 5_000) -> int:
    """Delete a batch of held postbacks whose rows were dropped; return how many."""
    if not settings.RETENTION_DAYS_POSTBACKS:
        return 0
    return run(
        "DELETE FROM held_postback WHERE ctid IN (SELECT ctid FROM held_postback "
        "WHERE event_received_at < now() - %s * interval '1 day' LIMIT %s)",
        [settings.RETENTION_DAYS_POSTBACKS + 1, limit],
    )


def delete_old_jobs(limit: int = 5_000) -> int:
    """Delete a batch of jobs that ended 90 days ago; the audit log keeps who started them."""
    return run(
        "DELETE FROM postback_job WHERE ctid IN (SELECT ctid FROM postback_job "
        "WHERE finished_at < now() - interval '90 days' LIMIT %s)",
        [limit],
    )


def delete_old_replays(limit: int = 5_000) -> int:
    """Delete a batch of what replays that ended 90 days ago have left; return how many rows."""
    return sum(run(statement, [limit]) for statement in _DELETE_OLD_REPLAYS)


def delete_old_repeats(limit: int = 5_000) -> int:
    """Delete a batch of touchpoints' deduplication keys, kept seven days; return how many."""
    return run(
        "DELETE FROM touchpoint_seen WHERE ctid IN (SELECT ctid FROM touchpoint_seen "
        "WHERE received_at < now() - interval '7 days' LIMIT %s)",
        [limit],
    )
