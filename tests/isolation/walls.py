"""What PostgreSQL itself says of the wall between tenants: where it stands, and where not."""

from django.db import connection

from apps_registry.tenancy import TenantModel
from postbacks.infrastructure.database import roles
from tests.isolation.story import tenant_models

_OWN = "(organization_id = ( SELECT current_organization() AS current_organization))"
_WALL = {(roles.WEB, _OWN, _OWN), (roles.WORKER, "true", "true")}

_TABLES = """
SELECT relname, relrowsecurity, relforcerowsecurity, EXISTS (
    SELECT FROM pg_attribute
    WHERE attrelid = pg_class.oid AND attname = 'organization_id' AND NOT attisdropped
) FROM pg_class
WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
"""
_POLICIES = """
SELECT tablename, unnest(roles), qual, with_check FROM pg_policies
WHERE schemaname = 'public' AND cmd = 'ALL'
"""
_FOREIGN_KEYS = """
SELECT conrelid::regclass::text, confrelid::regclass::text,
       (SELECT array_agg(attname::text ORDER BY place) FROM unnest(conkey)
            WITH ORDINALITY AS key (number, place)
        JOIN pg_attribute ON attrelid = conrelid AND attnum = number),
       (SELECT array_agg(attname::text ORDER BY place) FROM unnest(confkey)
            WITH ORDINALITY AS key (number, place)
        JOIN pg_attribute ON attrelid = confrelid AND attnum = number)
FROM pg_constraint WHERE contype = 'f'
"""


def rows(statement: str, *parameters: object) -> list[tuple[object, ...]]:
    """Return what a statement finds."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def open_tables() -> set[str]:
    """Return the tables that everybody reads whole."""
    return {str(table) for table, is_on, _, _ in rows(_TABLES) if not is_on}


def owned_tables() -> set[str]:
    """Return the tables whose rows name the organization that they belong to."""
    return {str(table) for table, _, _, has_owner in rows(_TABLES) if has_owner}


def half_open_tables() -> set[str]:
    """Return the tables where the wall has a hole: it spares the owner, or shows too much."""
    policies: dict[object, set[tuple[object, ...]]] = {}
    for table, *policy in rows(_POLICIES):
        policies.setdefault(table, set()).add(tuple(policy))
    return {
        str(table)
        for table, is_on, is_forced, _ in rows(_TABLES)
        if is_on and not (is_forced and policies.get(table) == _WALL)
    }


def plain_references() -> set[str]:
    """Return the columns that can point at another tenant's row, since no key holds both ids."""
    keys = rows(_FOREIGN_KEYS)
    owned = owned_tables()
    pointing = {
        f"{table}.{columns[0]}"
        for table, referred, columns, _ in keys
        if {table, referred} <= owned and len(columns) == 1
    }
    scoped = {
        f"{table}.{columns[1]}"
        for table, _, columns, there in keys
        if columns[0] == "organization_id" and there == ["organization_id", "id"]
    }
    return (pointing | _relations_of_models()) - scoped


def _relations_of_models() -> set[str]:
    """Return the relations that Python knows, also those for which there is no key at all."""
    return {
        f"{model._meta.db_table}.{field.column}"
        for model in tenant_models()
        for field in model._meta.concrete_fields
        if isinstance(field.related_model, type) and issubclass(field.related_model, TenantModel)
    }
