"""Two workers at once, and workers that are killed: each install is begun and credited once."""

import random
import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection

from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.callbacks.rules.versions import save_rule
from postbacks.infrastructure.database import roles
from postbacks.models import (
    Attribution,
    CallbackRule,
    DuePostback,
    Event,
    Install,
    JobAction,
    Postback,
    PostbackJob,
    SkipReason,
    UndecidedEvent,
)
from postbacks.rulebook import held_postbacks, saving
from tests import database
from tests.events import event, postbacks_of, record
from tests.make import Tenant, make_rule, make_tenant, make_tenant_rule
from tests.pipeline.worker_process import WorkerNursery
from tests.touches import make_network, touch

pytestmark = pytest.mark.django_db(transaction=True)

DEVICES = 120


@pytest.fixture(scope="module")
def nursery(django_db_setup: None) -> Iterator[WorkerNursery]:
    at = connection.settings_dict
    started = WorkerNursery(at["HOST"], at["USER"], at["NAME"])
    yield started
    started.close()


def gaid(number: int) -> str:
    return f"38400000-8cf0-41bd-b23e-{number:012x}"


def record_installs(of: Tenant, count: int = DEVICES) -> None:
    for first in range(0, count, 20):
        record(
            of,
            *(
                event(name, install_id=f"device-{number}", gaid=gaid(number))
                for number in range(first, first + 20)
                for name in ("open", "purchase", "open")
            ),
        )


def look_at_all_again() -> None:
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute("UPDATE unsettled_install SET due_at = now() - interval '1 second'")


def is_idle(of: Tenant) -> bool:
    with tenant(of.organization.pk), connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM unsettled_install WHERE due_at <= now())")
        (is_due,) = cursor.fetchone()
        return not is_due and not UndecidedEvent.objects.exists()


def assert_each_install_is_credited_once(of: Tenant, *, versions: int) -> None:
    with tenant(of.organization.pk):
        installs = list(Install.objects.order_by("id"))
        credited = set(Attribution.objects.values_list("install_id", "version"))
        updates = Event.objects.filter(event_name="attribution_updated").count()
    assert len({install.device for install in installs}) == len(installs) == DEVICES
    assert {install.attribution_version for install in installs} == {versions}
    assert credited == {(install.pk, n) for install in installs for n in range(1, versions + 1)}
    assert updates == DEVICES * (versions - 1)


def test_two_workers_begin_and_settle_each_install_once() -> None:
    gem = make_tenant()
    partner, link = make_network(gem)
    with tenant(gem.organization.pk):
        make_rule(partner=partner, attribution_scope="partner", triggers=["install"])
    record_installs(gem)
    finished: list[bool] = []

    def work() -> None:
        try:
            with database.as_role(roles.WORKER):
                while pipeline.work(10):
                    pass
            finished.append(True)
        finally:
            connection.close()

    def work_together() -> None:
        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    work_together()
    for number in range(DEVICES):
        touch(gem, link, gaid=gaid(number))
    work_together()

    assert len(finished) == 6
    assert_each_install_is_credited_once(gem, versions=2)
    assert len(postbacks_of(gem)) == DEVICES


def test_killed_workers_leave_a_state_from_which_work_goes_on(nursery: WorkerNursery) -> None:
    gem = make_tenant()
    partner, link = make_network(gem)
    with tenant(gem.organization.pk):
        make_rule(partner=partner, attribution_scope="partner", triggers=["install"])
    chance = random.Random(6)  # noqa: S311  # moments, not secrets

    def work_and_be_killed() -> None:
        kills = 0
        while kills < 4 or not is_idle(gem):
            with nursery.worker() as process:
                time.sleep(chance.uniform(0.02, 0.25) if kills < 4 else 0.5)
                process.kill()
            kills += 1
            assert kills < 60

    record_installs(gem)
    work_and_be_killed()
    for number in range(DEVICES):
        touch(gem, link, gaid=gaid(number))
    work_and_be_killed()
    look_at_all_again()
    work_and_be_killed()

    assert_each_install_is_credited_once(gem, versions=2)
    assert len(postbacks_of(gem)) == DEVICES


def seconds_for_a_batch(kills: int) -> float:
    """Return longer and longer lives: on a busy machine a short one ends in the first batch."""
    return 0.5 + 0.25 * (kills - 4)


@pytest.mark.parametrize("action", JobAction.values)
def test_killed_workers_leave_a_job_from_which_others_go_on(
    nursery: WorkerNursery, action: str
) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem)
    hold(gem, rule, count=5_000)
    with tenant(gem.organization.pk):
        job = held_postbacks.start_job(rule, JobAction(action))
    chance = random.Random(12)  # noqa: S311  # moments, not secrets
    kills = 0

    while kills < 4 or not is_over(gem, job):
        with nursery.worker() as process, nursery.worker() as other:
            time.sleep(chance.uniform(0.01, 0.2) if kills < 4 else seconds_for_a_batch(kills))
            process.kill()
            other.kill()
        drain_queue()
        kills += 1
        assert kills < 60

    with tenant(gem.organization.pk):
        job.refresh_from_db()
        reason = SkipReason.HELD_DROPPED if action == JobAction.DROP else ""
        assert job.done == job.total == Postback.objects.filter(reason=reason).count() == 5_000


def test_killed_workers_leave_a_queue_that_others_move(nursery: WorkerNursery) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url="https://old.example.com/p")
    fill_queue(gem, rule, count=20_000)
    with tenant(gem.organization.pk):
        rule.url, rule.max_in_flight = "https://new.example.com:8443/p", 5
        save_rule(rule, by=None)
    chance = random.Random(2)  # noqa: S311  # moments, not secrets
    kills = 0

    while kills < 4 or is_any_to_move():
        with nursery.worker() as process, nursery.worker() as other:
            time.sleep(chance.uniform(0.01, 0.1) if kills < 4 else seconds_for_a_batch(kills))
            process.kill()
            other.kill()
        kills += 1
        assert kills < 60

    with tenant(gem.organization.pk):
        moved = DuePostback.objects.filter(host="new.example.com:8443", paced=True)
        assert moved.count() == DuePostback.objects.count() == 20_000


def is_any_to_move() -> bool:
    with database.as_role(roles.WORKER):
        return saving.is_any_to_move()


def fill_queue(of: Tenant, rule: CallbackRule, *, count: int) -> None:
    """Queue postbacks of a rule as deciding does, due in an hour."""
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO due_postback (postback_id, organization_id, event_received_at, rule_id, "
            "host, due_at) SELECT number, %s, now(), %s, 'old.example.com:443', "
            "now() + interval '1 hour' FROM generate_series(1, %s) AS number",
            [of.organization.pk, rule.pk, count],
        )


def hold(of: Tenant, rule: CallbackRule, *, count: int) -> None:
    """Write postbacks that the rule holds, as if it had been suspended."""
    values = [of.organization.pk, rule.pk, of.app.pk, count]
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(
            "WITH added AS (INSERT INTO postback (organization_id, public_id, rule_id, "
            "rule_version, app_id, event_id, sdk_event_id, event_name, event_received_at, status, "
            "reason, created_at) SELECT %s, gen_random_uuid(), %s, 1, %s, number, "
            "gen_random_uuid(), 'purchase', now(), 'pending', 'rule_suspended', now() "
            "FROM generate_series(1, %s) AS number RETURNING *) "
            "INSERT INTO held_postback (postback_id, organization_id, event_received_at, rule_id, "
            "kind, due_at, tries, reason, held_at) SELECT id, organization_id, event_received_at, "
            "rule_id, 'auto', now(), 0, reason, now() FROM added",
            values,
        )


def is_over(of: Tenant, job: PostbackJob) -> bool:
    with tenant(of.organization.pk):
        return PostbackJob.objects.filter(pk=job.pk).exclude(finished_at=None).exists()


def drain_queue() -> None:
    """Empty the queue, as pumps do that have sent everything."""
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute("DELETE FROM due_postback")
        cursor.execute("UPDATE postback_job SET due_at = now() WHERE finished_at IS NULL")
