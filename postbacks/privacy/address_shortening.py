"""Shortens IP addresses once they have served, to the network that they are of.

A touchpoint's address serves to recognize an install without any id, for a day at most, and an
install is final a day later. An event's is sent to partners: it stays whole as long as what is owed
for the event may still go out, and then its user agent leaves too. Runs as the role worker, batch
by batch in the order of ids; how far it came is stored with each batch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from itertools import takewhile

import msgspec
from django.conf import settings
from django.db import connection, transaction

from postbacks.models import Tidying
from postbacks.values import identifiers

MATCHED = timedelta(days=2)  # the longest window without an id, and a day until installs are final
BATCH = 1_000
_NEIGHBORS = timedelta(hours=1)  # ids and times may be in another order, but not for so long


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    received_at: datetime
    organization_id: int
    app_id: int
    address: str

    @property
    def key(self) -> str | None:
        name = identifiers.address_identifier(self.address)
        return str(identifiers.key_of(self.app_id, name)) if name else None


def shorten_touchpoints(batch: int = BATCH) -> bool:
    """Shorten a batch of touchpoints' addresses; tell whether there may be more."""
    return _shorten("touchpoint addresses", "touchpoint", MATCHED, _shorten_touchpoints, batch)


def shorten_events(batch: int = BATCH) -> bool:
    """Shorten a batch of events' addresses; tell whether there may be more."""
    days = settings.RETENTION_DAYS_ADDRESSES
    return bool(days) and _shorten(
        "event addresses", "event", timedelta(days=days), _shorten_events, batch
    )


def shortened(address: str) -> str:
    """Return the network of an address: 24 bits of IPv4, 48 of IPv6; of no address nothing."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    network = ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False)
    return str(network.network_address)


def _shorten(
    name: str, log: str, after: timedelta, shorten: Callable[[Sequence[_Row]], None], batch: int
) -> bool:
    with transaction.atomic():
        done = Tidying.objects.filter(name=name).first()
        before = datetime.now(UTC) - after
        rows = list(
            takewhile(lambda row: row.received_at < before, _next(log, done, before, batch))
        )
        if not rows:
            return False
        shorten(rows)
        progress = {"through": rows[-1].received_at, "last_id": rows[-1].id}
        Tidying.objects.update_or_create(name=name, defaults=progress)
    return len(rows) == batch


_ADDRESS = {"touchpoint": "ip_address", "event": "coalesce(fields ->> 'ip_address', '')"}


def _next(log: str, done: Tidying | None, before: datetime, batch: int) -> Iterator[_Row]:
    """Yield the next rows by id, to the end of the day's partition: newer ones are not sought."""
    since = done.through - _NEIGHBORS if done else datetime.min.replace(tzinfo=UTC)
    end = before.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, received_at, organization_id, app_id, {_ADDRESS[log]} FROM {log}"  # noqa: S608  # our own words
            " WHERE id > %s AND received_at >= %s AND received_at < %s ORDER BY id LIMIT %s",
            [done.last_id if done else 0, since, end, batch],
        )
        yield from (_Row(*row) for row in cursor.fetchall())


_SHORTEN_TOUCHPOINTS = """
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
  AND received_at BETWEEN %(first)s AND %(last)s
"""
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
