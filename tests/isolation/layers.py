"""Switches that turn one of the two walls between tenants off. They exist in tests only."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, models
from psycopg import sql

from apps_registry.audit.audited_model import AuditedModel
from apps_registry.tenancy import TenantManager, TenantModel, current_organization
from postbacks.infrastructure.database import roles
from tests.database import as_role
from tests.isolation.story import tenant_models


@contextmanager
def without_python() -> Iterator[None]:
    """Have managers show every row, and models take whatever organization they are given."""

    def show_all(manager: models.Manager[models.Model]) -> models.QuerySet[models.Model]:
        return models.Manager.get_queryset(manager)

    def save_any(row: TenantModel, *args: object, **kwargs: object) -> None:
        row.organization_id = row.organization_id or current_organization()
        AuditedModel.save(row, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TenantManager, "get_queryset", show_all)
        patch.setattr(TenantModel, "save", save_any)
        yield


@contextmanager
def without_policies() -> Iterator[None]:
    """Have PostgreSQL forget whose rows are whose."""
    _switch_policies("DISABLE")
    try:
        yield
    finally:
        _switch_policies("ENABLE")


def _switch_policies(verb: str) -> None:
    with as_role(roles.OWNER), connection.cursor() as cursor:
        for model in tenant_models():
            cursor.execute(
                sql.SQL("ALTER TABLE {} {} ROW LEVEL SECURITY").format(
                    sql.Identifier(model._meta.db_table), sql.SQL(verb)
                )
            )
