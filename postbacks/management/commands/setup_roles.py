"""Prepare a PostgreSQL server of your own: `manage.py setup_roles`."""

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from psycopg import conninfo

from postbacks.infrastructure import environment
from postbacks.infrastructure.database import roles


class Command(BaseCommand):
    """Creates the three database roles and lets DATABASE_URL's login turn into them."""

    help = (
        "Creates the database roles owner, web and worker, and DATABASE_URL's login if there is "
        "none. Run it once per server; it is safe to repeat. Set DATABASE_ADMIN_URL to an address "
        "that may create roles, if DATABASE_URL's login may not."
    )
    requires_system_checks = []

    def handle(self, *args: object, **options: object) -> None:
        database = settings.DATABASES["default"]
        login = str(database["USER"])
        admin = environment.text("DATABASE_ADMIN_URL", settings.DATABASE_URL)
        try:
            roles.ensure_roles(admin, login=login, password=str(database["PASSWORD"]))
        except psycopg.Error as error:
            raise CommandError(
                f"The roles could not be created: {error}".strip() + f"\n{_remedy(error, admin)}"
            ) from None
        self.stdout.write(f"The login “{login}” can turn into {', '.join(roles.ROLES)}.")


def _remedy(error: psycopg.Error, admin: str) -> str:
    # A refused connection carries no SQLSTATE, and its text may be in the server's language.
    database = str(conninfo.conninfo_to_dict(admin).get("dbname", ""))
    if error.sqlstate is None and f'"{database}"' in str(error):
        return (
            f"If the database is missing, create it and run this again: as a superuser, in the "
            f'database “postgres”, CREATE DATABASE "{database}";'
        )
    return "Set DATABASE_ADMIN_URL to the address of a superuser and run it again."
