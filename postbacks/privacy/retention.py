"""Deletes data past their retention, and shortens IP addresses, as the role worker in batches.

Logs are dropped by a day's partition, never by a bulk DELETE. An address becomes its network as
soon as the whole one is no longer needed: a touchpoint's recognizes an install without any id for a
day at most, and an install is final a day later. An event's is sent to partners: it stays whole
while postbacks of the event may be pending; then its user agent is deleted too. Addresses are
shortened by id, and the progress is stored with each batch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from itertools import takewhile

import msgspec
from django.conf import settings
from django.db import OperationalError, connection, transaction

from apps_registry.addresses import parse_address
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import run
from postbacks.models import Tidying, TouchpointKind
from postbacks.models.alerts import INCIDENT_DAYS_KEPT
from postbacks.models.refused_events import DAYS_KEPT
from postbacks.values import identifiers

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
# An open incident stays, with its newest notices; one that ended leaves with all of them.
_DELETE_OLD_INCIDENTS = (
    "DELETE FROM alert_notice WHERE id IN (SELECT id FROM alert_notice "
    "WHERE created_at < now() - make_interval(days => %s) AND ended_at IS NOT NULL LIMIT %s)",
    "DELETE FROM alert_incident WHERE id IN (SELECT id FROM alert_incident "
    "WHERE cleared_at < now() - make_interval(days => %s) LIMIT %s)",
)
_DELETE_ENDED_SESSIONS = (
    "DELETE FROM django_session WHERE session_key IN "
    "(SELECT session_key FROM django_session WHERE expire_date < now() LIMIT %s)",
    "DELETE FROM usersessions_usersession WHERE id IN (SELECT id FROM usersessions_usersession "
    "AS opened WHERE NOT EXISTS (SELECT FROM django_session "
    "WHERE django_session.session_key = opened.session_key) LIMIT %s)",
)

MATCHED = timedelta(days=2)  # the longest window without an id, and a day until installs are final
BATCH = 1_000  # addresses
_NEIGHBORS = timedelta(hours=1)  # how far the orders of ids and times may differ

_SHORTEN_TOUCHPOINTS = load_sql("postbacks.privacy", "shorten_touchpoints")

_SHORTEN_EVENTS = """
UPDATE event SET
    fields = fields - ARRAY['ip_address', 'user_agent'] || CASE row.shortened WHEN '' THEN '{}'
        ELSE jsonb_build_object('ip_address', row.shortened) END,
    params = CASE row.address WHEN '' THEN params ELSE
        coalesce((SELECT jsonb_object_agg(key, value) FROM jsonb_each(params)
                  WHERE value <> to_jsonb(row.address)), '{}') END
FROM jsonb_to_recordset(%(rows)s::jsonb)
    AS row (id bigint, address text, shortened text, organization bigint)
WHERE event.id = row.id AND organization_id = row.organization
  AND fields ?| ARRAY['ip_address', 'user_agent'] AND received_at BETWEEN %(first)s AND %(last)s
"""


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


def delete_ended_sessions(limit: int = 5_000) -> int:
    """Delete a batch of sessions that have ended, and where and by what they were opened."""
    return sum(run(statement, [limit]) for statement in _DELETE_ENDED_SESSIONS)


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


def delete_old_incidents(limit: int = 5_000) -> int:
    """Delete a batch of alerts' old incidents and notices; return how many."""
    return sum(run(statement, [INCIDENT_DAYS_KEPT, limit]) for statement in _DELETE_OLD_INCIDENTS)


def delete_old_repeats(limit: int = 5_000) -> int:
    """Delete a batch of touchpoints' deduplication keys, kept seven days; return how many."""
    return run(
        "DELETE FROM touchpoint_seen WHERE ctid IN (SELECT ctid FROM touchpoint_seen "
        "WHERE received_at < now() - interval '7 days' LIMIT %s)",
        [limit],
    )


def delete_old_refusals(limit: int = 5_000) -> int:
    """Delete a batch of refused events and their counters, kept seven days; return how many."""
    return sum(
        run(statement, [DAYS_KEPT, limit])
        for statement in (
            "DELETE FROM refused_event WHERE ctid IN (SELECT ctid FROM refused_event "
            "WHERE received_at < now() - %s * interval '1 day' LIMIT %s)",
            "DELETE FROM refusal_count WHERE ctid IN (SELECT ctid FROM refusal_count "
            "WHERE day < (now() AT TIME ZONE 'UTC')::date - %s LIMIT %s)",
        )
    )


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    received_at: datetime
    organization_id: int
    app_id: int
    address: str

    @property
    def key(self) -> str | None:
        identifier = identifiers.address_identifier(self.address)
        return str(identifiers.key_of(self.app_id, identifier)) if identifier else None


def shorten_touchpoints(batch: int = BATCH) -> bool:
    """Shorten a batch of touchpoints' addresses; tell whether there may be more."""
    return _shorten("touchpoint", _shorten_touchpoints, after=MATCHED, batch=batch)


def shorten_events(batch: int = BATCH) -> bool:
    """Shorten a batch of events' addresses; tell whether there may be more."""
    days = settings.RETENTION_DAYS_ADDRESSES
    return bool(days) and _shorten(
        "event", _shorten_events, after=timedelta(days=days), batch=batch
    )


def shortened(address: str) -> str:
    """Return the network of an address: 24 bits of IPv4, 48 of IPv6; "" of no address."""
    parsed = parse_address(address)
    if parsed is None:
        return ""
    network = ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False)
    return str(network.network_address)


def _shorten(
    log: str, shorten: Callable[[Sequence[_Row]], None], *, after: timedelta, batch: int
) -> bool:
    name = f"{log} addresses"  # as the progress is stored
    with transaction.atomic():
        progress = Tidying.objects.filter(name=name).first()
        before = datetime.now(UTC) - after
        rows = list(
            takewhile(lambda row: row.received_at < before, _next(log, progress, before, batch))
        )
        if not rows:
            return False
        shorten(rows)
        reached = {"through": rows[-1].received_at, "last_id": rows[-1].id}
        Tidying.objects.update_or_create(name=name, defaults=reached)
    return len(rows) == batch


_ADDRESS_COLUMN = {"touchpoint": "ip_address", "event": "coalesce(fields ->> 'ip_address', '')"}


def _next(log: str, progress: Tidying | None, before: datetime, batch: int) -> Iterator[_Row]:
    """Yield the next rows by id, to the end of the day's partition: newer ones are not read."""
    since = progress.through - _NEIGHBORS if progress else datetime.min.replace(tzinfo=UTC)
    end = before.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, received_at, organization_id, app_id, {_ADDRESS_COLUMN[log]} FROM {log}"  # noqa: S608  # our own words
            " WHERE id > %s AND received_at >= %s AND received_at < %s ORDER BY id LIMIT %s",
            [progress.last_id if progress else 0, since, end, batch],
        )
        yield from (_Row(*row) for row in cursor.fetchall())


def _shorten_touchpoints(rows: Sequence[_Row]) -> None:
    _update(_SHORTEN_TOUCHPOINTS, [row for row in rows if row.address])


def _shorten_events(rows: Sequence[_Row]) -> None:
    _update(_SHORTEN_EVENTS, rows)


def _update(statement: str, rows: Sequence[_Row]) -> None:
    if not rows:
        return
    values = [
        {
            "id": row.id,
            "organization": row.organization_id,
            "app": row.app_id,
            "address": row.address,
            "shortened": shortened(row.address),
            "key": row.key,
        }
        for row in rows
    ]
    moments = [row.received_at for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            {
                "rows": msgspec.json.encode(values).decode(),
                "first": min(moments),
                "last": max(moments),
            },
        )
