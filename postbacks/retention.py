"""Lets data leave in their time: whole days of logs, and the addresses in touchpoints.

Logs leave by dropping a day's partition, never by a bulk DELETE. A touchpoint's address serves to
recognize an install without any id, for a day at most, and an install is final a day later; then
only its network is kept. Runs as the role worker, a little at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import msgspec
from django.conf import settings
from django.db import OperationalError, connection, transaction

from postbacks import recognition
from postbacks.models import Tidying

MATCHED = timedelta(days=2)  # the longest window without an id, and a day until installs are final
_SLICE = timedelta(hours=1)
_ADDRESSES = "touchpoint addresses"


def drop_old_days() -> None:
    """Drop the days of each log that are past what the operator keeps."""
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
        except OperationalError:  # somebody is reading for long: the next hour is early enough
            continue


def _drop_oldest(log: str, before: datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT drop_oldest_partition(%s, %s)", [log, before.date()])
        return bool(cursor.fetchone()[0])


def forget_old_touchpoint_keys(limit: int = 5_000) -> int:
    """Delete a batch of names whose touchpoints have left; return how many."""
    return sum(
        _run(
            "DELETE FROM touchpoint_key WHERE ctid IN (SELECT ctid FROM touchpoint_key "
            "WHERE kind = %s AND received_at < now() - %s * interval '1 day' LIMIT %s)",
            [kind, days, limit],
        )
        for kind, days in (
            ("click", settings.RETENTION_DAYS_CLICKS),
            ("impression", settings.RETENTION_DAYS_IMPRESSIONS),
        )
        if days
    )


def forget_old_repeats(limit: int = 5_000) -> int:
    """Delete a batch of what holds touchpoints to one for seven days; return how many."""
    return _run(
        "DELETE FROM touchpoint_seen WHERE ctid IN (SELECT ctid FROM touchpoint_seen "
        "WHERE received_at < now() - interval '7 days' LIMIT %s)",
        [limit],
    )


def shorten_addresses(batch: int = 1_000) -> bool:
    """Shorten the addresses of an hour's touchpoints; tell whether there may be more to do."""
    begin = _begin_of_touchpoints()
    now = datetime.now(UTC)
    if begin is None or begin + _SLICE > now - MATCHED:
        return False
    last = 0
    while rows := _touchpoints(begin, last, batch):
        with transaction.atomic():
            _shorten(rows, begin)
        last = rows[-1].id
    Tidying.objects.update_or_create(name=_ADDRESSES, defaults={"through": begin + _SLICE})
    return True


def shortened(address: str) -> str:
    """Return the network of an address: 24 bits of IPv4, 48 of IPv6; of no address nothing."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    network = ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False)
    return str(network.network_address)


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    organization_id: int
    app_id: int
    address: str

    @property
    def key(self) -> str | None:
        name = recognition.address_name(self.address)
        return str(recognition.key(self.app_id, name)) if name else None


def _begin_of_touchpoints() -> datetime | None:
    """Return from when on touchpoints have whole addresses."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce((SELECT through FROM tidying WHERE name = %s),"
            " (SELECT date_trunc('hour', min(received_at)) FROM touchpoint))",
            [_ADDRESSES],
        )
        found: datetime | None = cursor.fetchone()[0]
    return found


def _touchpoints(begin: datetime, last: int, batch: int) -> list[_Row]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, organization_id, app_id, ip_address FROM touchpoint"
            " WHERE received_at >= %s AND received_at < %s AND id > %s AND ip_address <> ''"
            " ORDER BY id LIMIT %s",
            [begin, begin + _SLICE, last, batch],
        )
        return [_Row(*row) for row in cursor.fetchall()]


_SHORTEN = """
WITH row AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb)
        AS row (id bigint, address text, shortened text, key uuid, organization bigint, app bigint)
), forgotten AS (
    DELETE FROM touchpoint_key USING row
    WHERE touchpoint_key.organization_id = row.organization AND touchpoint_key.app_id = row.app
      AND touchpoint_key.key = row.key AND touchpoint_key.touchpoint_id = row.id
)
UPDATE touchpoint SET ip_address = row.shortened,
    names = coalesce((SELECT jsonb_agg(name) FROM jsonb_array_elements_text(names) AS name
                      WHERE NOT starts_with(name, 'ip:')), '[]'),
    params = coalesce((SELECT jsonb_object_agg(key, value) FROM jsonb_each(params)
                       WHERE value <> to_jsonb(row.address)), '{}')
FROM row
WHERE touchpoint.id = row.id AND organization_id = row.organization
  AND received_at >= %(begin)s AND received_at < %(end)s
"""


def _shorten(rows: Iterable[_Row], begin: datetime) -> None:
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
    with connection.cursor() as cursor:
        cursor.execute(
            _SHORTEN,
            {
                "rows": msgspec.json.encode(values).decode(),
                "begin": begin,
                "end": begin + _SLICE,
            },
        )


def _run(statement: str, values: list[str | int]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)
