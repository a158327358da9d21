"""A rule that fails for days: counted where attempts are logged, warned of, and suspended."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.core import mail
from django.db import connection

from apps_registry.models import AuditEntry
from apps_registry.tenancy import tenant
from postbacks.delivery import lasting_failure, suspension_notices
from postbacks.delivery.lasting_failure import percent_of_way
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, RuleFailure, RuleStatus
from postbacks.rulebook import saving
from postbacks.worker import tasks
from tests import database, make
from tests.admin.pages import sign_in
from tests.api.calling import owner_of
from tests.events import event, postbacks_of, record
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.workers import decide_all

pytestmark = pytest.mark.django_db(transaction=True)

PartnerAnswering = Callable[[Answer], RecordingPartner]
DAY = timedelta(days=1)


class MoodyPartner:
    """A partner that answers as it is told."""

    def __init__(self, start: PartnerAnswering) -> None:
        self.status = 404  # given up at once, and no matter of the circuit breaker
        self.url = start(lambda *_: (self.status, {}, b"")).url


@pytest.fixture
def gem() -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def partner(partner_answering: PartnerAnswering) -> MoodyPartner:
    return MoodyPartner(partner_answering)


@pytest.fixture
def send(gem: make.Tenant, run_pump: Run) -> Callable[[int], None]:
    """Return a function that has so many postbacks tried."""
    numbers = iter(range(10_000))

    def send_some(count: int) -> None:
        record(gem, *(event(install_id=f"device-{next(numbers)}") for _ in range(count)))
        decide_all()
        run_pump(until=lambda: all(p.status != "pending" for p in postbacks_of(gem)))

    return send_some


def failure_of(of: make.Tenant) -> RuleFailure | None:
    with tenant(of.organization.pk):
        return RuleFailure.objects.filter(failing_since__isnull=False).first()


def judge(after: timedelta) -> None:
    """Do what the cluster does each minute, so much later."""
    now = datetime.now(UTC) + after
    with database.as_role(roles.WORKER):
        for organization_id, rule_id in lasting_failure.judge_failing_rules(now=now):
            with tenant(organization_id):
                suspension_notices.warn_of_failure(rule_id, now=now)
        for organization_id, rule_id in list(suspension_notices.unnotified_suspensions()):
            tasks.notify_of_suspension(organization_id, rule_id)


def status_of(of: make.Tenant) -> str:
    with tenant(of.organization.pk):
        return CallbackRule.objects.get().status


def test_the_lesser_share_of_days_and_count_is_the_way() -> None:
    now = datetime.now(UTC)
    for days, given_up, percent in [
        (0, 100, 0),
        (2.5, 10, 50),
        (2.4, 20, 48),
        (5, 9, 45),
        (3.5, 14, 70),
        (4.5, 18, 90),
        (5, 19, 95),
        (5, 20, 100),
        (50, 2000, 100),
        (-1, 20, 0),
    ]:
        assert percent_of_way(now - days * DAY, given_up, now) == percent, (days, given_up)


def test_a_rule_that_a_worker_counts_just_now_is_not_waited_for(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem)
    with database.as_role(roles.WORKER), tenant(gem.organization.pk):
        RuleFailure.objects.create(rule=rule, version=rule.version)

    with psycopg.connect(database.superuser_conninfo()) as counting:
        counting.execute("SELECT FROM rule_failure FOR UPDATE")
        with database.as_role(roles.WORKER), connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
            lasting_failure.judge_failing_rules(now=datetime.now(UTC))
            cursor.execute("RESET lock_timeout")
    with tenant(gem.organization.pk):
        assert RuleFailure.objects.exists()
    judge(DAY)
    with tenant(gem.organization.pk):
        assert not RuleFailure.objects.exists()


def test_a_rule_that_fails_for_days_is_warned_of_and_suspended_once_each(
    gem: make.Tenant, partner: MoodyPartner, send: Callable[[int], None]
) -> None:
    rule = make.make_tenant_rule(gem, url=partner.url, retry_delays=[], name="Purchases")
    send(14)
    assert (failure_of(gem) or RuleFailure()).given_up == 14
    row = owner_of(gem).get(f"callback-rules/{rule.public_id}").data
    assert (row["failing"]["given_up"], row["failing"]["percent"]) == (14, 0)

    for after, mails in [(2 * DAY, 0), (2.6 * DAY, 1), (3 * DAY, 1), (3.6 * DAY, 2), (9 * DAY, 2)]:
        judge(after)
        judge(after)
        assert len(mail.outbox) == mails, after
    browser = sign_in(gem.owner)
    send(6)
    judge(4.6 * DAY)
    assert [message.subject for message in mail.outbox] == ["Callback rule failing: Purchases"] * 3
    assert "90 % of the way" in mail.outbox[-1].body
    assert "14 of its postbacks" in mail.outbox[0].body
    assert status_of(gem) == RuleStatus.ACTIVE

    judge(5.1 * DAY)
    judge(5.2 * DAY)

    assert status_of(gem) == RuleStatus.SUSPENDED
    assert mail.outbox[-1].subject == "Callback rule suspended: Purchases"
    assert "20 postbacks were given up" in mail.outbox[-1].body
    assert "held for 7 days" in mail.outbox[-1].body
    assert len(mail.outbox) == 4
    with tenant(gem.organization.pk):
        assert AuditEntry.objects.filter(action="suspended").count() == 1
    page = browser.get(f"/admin/postbacks/callbackrule/{rule.pk}/change/").content.decode()
    assert "20 postbacks were given up" in page
    record(gem, event(install_id="later"))
    decide_all()
    assert [p.reason for p in postbacks_of(gem) if p.status == "pending"] == ["rule_suspended"]


def test_a_success_a_correction_and_switching_on_start_anew(
    gem: make.Tenant, partner: MoodyPartner, send: Callable[[int], None]
) -> None:
    rule = make.make_tenant_rule(gem, url=partner.url, retry_delays=[])
    send(20)
    partner.status = 200
    send(1)
    assert failure_of(gem) is None
    assert "failing" not in owner_of(gem).get(f"callback-rules/{rule.public_id}").data
    judge(6 * DAY)
    assert status_of(gem) == RuleStatus.ACTIVE

    partner.status = 400
    send(3)
    again = failure_of(gem)
    assert again is not None
    assert (again.given_up, again.warned) == (3, 0)
    for change in ({"name": "Other", "retry_delays": [60]}, {"status": "paused"}, {}):
        with tenant(gem.organization.pk):
            saved = CallbackRule.objects.get(pk=rule.pk)
            if not change:
                saved.status = RuleStatus.ACTIVE
            for name, value in change.items():
                setattr(saved, name, value)
            saving.save_checked(saved, by=None)
        judge(timedelta(0))
    assert failure_of(gem) is None
    judge(6 * DAY)
    assert (status_of(gem), mail.outbox) == (RuleStatus.ACTIVE, [])


def test_retries_alone_are_no_given_up_postbacks(
    gem: make.Tenant, partner: MoodyPartner, run_pump: Run
) -> None:
    partner.status = 503
    make.make_tenant_rule(gem, url=partner.url, retry_delays=[3600])
    record(gem, *(event(install_id=f"device-{number}") for number in range(3)))
    decide_all()
    run_pump(until=lambda: all(p.attempts_made for p in postbacks_of(gem)))

    failure = failure_of(gem)

    assert failure is not None
    assert failure.given_up == 0
    judge(9 * DAY)
    assert (status_of(gem), mail.outbox) == (RuleStatus.ACTIVE, [])
