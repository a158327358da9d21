"""The operator's probes."""

import os
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps_registry.tenancy import tenant as tenant_of
from postbacks.infrastructure.database import roles
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


def test_ready_means_that_every_check_is_fine(heartbeat) -> None:
    answer = Client().get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert list(answer.json()["checks"]) == CHECKS
    assert all(check["ok"] and check["detail"] for check in answer.json()["checks"].values())


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


def _as_superuser(statement: str) -> None:
    admin = os.environ.get("DATABASE_ADMIN_URL") or database.superuser_conninfo("postgres")
    with psycopg.connect(admin, autocommit=True) as superuser:
        superuser.execute(statement)
