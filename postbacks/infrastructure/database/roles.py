"""The three database roles: owner makes tables, web serves requests, worker runs the cluster.

None may log in, is a superuser or bypasses row-level security. The login is a member without
inheriting, so that before `SET ROLE` and after `RESET ROLE` it may do nothing.
"""

from dataclasses import dataclass

import psycopg
from psycopg import sql

OWNER = "postbacks_owner"
WEB = "postbacks_web"
WORKER = "postbacks_worker"
ROLES = (OWNER, WEB, WORKER)

# Every other command of manage.py runs as WEB.
ROLE_OF_COMMAND = {
    "migrate": OWNER,
    "makemigrations": OWNER,
    "sqlmigrate": OWNER,
    "worker": WORKER,
    "qcluster": WORKER,
    "remove_organization": WORKER,
    "load_rates": WORKER,
    "generateload": WORKER,
}


@dataclass(frozen=True, slots=True)
class RoleProblem:
    """A fault of the database roles that would let tenants see each other."""

    message: str
    hint: str


def ensure_roles(conninfo: str, *, login: str, password: str = "") -> None:
    """Create roles and login where they are missing, and let the login turn into the roles.

    `conninfo` names a login that may create roles, in the database that Postbacks will use.
    Existing roles stay as they are (`problems` judges them), so that this may be repeated.
    """
    with psycopg.connect(conninfo, autocommit=True) as connection:
        _create_if_missing(connection, login, "LOGIN", password)
        for role in ROLES:
            _create_if_missing(connection, role, "NOLOGIN")
            _grant(connection, role, login)
        owner, web, worker = map(sql.Identifier, ROLES)
        connection.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(owner))
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}, {}").format(web, worker))


def ensure_database(conninfo: str, name: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        rows = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if not rows.fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def problems(connection: psycopg.Connection) -> list[RoleProblem]:
    """Return what is wrong with the roles that this connection's login can turn into."""
    rows = connection.execute(
        """
        SELECT input.name, role.rolname IS NOT NULL,
               coalesce(role.rolsuper OR role.rolbypassrls, false),
               coalesce(pg_has_role(session_user, role.oid, 'MEMBER'), false)
        FROM unnest(%s::text[]) AS input (name)
        LEFT JOIN pg_roles AS role ON role.rolname = input.name
        """,
        [list(ROLES)],
    ).fetchall()
    problems_of_roles = [
        problem
        for name, exists, mighty, member in rows
        if (problem := _problem(name, exists=exists, mighty=mighty, member=member))
    ]
    (login, login_is_mighty) = connection.execute(
        "SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = session_user"
    ).fetchone() or ("", False)
    if login_is_mighty:
        problems_of_roles.append(
            RoleProblem(
                f"DATABASE_URL's login “{login}” is a superuser or bypasses row-level security.",
                "Log in as an ordinary user and run `manage.py setup_roles` as the superuser.",
            )
        )
    return problems_of_roles


def _problem(name: str, *, exists: bool, mighty: bool, member: bool) -> RoleProblem | None:
    if not exists:
        return RoleProblem(f"The role “{name}” is missing.", "Run `manage.py setup_roles`.")
    if mighty:
        return RoleProblem(
            f"The role “{name}” is a superuser or bypasses row-level security.",
            f"ALTER ROLE {name} NOSUPERUSER NOBYPASSRLS;",
        )
    if not member:
        return RoleProblem(
            f"The login of DATABASE_URL can't turn into “{name}”.", "Run `manage.py setup_roles`."
        )
    return None


def _create_if_missing(
    connection: psycopg.Connection, name: str, can_login: str, password: str = ""
) -> None:
    if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is not None:
        return
    statement = sql.SQL("CREATE ROLE {} {} NOINHERIT").format(
        sql.Identifier(name), sql.SQL(can_login)
    )
    if password:
        statement += sql.SQL(" PASSWORD {}").format(sql.Literal(password))
    connection.execute(statement)


def _grant(connection: psycopg.Connection, role: str, login: str) -> None:
    statement = sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(login))
    if connection.info.server_version >= 160000:
        statement += sql.SQL(" WITH INHERIT FALSE, SET TRUE")
    connection.execute(statement)
    if connection.info.server_version < 160000:  # there, inheriting belongs to the login itself
        connection.execute(sql.SQL("ALTER ROLE {} NOINHERIT").format(sql.Identifier(login)))
