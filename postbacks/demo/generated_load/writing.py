"""Writes a load in steps, each a transaction of its own, by statements over whole sets.

A device has six events in its first minutes. Four of five devices are the first organization's, so
that there is one with a log of millions; the others share the rest. Every other device has clicked
before, and is credited to its click. All rows follow from their numbers: two loads of one size
differ in their times alone. Figures come from the rows of each step, and are folded as a worker
does it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import connection, transaction

from postbacks.delivery.outcome import Outcome
from postbacks.demo.generated_load.organizations import LINKS, LoadOrganization
from postbacks.infrastructure.database import roles
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.insights import figure_changes
from postbacks.models import (
    AttemptKind,
    FigureKind,
    InstallKind,
    InstallState,
    PostbackStatus,
    SkipReason,
    TouchpointKind,
    TouchpointSource,
)
from postbacks.privacy.tombstones import CUSTOMER, id_identifier
from postbacks.values import identifiers

EVENTS_PER_DEVICE: Final = 6
_DEVICES_AT_ONCE: Final = 10_000
_FOLDED_AT_ONCE: Final = 500_000
_FOLD_SECONDS: Final = 600.0
_POSTBACKS_PER_ATTEMPT: Final = 0.7
_MOST_RULES: Final = 10

_PACKAGE = "postbacks.demo.generated_load"
_MAKE_TABLES = load_sql(_PACKAGE, "make_load_tables")
_STEPS = (
    load_sql(_PACKAGE, "add_events"),
    load_sql(_PACKAGE, "add_clicks", TouchpointKind, TouchpointSource),
    load_sql(_PACKAGE, "add_installs", InstallKind, InstallState),
    load_sql(_PACKAGE, "add_postbacks", PostbackStatus, SkipReason),
    load_sql(_PACKAGE, "add_attempts", AttemptKind, Outcome, PostbackStatus),
    load_sql(_PACKAGE, "count_load", FigureKind, InstallKind),
)
_ADD_KEYS = load_sql(_PACKAGE, "add_load_keys", TouchpointKind)

# Workers plan for a few rows at a time, and of rows that were just written PostgreSQL expects few.
_PLAN_FOR_MANY = """
SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_nestloop = off
"""
_COUNT_STEP = """
SELECT (SELECT count(*) FROM load_attempt), (SELECT count(*) FROM load_postback)
"""
_FIND_FILLED = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
  AND pg_get_userbyid(relowner) = %s
ORDER BY relname
"""


@dataclass(frozen=True, slots=True)
class LoadSize:
    """How much is written. An event has at most ten postbacks, one of each rule."""

    attempts: int
    events: int
    organizations: int
    clicks: int
    days: int = 30

    @property
    def devices(self) -> int:
        return -(-self.events // EVENTS_PER_DEVICE)

    @property
    def postbacks(self) -> int:
        return min(round(self.attempts * _POSTBACKS_PER_ATTEMPT), self.events * _MOST_RULES)

    @property
    def rules(self) -> int:
        """Return how many rules each organization needs."""
        return max(1, -(-self.postbacks // self.events))

    @property
    def rows(self) -> int:
        return self.attempts + self.postbacks + self.events + self.clicks


def write_load(
    size: LoadSize, organizations: Sequence[LoadOrganization], *, newest: datetime
) -> Iterator[int]:
    """Write events up to `newest`, and all that follows from them; yield the rows of each step."""
    _make_partitions(size, newest)
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_TABLES)
    _fill_tables(organizations)
    for first in range(0, size.devices, _DEVICES_AT_ONCE):
        with transaction.atomic():
            written = _write_step(size, first, newest)
        figure_changes.fold(_FOLD_SECONDS, batch=_FOLDED_AT_ONCE)
        yield written


def vacuum_logs() -> None:
    """Vacuum and analyze what was filled, as autovacuum does it sooner or later."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        (role,) = cursor.fetchone()
        cursor.execute(_FIND_FILLED, [roles.OWNER])
        tables = [table for (table,) in cursor.fetchall()]
        cursor.execute(f"SET ROLE {roles.OWNER}")
        try:
            for table in tables:
                cursor.execute(f'VACUUM (ANALYZE) "{table}"')
        finally:
            cursor.execute(f"SET ROLE {role}")


def _make_partitions(size: LoadSize, newest: datetime) -> None:
    oldest = newest - timedelta(days=size.days, hours=2)
    with connection.cursor() as cursor:
        for day in range((newest.date() - oldest.date()).days + 1):
            cursor.execute("SELECT ensure_partitions(%s, 1)", [oldest.date() + timedelta(days=day)])


def _fill_tables(organizations: Sequence[LoadOrganization]) -> None:
    apps = [
        (
            place,
            generated.organization.pk,
            generated.app.pk,
            generated.app.platform,
            generated.bundle_id,
            [rule.pk for rule in generated.rules],
        )
        for place, generated in enumerate(organizations)
    ]
    links = [
        (
            place,
            number,
            link.link.pk,
            link.link.campaign_id,
            link.link.campaign.partner_id,
            msgspec.json.encode(link.facts).decode(),
        )
        for place, organization in enumerate(organizations)
        for number, link in enumerate(organization.links)
    ]
    _copy("load_app", apps)
    _copy("load_link", links)


def _write_step(size: LoadSize, first: int, newest: datetime) -> int:
    devices = min(_DEVICES_AT_ONCE, size.devices - first)
    first_event = first * EVENTS_PER_DEVICE
    last_event = min((first + devices) * EVENTS_PER_DEVICE, size.events) - 1
    first_click = -(-first * size.clicks // size.devices)
    last_click = -(-(first + devices) * size.clicks // size.devices) - 1
    values: dict[str, Any] = {
        "per_device": EVENTS_PER_DEVICE,
        "events": size.events,
        "devices": size.devices,
        "clicks": size.clicks,
        "links": LINKS,
        "organizations": size.organizations,
        "postbacks": size.postbacks,
        "attempts": size.attempts,
        # One of twenty is skipped: the attempts are those of the others.
        "tried": -(-size.postbacks * 19 // 20),
        "newest": newest,
        "pace": timedelta(days=size.days) / size.events,
        "first_event": first_event,
        "last_event": last_event,
        "first_click": first_click,
        "last_click": last_click,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PLAN_FOR_MANY)
        for statement in _STEPS:
            cursor.execute(statement, values)
        _copy_keys()
        cursor.execute(_ADD_KEYS)
        cursor.execute("TRUNCATE load_key, load_identifier")
        cursor.execute(_COUNT_STEP)
        attempts, postbacks = cursor.fetchone()
    return int(attempts + postbacks + last_event - first_event + last_click - first_click + 2)


def _copy_keys() -> None:
    """Copy the keys of a step's installs and clicks to where a statement finds them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT device_number, app_id, advertising_id, install_id, customer_user_id"
            " FROM load_event WHERE step = 0"
        )
        devices = cursor.fetchall()
        _copy("load_key", _keys_of_installs(devices))
        _copy("load_identifier", _ids_of_devices(devices))
        cursor.execute("SELECT number, app_id, names FROM load_click")
        _copy("load_key", _keys_of_clicks(cursor.fetchall()))


def _keys_of_installs(
    devices: Iterable[tuple[int, int, UUID, UUID, str]],
) -> Iterator[tuple[bool, int, UUID, bool]]:
    for number, app_id, advertising_id, install_id, _ in devices:
        ids = {"gaid": str(advertising_id), "install_id": str(install_id)}
        for key in identifiers.keys_of(app_id, identifiers.identifiers_of(ids)):
            yield False, number, key, True
        for key in identifiers.keys_of(app_id, identifiers.hashed_identifiers(ids)):
            yield False, number, key, False


def _ids_of_devices(
    devices: Iterable[tuple[int, int, UUID, UUID, str]],
) -> Iterator[tuple[int, str, UUID, list[int]]]:
    for number, app_id, advertising_id, _, customer_user_id in devices:
        for kind, value in (("gaid", str(advertising_id)), (CUSTOMER, customer_user_id)):
            key = identifiers.key_of(app_id, id_identifier(kind, value))
            shared_kind = identifiers.shared_kind(kind)
            yield number, shared_kind, key, identifiers.search_digests(kind, value)


def _keys_of_clicks(
    clicks: Iterable[tuple[int, int, str]],
) -> Iterator[tuple[bool, int, UUID, None]]:
    for number, app_id, names in clicks:
        for key in identifiers.keys_of(app_id, msgspec.json.decode(names, type=list[str])):
            yield True, number, key, None


def _copy(table: str, rows: Iterable[tuple[object, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def now_in_full_seconds() -> datetime:
    """Return the moment of the newest generated event."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
