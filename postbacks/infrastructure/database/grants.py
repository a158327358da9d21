"""The rights of the roles web and worker on tables that belong to no tenant."""

from django.apps import apps
from django.db import connections, models

from apps_registry.tenancy import TenantModel

_EVERY_RIGHT = "SELECT, INSERT, UPDATE, DELETE"
# Of web and of worker.
_RIGHTS = {
    # Triggers write it, as the owner.
    "configuration_version": ("SELECT", "SELECT"),
    # Everybody reads rates; only the command that loads them adds some.
    "exchange_rate": ("SELECT", "SELECT, INSERT"),
    # The API stores them and the operator reads; workers hand them over and delete them.
    "unclaimed_copy": ("SELECT, INSERT", "SELECT, INSERT, DELETE"),
}


def grant_rights(using: str, **_: object) -> None:
    """Grant rights after `migrate`, as the owner. Migrations grant those on tenants' tables."""
    with connections[using].cursor() as cursor:
        for table in sorted(_tables_of_no_tenant()):
            web, worker = _RIGHTS.get(table, (_EVERY_RIGHT, _EVERY_RIGHT))
            cursor.execute(f'GRANT {web} ON "{table}" TO postbacks_web')
            cursor.execute(f'GRANT {worker} ON "{table}" TO postbacks_worker')
        # `/readyz` and Django's own server check for missing migrations.
        cursor.execute("GRANT SELECT ON django_migrations TO postbacks_web, postbacks_worker")


def _tables_of_no_tenant() -> set[str]:
    models_and_links: list[type[models.Model]] = apps.get_models(include_auto_created=True)
    return {
        model._meta.db_table
        for model in models_and_links
        if model._meta.managed and not model._meta.proxy and not issubclass(model, TenantModel)
    }
