"""What a suspended rule holds: decided, kept out of the queue, and sent, dropped or expired."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, connection

from apps_registry.models import AuditEntry
from apps_registry.tenancy import Lifecycle, tenant
from postbacks import pipeline
from postbacks.callbacks import rendering
from postbacks.delivery.attempt import attempt
from postbacks.delivery.attempt_log import log_attempts
from postbacks.delivery.enqueue import already_notified
from postbacks.delivery.http.destinations import Destinations, parse_networks
from postbacks.delivery.http.requests_transport import RequestsTransport
from postbacks.delivery.pump import MANY, Pump
from postbacks.delivery.shares import most_of_one_lane
from postbacks.infrastructure.database import roles
from postbacks.models import (
    CallbackRule,
    DuePostback,
    HeldPostback,
    HeldReason,
    JobAction,
    Postback,
    PostbackJob,
    PostbackStatus,
    RuleDevice,
    RuleStatus,
    SkipReason,
)
from postbacks.models.stored import load_events
from postbacks.rulebook import held_postbacks, saving
from postbacks.rulebook.held_postbacks import NotReleasableError
from postbacks.rulebook.resending import NotResendableError, resend
from tests import database, make
from tests.admin.pages import filled_form, sign_in, submit
from tests.claims import claim_due
from tests.events import attempts_of, event, postbacks_of, record
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.workers import decide, decide_all, work_on_held

PER_LANE = most_of_one_lane(RequestsTransport.capacity)

pytestmark = pytest.mark.django_db(transaction=True)

PartnerAnswering = Callable[[Answer], RecordingPartner]
HELD = HeldReason.RULE_SUSPENDED
Summary = list[tuple[str, str]]


@pytest.fixture
def gem() -> make.Tenant:
    return make.make_tenant()


def set_status(of: make.Tenant, rule: CallbackRule, status: RuleStatus) -> None:
    with tenant(of.organization.pk):
        saved = CallbackRule.objects.get(pk=rule.pk)
        saved.status = status
        saving.save_checked(saved, by=None)


def suspend(of: make.Tenant, rule: CallbackRule) -> None:
    with tenant(of.organization.pk):
        CallbackRule.objects.filter(pk=rule.pk).update(status=RuleStatus.SUSPENDED)


def summary(of: make.Tenant) -> Summary:
    return [(postback.status, postback.reason) for postback in postbacks_of(of)]


def queued(of: make.Tenant) -> list[int]:
    with tenant(of.organization.pk):
        return list(DuePostback.objects.order_by("due_at").values_list("postback_id", flat=True))


def held(of: make.Tenant) -> list[tuple[int, str]]:
    with tenant(of.organization.pk):
        rows = HeldPostback.objects.order_by("postback_id")
        return list(rows.values_list("postback_id", "reason"))


def start(of: make.Tenant, rule: CallbackRule, action: JobAction) -> PostbackJob:
    with tenant(of.organization.pk):
        return held_postbacks.start_job(CallbackRule.objects.get(pk=rule.pk), action)


def purchases(count: int) -> list[dict[str, object]]:
    return [event(install_id=f"device-{number}") for number in range(count)]


def test_a_suspended_rule_decides_and_what_it_decides_is_held(
    gem: make.Tenant, ok_partner: RecordingPartner
) -> None:
    rule = make.make_tenant_rule(gem, url=ok_partner.url, triggers=["purchase"])
    suspend(gem, rule)

    record(gem, *purchases(2), event("level"))
    decide()

    assert summary(gem) == [(PostbackStatus.PENDING, HELD)] * 2
    assert [postback.next_attempt_at for postback in postbacks_of(gem)] == [None, None]
    assert queued(gem) == []
    assert held(gem) == [(postback.pk, HELD) for postback in postbacks_of(gem)]


@pytest.mark.parametrize("limits", [{}, {"max_in_flight": 1}, {"rate_limit_per_second": 1}])
def test_a_410_holds_everything_that_waits_and_nothing_more_is_sent(
    gem: make.Tenant,
    partner_answering: PartnerAnswering,
    run_pump: Run,
    limits: dict[str, int],
) -> None:
    partner = partner_answering(lambda *_: (410, {}, b""))
    make.make_tenant_rule(gem, url=partner.url, triggers=["purchase"], **limits)
    later = make.make_tenant_rule(gem, url=partner.url, triggers=["level"], delay_seconds=3600)
    record(gem, event())
    record(gem, *(event("level", install_id=f"device-{number}") for number in range(3)))
    decide()
    with tenant(gem.organization.pk):  # those wait for the rule that the 410 suspends
        rule_id = CallbackRule.objects.exclude(pk=later.pk).get().pk
        DuePostback.objects.filter(rule_id=later.pk).update(rule_id=rule_id)

    run_pump(until=lambda: len(held(gem)) == 3)

    assert summary(gem)[0] == (PostbackStatus.FAILED, "http_410")
    assert summary(gem)[1:] == [(PostbackStatus.PENDING, HELD)] * 3
    assert len(partner.requests) == 1
    assert queued(gem) == []


def test_held_postbacks_are_sent_when_a_person_says_so_and_only_then(
    gem: make.Tenant, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    rule = make.make_tenant_rule(gem, url=ok_partner.url)
    suspend(gem, rule)
    record(gem, *purchases(3))
    decide()

    set_status(gem, rule, RuleStatus.ACTIVE)
    work_on_held()
    assert len(held(gem)) == 3, "they are held until somebody decides"
    record(gem, event(install_id="fresh"))
    run_pump(until=lambda: len(ok_partner.requests) == 1)
    assert start(gem, rule, JobAction.SEND).total == 3
    work_on_held()
    assert queued(gem) == [postback.pk for postback in postbacks_of(gem)[:3]], "in their order"
    run_pump(until=lambda: not queued(gem))

    assert summary(gem) == [(PostbackStatus.DELIVERED, "")] * 4
    assert len(ok_partner.requests) == 4
    work_on_held()
    with tenant(gem.organization.pk):
        job = PostbackJob.objects.get()
        assert (job.done, job.finished_at is not None) == (3, True)
        assert AuditEntry.objects.filter(action="held_sent", object_name=rule.name).count() == 1


def test_dropped_ones_are_skipped_and_give_their_first_time_back(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem, frequency="first")
    suspend(gem, rule)
    record(gem, *purchases(3))
    decide()
    record(gem, event(install_id="device-0"))
    decide()
    assert len(postbacks_of(gem)) == 3, "a held postback has its device's first time"

    start(gem, rule, JobAction.DROP)
    work_on_held()

    assert summary(gem) == [(PostbackStatus.SKIPPED, SkipReason.HELD_DROPPED)] * 3
    assert held(gem) == queued(gem) == []
    with tenant(gem.organization.pk):
        assert not RuleDevice.objects.exists()
        assert PostbackJob.objects.get().finished_at is not None
    record(gem, event(install_id="device-0"))
    decide()
    assert len(postbacks_of(gem)) == 4, "the next one is the first"


def test_what_nobody_decided_about_expires_after_seven_days(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem, frequency="first")
    suspend(gem, rule)
    record(gem, *purchases(2))
    decide()
    now = datetime.now(UTC)

    work_on_held(now + timedelta(days=6, hours=23))
    assert len(held(gem)) == 2
    work_on_held(now + timedelta(days=7, minutes=1))

    assert summary(gem) == [(PostbackStatus.SKIPPED, SkipReason.HELD_EXPIRED)] * 2
    assert held(gem) == []
    with tenant(gem.organization.pk):
        assert not RuleDevice.objects.exists()


def test_a_slow_job_does_not_lose_what_it_was_to_send(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem, rate_limit_per_second=1)
    suspend(gem, rule)
    record(gem, *purchases(30))
    decide()
    set_status(gem, rule, RuleStatus.ACTIVE)
    start(gem, rule, JobAction.SEND)

    work_on_held(datetime.now(UTC) + timedelta(days=8))

    assert len(queued(gem)) == 20, "no more than the rule sends until the next look"
    assert len(held(gem)) == 10
    assert {status for status, _ in summary(gem)} == {PostbackStatus.PENDING}


def test_held_and_skipped_ones_do_not_count_as_told(gem: make.Tenant) -> None:
    partner = None
    with tenant(gem.organization.pk):
        partner = make.make_partner()
        rule = make.make_rule(partner=partner, attribution_scope="partner_and_organic")
    suspend(gem, rule)
    record(gem, event())
    decide()
    (postback,) = postbacks_of(gem)

    def is_told() -> bool:
        with database.as_role(roles.WORKER):
            (stored,) = load_events([(postback.event_id, postback.event_received_at)])
            return bool(already_notified([(stored, partner.pk)]))

    assert is_told(), "it may still be sent"
    start(gem, rule, JobAction.DROP)
    work_on_held()
    assert not is_told()


def test_an_answer_to_an_older_version_does_not_suspend_the_corrected_rule(
    gem: make.Tenant, partner_answering: PartnerAnswering
) -> None:
    gone = partner_answering(lambda *_: (410, {}, b""))
    rule = make.make_tenant_rule(gem, url=gone.url)

    def correct() -> None:
        rule.url = "https://ads.example.com/corrected"
        saving.save(rule, by=None)

    answer_meanwhile(gem, correct)

    with tenant(gem.organization.pk):
        assert CallbackRule.objects.get().status == RuleStatus.ACTIVE


def test_an_answer_from_before_the_rule_was_switched_on_does_not_suspend_it(
    gem: make.Tenant, partner_answering: PartnerAnswering
) -> None:
    gone = partner_answering(lambda *_: (410, {}, b""))
    rule = make.make_tenant_rule(gem, url=gone.url)

    def switch_off_and_on() -> None:
        for status in (RuleStatus.PAUSED, RuleStatus.ACTIVE):
            rule.status = status
            saving.save(rule, by=None)

    answer_meanwhile(gem, switch_off_and_on)

    with tenant(gem.organization.pk):
        assert CallbackRule.objects.get().status == RuleStatus.ACTIVE


def test_an_answer_to_the_current_version_suspends_whatever_was_saved_beside_it(
    gem: make.Tenant, partner_answering: PartnerAnswering
) -> None:
    gone = partner_answering(lambda *_: (410, {}, b""))
    rule = make.make_tenant_rule(gem, url=gone.url)

    answer_meanwhile(gem, lambda: saving.save(rule, by=None))

    with tenant(gem.organization.pk):
        assert CallbackRule.objects.get().status == RuleStatus.SUSPENDED


def answer_meanwhile(of: make.Tenant, change: Callable[[], None]) -> None:
    """Have an event sent, and change its rule while the request is on its way."""
    record(of, event())
    with (
        database.as_role(roles.WORKER),
        RequestsTransport(Destinations(parse_networks("127.0.0.0/8"))) as transport,
    ):
        pipeline.decide_events()
        (lease,) = claim_due(10)
        (rendered,) = rendering.render_postbacks([lease.postback])
        result = attempt(lease, rendered, transport)
        with database.as_role(roles.WEB), tenant(of.organization.pk):
            change()
        log_attempts([result])


def test_pressing_twice_does_not_double_a_job_and_the_other_button_turns_it(
    gem: make.Tenant,
) -> None:
    rule = make.make_tenant_rule(gem, rate_limit_per_second=1)
    suspend(gem, rule)
    record(gem, *purchases(30))
    decide()
    set_status(gem, rule, RuleStatus.ACTIVE)

    first, second = start(gem, rule, JobAction.SEND), start(gem, rule, JobAction.SEND)
    work_on_held()
    third = start(gem, rule, JobAction.DROP)
    work_on_held()

    assert first.pk == second.pk == third.pk
    reasons = [reason for _, reason in summary(gem)]
    assert reasons == [""] * 20 + [SkipReason.HELD_DROPPED] * 10
    with tenant(gem.organization.pk):
        assert PostbackJob.objects.get().done == 30


def test_a_job_whose_worker_dies_in_a_batch_goes_on_where_it_was(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem)
    suspend(gem, rule)
    record(gem, *purchases(5))
    decide()
    start(gem, rule, JobAction.DROP)
    last = postbacks_of(gem)[-1]

    with psycopg.connect(database.superuser_conninfo()) as other:
        other.execute("SELECT FROM postback WHERE id = %s FOR UPDATE", [last.pk])
        worker = threading.Thread(target=_work_until_it_dies)
        worker.start()
        database.wait_for_a_lock()
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        worker.join()
    assert len(held(gem)) == 5, "a batch and its count are one"
    work_on_held()

    assert summary(gem) == [(PostbackStatus.SKIPPED, SkipReason.HELD_DROPPED)] * 5
    with tenant(gem.organization.pk):
        assert PostbackJob.objects.get().done == 5


def _work_until_it_dies() -> None:
    try:
        connection.ensure_connection()
        with suppress(OperationalError, InterfaceError):
            work_on_held()
    finally:
        connection.close()


def test_a_rule_that_is_suspended_again_keeps_the_rest(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem, rate_limit_per_second=1)
    suspend(gem, rule)
    record(gem, *purchases(30))
    decide()
    set_status(gem, rule, RuleStatus.ACTIVE)
    start(gem, rule, JobAction.SEND)
    work_on_held()

    suspend(gem, rule)
    with tenant(gem.organization.pk):
        PostbackJob.objects.update(due_at=datetime.now(UTC))
    work_on_held()

    assert len(held(gem)) == 30
    with tenant(gem.organization.pk):
        assert PostbackJob.objects.get().finished_at is not None


@pytest.mark.parametrize(
    "status", [RuleStatus.SUSPENDED, RuleStatus.PAUSED, RuleStatus.DRAFT, RuleStatus.ARCHIVED]
)
def test_only_an_active_rule_sends_what_it_holds(gem: make.Tenant, status: RuleStatus) -> None:
    rule = make.make_tenant_rule(gem)
    suspend(gem, rule)
    record(gem, event())
    decide()
    with tenant(gem.organization.pk):
        CallbackRule.objects.update(status=status)

    with pytest.raises(NotReleasableError, match="set its status to active"):
        start(gem, rule, JobAction.SEND)


@pytest.mark.parametrize("status", [RuleStatus.PAUSED, RuleStatus.DRAFT])
def test_a_suspended_rule_that_is_paused_then_holds_on(
    gem: make.Tenant, status: RuleStatus
) -> None:
    rule = make.make_tenant_rule(gem)
    suspend(gem, rule)
    record(gem, event())
    decide()

    set_status(gem, rule, status)
    record(gem, event(install_id="device-2"))
    decide()
    work_on_held()

    assert summary(gem) == [(PostbackStatus.PENDING, HELD)], "a paused rule decides nothing"
    set_status(gem, rule, RuleStatus.ACTIVE)
    work_on_held()
    assert summary(gem) == [(PostbackStatus.PENDING, HELD)]


def test_a_paused_rules_postbacks_leave_the_queue_and_come_back_when_it_is_on(
    gem: make.Tenant, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    rule = make.make_tenant_rule(gem, url=ok_partner.url)
    record(gem, *purchases(3))
    decide()
    set_status(gem, rule, RuleStatus.PAUSED)
    run_pump(until=lambda: len(held(gem)) == 3)
    assert summary(gem) == [(PostbackStatus.PENDING, HeldReason.RULE_OFF)] * 3
    work_on_held(datetime.now(UTC) + timedelta(days=30))
    assert len(held(gem)) == 3, "only what a suspension holds expires"

    set_status(gem, rule, RuleStatus.ACTIVE)
    work_on_held()
    run_pump(until=lambda: len(ok_partner.requests) == 3)

    assert summary(gem) == [(PostbackStatus.DELIVERED, "")] * 3


def test_what_a_paused_rule_left_is_held_with_the_rest_when_it_is_suspended(
    gem: make.Tenant, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    rule = make.make_tenant_rule(gem, url=ok_partner.url)
    record(gem, *purchases(3))
    decide()
    set_status(gem, rule, RuleStatus.PAUSED)
    run_pump(until=lambda: len(held(gem)) == 3)

    suspend(gem, rule)
    work_on_held()

    assert summary(gem) == [(PostbackStatus.PENDING, HELD)] * 3
    assert [reason for _, reason in held(gem)] == [HELD] * 3


@pytest.mark.parametrize("archived", ["rule", "partner"])
@pytest.mark.parametrize("state", ["held", "queued", "off"])
def test_archiving_skips_whatever_is_pending(
    gem: make.Tenant, ok_partner: RecordingPartner, run_pump: Run, archived: str, state: str
) -> None:
    with tenant(gem.organization.pk):
        partner = make.make_partner()
        delay = 3600 if state == "queued" else 0
        rule = make.make_rule(url=ok_partner.url, partner=partner, delay_seconds=delay)
    if state == "held":
        suspend(gem, rule)
    record(gem, *purchases(2))
    decide()
    if state == "off":
        set_status(gem, rule, RuleStatus.PAUSED)
        run_pump(until=lambda: len(held(gem)) == 2)

    with tenant(gem.organization.pk):
        if archived == "rule":
            CallbackRule.objects.update(status=RuleStatus.ARCHIVED)
        else:
            partner.status = Lifecycle.ARCHIVED
            partner.save()
    work_on_held()

    assert summary(gem) == [(PostbackStatus.SKIPPED, SkipReason.RULE_ARCHIVED)] * 2
    assert held(gem) == queued(gem) == []
    assert ok_partner.requests == []


def test_one_of_those_that_are_held_can_be_resent_once_the_rule_is_on(
    gem: make.Tenant, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    rule = make.make_tenant_rule(gem, url=ok_partner.url)
    suspend(gem, rule)
    record(gem, *purchases(2))
    decide()
    first, second = postbacks_of(gem)
    with tenant(gem.organization.pk), pytest.raises(NotResendableError, match="switch the rule"):
        resend(first)

    set_status(gem, rule, RuleStatus.ACTIVE)
    with tenant(gem.organization.pk):
        resend(Postback.objects.get(pk=first.pk))
    run_pump(until=lambda: len(ok_partner.requests) == 1)

    assert held(gem) == [(second.pk, HELD)]
    assert summary(gem) == [(PostbackStatus.DELIVERED, ""), (PostbackStatus.PENDING, HELD)]


def test_a_delay_that_is_not_over_is_kept_and_a_retry_begins_afresh(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem, delay_seconds=3600)
    record(gem, *purchases(2))
    decide()
    fresh, retried = postbacks_of(gem)
    with tenant(gem.organization.pk):
        DuePostback.objects.filter(postback=retried).update(
            tries=3, due_at=datetime.now(UTC) + timedelta(hours=14)
        )
    suspend(gem, rule)
    work_on_held()
    assert len(held(gem)) == 2

    set_status(gem, rule, RuleStatus.ACTIVE)
    start(gem, rule, JobAction.SEND)
    work_on_held()

    with tenant(gem.organization.pk):
        rows = {row.postback_id: row for row in DuePostback.objects.all()}
    now = datetime.now(UTC)
    assert rows[fresh.pk].due_at > now + timedelta(minutes=50)
    assert rows[retried.pk].due_at <= now
    assert rows[retried.pk].tries == 0


def test_an_event_that_is_decided_while_its_rule_is_switched_on_is_sent(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem)
    suspend(gem, rule)
    record(gem, event())

    with psycopg.connect(database.superuser_conninfo()) as other:
        other.execute("UPDATE callback_rule SET status = 'active' WHERE id = %s", [rule.pk])
        worker = threading.Thread(target=_decide)  # sees it suspended, and writes after the commit
        worker.start()
        database.wait_for_a_lock()
        other.commit()
        worker.join()

    assert summary(gem) == [(PostbackStatus.PENDING, "")]
    assert len(queued(gem)) == 1


def _decide() -> None:
    try:
        decide()
    finally:
        connection.close()


def test_what_the_version_before_had_put_back_into_the_queue_is_held(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem)
    record(gem, *purchases(2))
    decide()
    suspend(gem, rule)
    with tenant(gem.organization.pk):
        Postback.objects.update(reason="rule_off")
        DuePostback.objects.update(due_at=datetime.now(UTC) + timedelta(minutes=1))

    work_on_held()

    assert summary(gem) == [(PostbackStatus.PENDING, HELD)] * 2
    assert len(held(gem)) == 2
    assert queued(gem) == []


def test_nothing_of_one_organization_is_touched_by_anothers_job(gem: make.Tenant) -> None:
    moss = make.make_tenant("Moss Valley")
    rules = {}
    for of in (gem, moss):
        rules[of.organization.pk] = make.make_tenant_rule(of)
        suspend(of, rules[of.organization.pk])
        record(of, event())
    decide()

    start(gem, rules[gem.organization.pk], JobAction.DROP)
    work_on_held()

    assert held(gem) == []
    assert len(held(moss)) == 1
    with tenant(gem.organization.pk):
        assert not HeldPostback.objects.filter(rule=rules[moss.organization.pk]).exists()


@pytest.mark.parametrize("limits", [{}, {"max_in_flight": 1}, {"rate_limit_per_second": 50}])
def test_suspended_corrected_switched_on_and_all_delivered_to_the_new_address(
    gem: make.Tenant,
    ok_partner: RecordingPartner,
    partner_answering: PartnerAnswering,
    run_pump: Run,
    limits: dict[str, int],
) -> None:
    gone = partner_answering(lambda *_: (410, {}, b""))
    rule = make.make_tenant_rule(gem, url=gone.url, **limits)
    record(gem, *purchases(4))
    run_pump(until=lambda: len(held(gem)) + len(gone.requests) == 4)
    record(gem, event(install_id="meanwhile"))
    decide()
    refused = len(gone.requests)

    page = f"/admin/postbacks/callbackrule/{rule.pk}/held/"
    offered = sign_in(gem.owner).get(page).content.decode()
    assert f"<strong>{refused} postback" in offered
    assert "the partner answered 410 Gone" in offered
    with tenant(gem.organization.pk):
        corrected = CallbackRule.objects.get(pk=rule.pk)
        corrected.url, corrected.status = ok_partner.url, RuleStatus.ACTIVE
        saving.save(corrected, by=None)
    start(gem, rule, JobAction.SEND)
    start(gem, rule, JobAction.SEND)
    work_on_held()
    run_pump(until=lambda: len(ok_partner.requests) == 5)

    assert summary(gem) == [(PostbackStatus.DELIVERED, "")] * 5, "also what got the 410"
    assert len(gone.requests) == refused, "nothing goes to the old address any more"
    with tenant(gem.organization.pk):
        assert CallbackRule.objects.get(pk=rule.pk).status == RuleStatus.ACTIVE


def test_a_410_that_nothing_else_waits_behind_is_offered_too_and_no_older_one(
    gem: make.Tenant, partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    gone = partner_answering(lambda *_: (410, {}, b""))
    rule = make.make_tenant_rule(gem, url=gone.url)
    browser = sign_in(gem.owner)
    page = f"/admin/postbacks/callbackrule/{rule.pk}/change/"
    record(gem, event())
    run_pump(until=lambda: len(gone.requests) == 1 and not queued(gem))

    asked = submit(browser, page, {"status": RuleStatus.ACTIVE, "_anyway": "1"}).content.decode()
    assert "What should happen to the 1 that the partner refused with 410 Gone?" in asked
    form = {**filled_form(asked), "_held": "drop"}
    browser.post(page, form)
    work_on_held()
    assert summary(gem) == [(PostbackStatus.FAILED, "http_410")]
    with tenant(gem.organization.pk):  # a day later
        row = AuditEntry.objects.filter(action="suspended")
        assert len(held_postbacks.refused_as_gone(CallbackRule.objects.get())) == 1
        assert row.count() == 1
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute("UPDATE delivery_attempt SET started_at = now() - interval '1 day'")
    with tenant(gem.organization.pk):
        assert held_postbacks.refused_as_gone(CallbackRule.objects.get()) == []


_COPY_ATTEMPTS = """
INSERT INTO delivery_attempt SELECT copy.*
FROM {rows}, (SELECT to_jsonb(delivery_attempt) AS row FROM delivery_attempt LIMIT 1) AS attempt,
    jsonb_populate_record(null::delivery_attempt, attempt.row || {changes}) AS copy
"""


@pytest.fixture
def refused_by_partner(
    gem: make.Tenant, partner_answering: PartnerAnswering, run_pump: Run
) -> Callable[[int], CallbackRule]:
    """Return a function that has the partner answer 410 to so many postbacks of a rule."""

    def refuse(count: int) -> CallbackRule:
        gone = partner_answering(lambda *_: (410, {}, b""))
        rule = make.make_tenant_rule(gem, url=gone.url)
        record(gem, event())
        run_pump(until=lambda: len(gone.requests) == 1 and not queued(gem))
        record(gem, *purchases(count - 1))
        decide_all()
        copies = _COPY_ATTEMPTS.format(
            rows="(SELECT * FROM postback WHERE status = 'pending') AS more",
            changes="jsonb_build_object('id', 1000 + more.id, 'postback_id', more.id,"
            " 'event_received_at', more.event_received_at)",
        )
        with psycopg.connect(database.superuser_conninfo(), autocommit=True) as session:
            session.execute(copies)  # as if they had been under way at that moment
            session.execute("DELETE FROM held_postback")
            session.execute("UPDATE postback SET status = 'failed', last_status_code = 410")
        return rule

    return refuse


@pytest.mark.parametrize("code", [500, 410])
def test_later_failures_do_not_hide_what_was_refused(
    gem: make.Tenant, refused_by_partner: Callable[[int], CallbackRule], code: int
) -> None:
    rule = refused_by_partner(2)
    later = _COPY_ATTEMPTS.format(
        rows="generate_series(1, 6000) AS number",
        changes="jsonb_build_object('id', 10000 + number, 'postback_id', 10000 + number,"
        " 'event_received_at', now(), 'started_at', now() + interval '20 minutes',"
        f" 'status_code', {code})",
    )
    with psycopg.connect(database.superuser_conninfo(), autocommit=True) as session:
        session.execute(later)

    with tenant(gem.organization.pk):
        assert len(held_postbacks.refused_as_gone(rule)) == 2


def test_everything_that_was_refused_is_sent_again_in_the_background(
    gem: make.Tenant, refused_by_partner: Callable[[int], CallbackRule]
) -> None:
    rule = refused_by_partner(250)
    with tenant(gem.organization.pk):
        corrected = CallbackRule.objects.get(pk=rule.pk)
        corrected.status = RuleStatus.ACTIVE
        saving.save(corrected, by=None)

    job = start(gem, rule, JobAction.SEND)
    work_on_held()

    assert summary(gem) == [(PostbackStatus.PENDING, "")] * 250
    with tenant(gem.organization.pk):
        job.refresh_from_db()
        assert (job.done, job.total) == (0, 0), "of what was held"
        assert job.finished_at is not None


def test_what_is_held_follows_no_rule_to_another_partner(
    gem: make.Tenant, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    with tenant(gem.organization.pk):
        rule = make.make_rule(url=ok_partner.url, partner=make.make_partner())
        other = make.make_partner()
    suspend(gem, rule)
    record(gem, event())
    decide()

    with tenant(gem.organization.pk):
        corrected = CallbackRule.objects.get(pk=rule.pk)
        corrected.partner, corrected.status = other, RuleStatus.ACTIVE
        saving.save(corrected, by=None)
    start(gem, rule, JobAction.SEND)
    work_on_held()
    run_pump(until=lambda: summary(gem)[0][0] == PostbackStatus.SKIPPED)

    assert summary(gem) == [(PostbackStatus.SKIPPED, "partner_changed")]
    assert ok_partner.requests == []


def test_a_dropped_one_can_be_decided_again(
    gem: make.Tenant, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    rule = make.make_tenant_rule(gem, url=ok_partner.url, frequency="first")
    suspend(gem, rule)
    record(gem, event())
    decide()
    start(gem, rule, JobAction.DROP)
    work_on_held()

    set_status(gem, rule, RuleStatus.ACTIVE)
    with tenant(gem.organization.pk):
        resend(Postback.objects.get())
        assert RuleDevice.objects.count() == 1
    run_pump(until=lambda: len(ok_partner.requests) == 1)

    assert summary(gem) == [(PostbackStatus.DELIVERED, "")]


def test_what_is_claimed_between_a_410_and_its_log_is_not_begun(
    gem: make.Tenant, partner_answering: PartnerAnswering
) -> None:
    gone = partner_answering(lambda *_: (410, {}, b""))
    make.make_tenant_rule(gem, url=gone.url)
    record(gem, *purchases(MANY))
    decide()
    pumps: list[Pump] = []

    def decide_while_answers_come(**_: object) -> int:
        """Stand where the pump has logged and not yet claimed, until all in flight is answered."""
        deadline = time.monotonic() + 30
        while pumps[0]._finished.waiting < pumps[0]._in_flight.total():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return 0

    def beat() -> bool:
        with database.as_role(roles.WEB):
            return len(held(gem)) + len(attempts_of(gem)) < MANY

    with (
        database.as_role(roles.WORKER),
        RequestsTransport(Destinations(parse_networks("127.0.0.0/8"))) as transport,
    ):
        pumps.append(
            Pump(
                transport=transport,
                decide=decide_while_answers_come,
                prepare=rendering.render_postbacks,
                beat=beat,
                beat_seconds=0.05,
            )
        )
        pumps[0].run(60)

    assert len(gone.requests) <= most_of_one_lane(RequestsTransport.capacity)
    assert len(held(gem)) == MANY - len(gone.requests)


def test_what_was_claimed_and_not_begun_when_the_410_came_is_held_too(
    gem: make.Tenant, partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    gone = partner_answering(lambda *_: (410, {}, b""))
    make.make_tenant_rule(gem, url=gone.url)
    record(gem, *purchases(MANY))
    decide()

    run_pump(until=lambda: len(held(gem)) + len(attempts_of(gem)) == MANY)

    assert len(gone.requests) <= most_of_one_lane(RequestsTransport.capacity), (
        "no thread begins another after a 410"
    )
    assert len(held(gem)) == MANY - len(gone.requests)
    assert queued(gem) == []
