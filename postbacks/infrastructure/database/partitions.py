"""What a database needs besides tables: rights on the tables that belong to no tenant, and days."""

from django.apps import AppConfig, apps
from django.db import connections, models

from apps_registry.tenancy import TenantModel

_EVERY_RIGHT = "SELECT, INSERT, UPDATE, DELETE"
# Of web and of worker.
_RIGHTS = {
    # Rates are everybody's to read; only the command that loads them adds some.
    "exchange_rate": ("SELECT", "SELECT, INSERT"),
    # The door keeps them and the operator reads; workers hand them over and forget them.
    "unclaimed_copy": ("SELECT, INSERT", "SELECT, INSERT, DELETE"),
}

DAYS_AHEAD = 8  # today and a week


def finish_migration(sender: AppConfig, using: str, **_: object) -> None:
    """Grant and make days after `migrate`, in which the owner's role is at work."""
    with connections[using].cursor() as cursor:
        for table in sorted(_tables_of_no_tenant()):
            web, worker = _RIGHTS.get(table, (_EVERY_RIGHT, _EVERY_RIGHT))
            cursor.execute(f'GRANT {web} ON "{table}" TO postbacks_web')
            cursor.execute(f'GRANT {worker} ON "{table}" TO postbacks_worker')
        # `/readyz` and Django's own server look whether migrations are missing.
        cursor.execute("GRANT SELECT ON django_migrations TO postbacks_web, postbacks_worker")
    ensure_partitions(using)


def ensure_partitions(using: str = "default") -> None:
    """Make the logs' partitions for yesterday, today and the week ahead."""
    with connections[using].cursor() as cursor:
        for day in range(-1, DAYS_AHEAD):  # each by itself, so that no lock is held for long
            cursor.execute(
                "SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date + %s, 1)", [day]
            )


def days_ahead() -> int:
    """Return for how many days after today partitions exist."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM generate_series(1, 30) AS ahead
            WHERE to_regclass('event_p' || to_char(
                (now() AT TIME ZONE 'UTC')::date + ahead::int, 'YYYYMMDD')) IS NOT NULL
            """
        )
        return int(cursor.fetchone()[0])


def _tables_of_no_tenant() -> set[str]:
    models_and_links: list[type[models.Model]] = apps.get_models(include_auto_created=True)
    return {
        model._meta.db_table
        for model in models_and_links
        if model._meta.managed and not model._meta.proxy and not issubclass(model, TenantModel)
    }


def forget_old_event_keys(limit: int = 5_000) -> int:
    """Delete a batch of keys older than any event that is still accepted; return how many.

    Intake takes events up to 58 days old, so a key of 60 days can meet no retry any more.
    """
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM event_key WHERE ctid IN (
                SELECT ctid FROM event_key WHERE received_at < now() - interval '60 days' LIMIT %s
            )
            """,
            [limit],
        )
        return int(cursor.rowcount)
