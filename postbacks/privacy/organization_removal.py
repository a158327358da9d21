"""Removes an organization with all its rows, in batches that block nobody else's work.

A log's partition holds a day of every organization, so it can't be dropped for one of them: its
rows are deleted in small transactions, day by day. A removal that is killed at any moment continues
from there when it is started again.

Tables are found by their models: one that is added tomorrow is emptied without being listed. Runs
as the role worker, which sees every organization's rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from graphlib import TopologicalSorter
from typing import Any

from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Min
from django.utils import timezone
from psycopg import sql

from apps_registry.models import ApiToken, AuditEntry, Membership, Organization, SdkKey, User
from apps_registry.tenancy import TenantModel, tenant
from postbacks.models import CallbackRule, DuePostback, HeldPostback, RuleStatus, UndecidedEvent

BATCH = 2_000

# Emptied first: deleting a queue's rows waits for the workers that hold them. What these workers
# write is committed by then, and the later statements see it.
_QUEUES: tuple[type[models.Model], ...] = (HeldPostback, DuePostback, UndecidedEvent)

OnBatch = Callable[[str, int], None]  # a table, and how many of its rows were deleted


@dataclass(frozen=True, slots=True)
class _Table:
    """A table with rows of organizations; `day` is the column by which it is partitioned."""

    model: type[models.Model]
    day: str | None

    @property
    def name(self) -> str:
        return self.model._meta.db_table


def count_rows(organization: Organization) -> dict[str, int]:
    """Return how many rows an organization has in each table that holds any."""
    with tenant(organization.pk):
        counts = {
            model._meta.db_table: _rows(model, organization).count() for model in _children_first()
        }
    return {table: count for table, count in counts.items() if count}


def people_left_alone(organization: Organization) -> int:
    """Return how many people are members of this organization and of no other."""
    elsewhere = Membership.objects.exclude(organization=organization).values("user")
    members = User.objects.filter(memberships__organization=organization)
    return members.exclude(pk__in=elsewhere).count()


def switch_off(organization: Organization) -> None:
    """Stop keys, tokens, members and rules of an organization at once."""
    with tenant(organization.pk):
        if organization.removed_at is None:
            organization.removed_at = timezone.now()
            organization.save(update_fields=["removed_at"])
        for key in SdkKey.objects.filter(revoked_at=None):
            key.revoke()
        for token in ApiToken.objects.filter(revoked_at=None):
            token.revoke()
        for rule in CallbackRule.objects.exclude(status=RuleStatus.ARCHIVED):
            rule.status = RuleStatus.ARCHIVED
            rule.save(update_fields=["status"])


def remove(organization: Organization, *, on_batch: OnBatch, batch: int = BATCH) -> None:
    """Switch an organization off and delete all its rows; call `on_batch` after each batch."""
    switch_off(organization)
    tables = [_Table(model, _day_column(model)) for model in _children_first()]
    while True:
        while sum(_empty(table, organization, on_batch, batch) for table in tables):
            pass  # once more: a request may still have been writing
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("DELETE FROM organization WHERE id = %s", [organization.pk])
        except IntegrityError:
            continue  # a request that began before the switch has stored a row meanwhile
        return


def _empty(table: _Table, organization: Organization, on_batch: OnBatch, batch: int) -> int:
    """Delete an organization's rows of a table; return how many there were."""
    total = 0
    while deleted := _delete_batch(table, organization, batch):
        on_batch(table.name, deleted)
        total += deleted
    return total


def _delete_batch(table: _Table, organization: Organization, batch: int) -> int:
    where: sql.Composable = sql.SQL("organization_id = %s")
    values: list[Any] = [organization.pk]
    if table.day is not None:
        first = _first_day(table, organization)
        if first is None:
            return 0
        where += sql.SQL(" AND {day} >= %s AND {day} < %s").format(day=sql.Identifier(table.day))
        values = [*values, first, first + timedelta(days=1)]
    statement = sql.SQL(
        "DELETE FROM {table} WHERE {where} AND ctid = ANY(ARRAY("
        "SELECT ctid FROM {table} WHERE {where} LIMIT %s)) RETURNING {key}"
    ).format(
        table=sql.Identifier(table.name),
        where=where,
        key=sql.Identifier(str(table.model._meta.pk.column)),
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, [*values, *values, batch])
        deleted = [str(key) for (key,) in cursor.fetchall()]
        kind = ContentType.objects.get_for_model(table.model)
        LogEntry.objects.filter(content_type=kind, object_id__in=deleted).delete()
    return len(deleted)


def _first_day(table: _Table, organization: Organization) -> datetime | None:
    """Return the beginning of the first day with rows: each statement reaches one partition."""
    with tenant(organization.pk):
        rows = _rows(table.model, organization)
        first: datetime | None = rows.aggregate(first=Min(table.day or ""))["first"]
    if first is None:
        return None
    return first.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _day_column(model: type[models.Model]) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute(
            # Touchpoints are partitioned by their kind first, and only then by the day.
            "SELECT attname FROM pg_partition_tree(%s::regclass) "
            "JOIN pg_partitioned_table ON partrelid = relid "
            "JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0] "
            "WHERE atttypid = 'timestamptz'::regtype LIMIT 1",
            [model._meta.db_table],
        )
        row = cursor.fetchone()
    return row[0] if row else None


def _rows(model: type[models.Model], organization: Organization) -> models.QuerySet[models.Model]:
    return model._default_manager.filter(organization_id=organization.pk)


def _children_first() -> list[type[models.Model]]:
    """Return the models with rows of organizations, each before the models that it refers to."""
    owned = [model for model in apps.get_models() if _is_owned(model)]
    sorter: TopologicalSorter[type[models.Model]] = TopologicalSorter()
    for model in owned:
        sorter.add(model)
        for referred in _referred_to(model):
            if referred in owned and referred is not model:
                sorter.add(referred, model)
    rest = [model for model in sorter.static_order() if model not in {*_QUEUES, AuditEntry}]
    return [*_QUEUES, *rest, AuditEntry]  # last: it says who removes the organization


def _is_owned(model: type[models.Model]) -> bool:
    is_table = model._meta.managed and not model._meta.proxy
    return is_table and (issubclass(model, TenantModel) or Organization in _referred_to(model))


def _referred_to(model: type[models.Model]) -> Iterator[type[models.Model]]:
    for field in model._meta.concrete_fields:
        if isinstance(field.related_model, type):
            yield field.related_model
