"""The operator's probes."""

import os
from collections.abc import Iterator
from datetime import timedelta

import psutil
import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps_registry.tenancy import tenant as tenant_of
from postbacks.infrastructure.database import roles, stalls
from postbacks.insights import health
from postbacks.models import DuePostback, HeldPostback, HeldReason, WorkerHeartbeat
from tests import database, make
from tests.api.calling import make_postback, report, run_as_owner_of_tables

pytestmark = pytest.mark.django_db(transaction=True)

CHECKS = ["database", "migrations", "roles", "partitions", "worker", "oldest_due_postback"]


@pytest.fixture
def heartbeat() -> WorkerHeartbeat:
    return WorkerHeartbeat.objects.create(name="cluster", beat_at=timezone.now())


@pytest.fixture
def no_database() -> Iterator[None]:
    """Let every new connection knock at a socket that isn't there."""
    host = connection.settings_dict["HOST"]
    connection.close()
    connection.settings_dict["HOST"] = "/nonexistent"
    yield
    connection.close()
    connection.settings_dict["HOST"] = host


def ready() -> tuple[int, list[str]]:
    answer = Client().get("/readyz")
    checks = answer.json()["checks"]
    return answer.status_code, [name for name, check in checks.items() if not check["ok"]]


def test_a_postgresql_that_says_nothing_is_not_ready_within_seconds(
    heartbeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.ensure_connection()
    backend = psutil.Process(connection.connection.info.backend_pid)
    asked: list[str] = []
    monkeypatch.setattr(stalls, "SECONDS", 0.3)
    monkeypatch.setattr(health, "LONGEST_CHECKS", 0.2)
    monkeypatch.setattr(health, "CHECKS", dict(health.CHECKS, roles=lambda: asked.append("roles")))
    backend.suspend()
    try:
        status, failed = ready()
    finally:
        backend.resume()

    assert (status, failed) == (503, CHECKS)
    assert not asked  # each would wait as long


def test_ready_means_that_every_check_is_fine(heartbeat) -> None:
    answer = Client().get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert list(answer.json()["checks"]) == CHECKS
    assert all(check["ok"] and check["detail"] for check in answer.json()["checks"].values())


@pytest.fixture
def fresh_probe(monkeypatch) -> Iterator[None]:
    """Start with no writes behind, and put back what the test changes in the database."""
    monkeypatch.setattr(health, "_write_probe", health.WriteProbe())
    yield
    store_again()


def store_again() -> None:
    connection.close()
    for undo in (
        f"ALTER DATABASE {_database()} RESET default_transaction_read_only",
        "DROP FUNCTION IF EXISTS fail_to_store CASCADE",
        f"GRANT INSERT, UPDATE ON worker_heartbeat TO {roles.WEB}",
    ):
        _as_superuser(undo, _database())


_FAIL_TO_STORE = """
CREATE FUNCTION fail_to_store() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device'
        USING ERRCODE = '{code}';
END $$;
CREATE TRIGGER fail_to_store BEFORE INSERT OR UPDATE ON {table}
    FOR EACH ROW EXECUTE FUNCTION fail_to_store()
"""


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        (_FAIL_TO_STORE.format(code="53100", table="worker_heartbeat"), "disk is full"),
        ("ALTER DATABASE {database} SET default_transaction_read_only = on", "is read-only"),
        (_FAIL_TO_STORE.format(code="57014", table="worker_heartbeat"), "can't be reached"),
        (f"REVOKE INSERT, UPDATE ON worker_heartbeat FROM {roles.WEB}", "lacks a table or a right"),
    ],
)
def test_a_database_that_stores_nothing_is_not_ready_until_it_does_again(
    heartbeat, fresh_probe, trouble, sentence
) -> None:
    assert ready() == (200, [])

    _as_superuser(trouble.replace("{database}", _database()), _database())
    connection.close()
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert sentence in answer.json()["checks"]["database"]["detail"]
    assert "base/1/2" not in answer.text

    store_again()
    assert ready() == (200, [])


@pytest.mark.parametrize(
    ("trouble", "detail"),
    [
        (
            _FAIL_TO_STORE.format(code="53100", table="undecided_event"),
            "The database's disk is full.",
        ),
        (
            "ALTER DATABASE {database} SET default_transaction_read_only = on",
            "The database is read-only.",
        ),
    ],
)
def test_an_event_that_cant_be_stored_is_answered_503_with_the_reason(
    fresh_probe, trouble, detail
) -> None:
    tenant = make.make_tenant()
    _as_superuser(trouble.replace("{database}", _database()), _database())
    connection.close()

    answers = [
        Client().post(
            "/api/v1/events",
            data=body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {tenant.sdk_key}"},
        )
        for body in ('{"event_name": "open"}', '[{"event_name": "open"}, {"event_name": "open"}]')
    ]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert {answer.json()["detail"] for answer in answers} == {
        f"{detail} Nothing was stored; try again."
    }
    assert {answer["Retry-After"] for answer in answers} == {"5"}


def test_probes_without_end_write_only_ten_times_in_ten_seconds(fresh_probe) -> None:
    now = [0.0]
    probe = health.WriteProbe(clock=lambda: now[0])
    with connection.cursor() as cursor:
        for _ in range(30):
            probe.run()
        cursor.execute("SELECT beat_at FROM worker_heartbeat WHERE name = 'readyz'")
        (last,) = cursor.fetchone()

        assert probe.run().ok
        cursor.execute("SELECT beat_at FROM worker_heartbeat WHERE name = 'readyz'")
        assert cursor.fetchone() == (last,)

        now[0] = 10.0
        probe.run()
        cursor.execute("SELECT beat_at > %s FROM worker_heartbeat WHERE name = 'readyz'", [last])
        assert cursor.fetchone() == (True,)


def test_alive_needs_no_database(no_database) -> None:
    answer = Client().get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


def test_without_a_database_nothing_is_ready_and_nothing_is_told_of_its_address(
    no_database,
) -> None:
    answer = Client().get("/readyz")

    assert answer.status_code == 503
    assert ready() == (503, CHECKS)
    assert "nonexistent" not in answer.text


def test_without_a_worker_it_is_not_ready() -> None:
    assert ready() == (503, ["worker"])


def test_a_worker_that_fell_silent_is_not_ready(heartbeat) -> None:
    WorkerHeartbeat.objects.update(beat_at=timezone.now() - timedelta(seconds=31))

    assert ready() == (503, ["worker"])


def test_another_parts_sign_of_life_is_not_the_clusters() -> None:
    WorkerHeartbeat.objects.create(name="postbacks:pump:1", beat_at=timezone.now())

    assert ready() == (503, ["worker"])


def test_a_missing_migration_is_not_ready(heartbeat) -> None:
    run_as_owner_of_tables("DELETE FROM django_migrations WHERE app = 'sessions'")
    try:
        assert ready() == (503, ["migrations"])
    finally:
        run_as_owner_of_tables(
            "INSERT INTO django_migrations (app, name, applied) "
            "VALUES ('sessions', '0001_initial', now())"
        )


def test_a_role_that_passes_row_level_security_is_not_ready(heartbeat) -> None:
    _as_superuser(f"ALTER ROLE {roles.WORKER} BYPASSRLS")
    try:
        assert ready() == (503, ["roles"])
    finally:
        _as_superuser(f"ALTER ROLE {roles.WORKER} NOBYPASSRLS")


def test_days_that_run_out_are_not_ready(heartbeat) -> None:
    with database.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_char((now() AT TIME ZONE 'UTC')::date + n, 'YYYYMMDD') "
            "FROM generate_series(2, 30) AS n"
        )
        days = [day for (day,) in cursor.fetchall()]
        for day in days:
            for log in ("event", "postback", "delivery_attempt"):
                cursor.execute(f"DROP TABLE IF EXISTS {log}_p{day}")
    try:
        assert ready() == (503, ["partitions"])
    finally:
        with database.as_role(roles.WORKER), connection.cursor() as cursor:
            cursor.execute("SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date - 1, 9)")


@pytest.mark.parametrize(("minutes", "failing"), [(9, []), (11, ["oldest_due_postback"])])
def test_a_postback_of_any_organization_that_waits_too_long_is_not_ready(
    heartbeat, minutes, failing
) -> None:
    tenant = make.make_tenant()
    with tenant_of(tenant.organization.pk):
        rule = make.make_rule()
    postback = make_postback(rule, report(tenant.sdk_key))
    with database.as_role(roles.WORKER), tenant_of(tenant.organization.pk):
        DuePostback.objects.create(
            postback=postback,
            event_received_at=postback.event_received_at,
            rule=rule,
            host="ads.example.com",
            due_at=timezone.now() - timedelta(minutes=minutes),
        )

    assert ready() == (503 if failing else 200, failing)


@pytest.mark.parametrize("status", ["suspended", "paused", "draft", "archived"])
def test_what_a_rule_that_is_not_on_keeps_waiting_is_no_workers_fault(heartbeat, status) -> None:
    tenant = make.make_tenant()
    with tenant_of(tenant.organization.pk):
        rule = make.make_rule(status=status)
    held, queued = (make_postback(rule, report(tenant.sdk_key)) for _ in range(2))
    long_ago = timezone.now() - timedelta(days=2)
    with database.as_role(roles.WORKER), tenant_of(tenant.organization.pk):
        HeldPostback.objects.create(
            postback=held,
            event_received_at=held.event_received_at,
            rule=rule,
            due_at=long_ago,
            reason=HeldReason.RULE_SUSPENDED,
            held_at=long_ago,
        )
        DuePostback.objects.create(
            postback=queued,
            event_received_at=queued.event_received_at,
            rule=rule,
            host="ads.example.com",
            due_at=long_ago,
        )

    assert ready() == (200, [])


def test_probes_are_only_read() -> None:
    assert Client().post("/healthz").status_code == 405
    assert Client().post("/readyz").status_code == 405


def test_a_probe_leaves_the_connection_with_its_own_role(heartbeat) -> None:
    ready()

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == (roles.WEB,)


def _database() -> str:
    return str(connection.settings_dict["NAME"])


def _as_superuser(statement: str, name: str = "postgres") -> None:
    admin = os.environ.get("DATABASE_ADMIN_URL") or database.superuser_conninfo(name)
    with psycopg.connect(admin, autocommit=True) as superuser:
        superuser.execute("SET default_transaction_read_only = off")
        superuser.execute(statement)
