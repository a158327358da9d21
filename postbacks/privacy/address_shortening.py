"""Shortens IP addresses to their networks as soon as they are no longer needed.

A touchpoint's address recognizes an install without any id for a day at most, and an install is
final a day later. An event's address is sent to partners: it stays whole while postbacks of the
event may be pending; then its user agent is deleted too. Runs as the role worker, in batches by id;
the progress is stored with each batch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from itertools import takewhile

import msgspec
from django.conf import settings
from django.db import connection, transaction

from apps_registry.addresses import parse_address
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import Tidying
from postbacks.values import identifiers

MATCHED = timedelta(days=2)  # the longest window without an id, and a day until installs are final
BATCH = 1_000
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
