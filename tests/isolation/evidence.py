"""What would show that a wall has a hole: rows that changed, and rows that lead across."""

from allauth.mfa.models import Authenticator
from django.db import connection
from psycopg import sql

from apps_registry.models import Invitation, Membership, Organization, User
from apps_registry.tenancy import TenantModel
from postbacks.infrastructure.database import roles
from tests.database import as_role
from tests.isolation.story import Story, tenant_models


def fingerprint(story: Story) -> dict[str, str]:
    """Return a hash over all rows of a story's organization, table by table."""
    whose = {model._meta.db_table: "organization_id" for model in tenant_models()}
    whose |= {Membership._meta.db_table: "organization_id", Organization._meta.db_table: "id"}
    whose |= {Invitation._meta.db_table: "organization_id"}
    prints = {table: _hash(table, column, story.organization_id) for table, column in whose.items()}
    owner = story.tenant.owner.pk
    return {
        **prints,
        "user": _hash(User._meta.db_table, "id", owner),
        "second factors": _hash(Authenticator._meta.db_table, "user_id", owner),
    }


def rows_that_lead_across(story: Story) -> list[str]:
    """Return the relations by which somebody else's row refers to a row of this organization."""
    return [
        f"{model.__name__}.{field.name}"
        for model in tenant_models()
        for field in model._meta.concrete_fields
        if isinstance(field.related_model, type)
        and issubclass(field.related_model, TenantModel)
        and _leads_across(model, field.column, story.keys[field.related_model], story)
    ]


def _hash(table: str, column: str, key: int) -> str:
    statement = sql.SQL(
        "SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} AS t WHERE {} = %s"
    ).format(sql.Identifier(table), sql.Identifier(column))
    with as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(statement, [key])
        return str(cursor.fetchone()[0])


def _leads_across(model: type[TenantModel], column: str, keys: list[int], story: Story) -> bool:
    statement = sql.SQL("SELECT count(*) FROM {} WHERE {} = ANY(%s) AND organization_id <> %s")
    table, key = sql.Identifier(model._meta.db_table), sql.Identifier(column)
    with as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(statement.format(table, key), [keys, story.organization_id])
        return bool(cursor.fetchone()[0])
