"""What a rule holds since it was suspended, over the API."""

import threading

import psycopg
import pytest
from django.db import connection

from apps_registry.models import AuditEntry
from apps_registry.roles import Role
from apps_registry.tenancy import tenant as tenant_of
from postbacks.models import CallbackRule, PostbackJob, PostbackStatus, RuleStatus, SkipReason
from tests import make
from tests.api.calling import Answer, Program, owner_of, program_of, report
from tests.database import superuser_conninfo, wait_for_a_lock
from tests.events import postbacks_of
from tests.workers import decide_all, work_on_held

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def made() -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def program(made: make.Tenant) -> Program:
    return owner_of(made)


@pytest.fixture
def rule(made: make.Tenant) -> CallbackRule:
    """Return a suspended rule that holds two postbacks."""
    rule = make.make_tenant_rule(made)
    with tenant_of(made.organization.pk):
        CallbackRule.objects.update(status=RuleStatus.SUSPENDED)
    for _ in range(2):
        report(made.sdk_key)
    decide_all()
    return rule


def test_a_rule_says_how_many_it_holds(program: Program, rule: CallbackRule) -> None:
    other = program.post("callback-rules", {"name": "Other", "url": "https://a.example/"})

    counts = {row["id"]: row["held"] for row in program.rows("callback-rules")}

    assert counts == {str(rule.public_id): 2, other.data["id"]: 0}
    assert program.get(f"callback-rules/{rule.public_id}").data["held"] == 2
    assert program.get(f"callback-rules/{rule.public_id}/held").data == {"held": 2, "job": None}


def test_switching_on_leaves_them_held_until_the_call_that_sends_them(
    program: Program, made: make.Tenant, rule: CallbackRule
) -> None:
    address = f"callback-rules/{rule.public_id}"
    corrected = {"url": "https://b.example/p", "status": "active"}
    answer = program.patch(address, corrected)
    work_on_held()
    assert (answer.status, answer.data["status"], answer.data["held"]) == (200, "active", 2)
    assert program.get(address).data["held"] == 2

    started = program.post(f"{address}/held", {"action": "send"})
    assert (started.status, started.data["status"]) == (202, "running")
    assert (started.data["action"], started.data["total"], started.data["done"]) == ("send", 2, 0)
    assert started.data["rule"] == str(rule.public_id)
    work_on_held()

    now = program.get(f"{address}/held").data
    assert (now["held"], now["job"]["id"], now["job"]["done"]) == (0, started.data["id"], 2)
    assert now["job"]["status"] == "finished"
    assert {row["reason"] for row in program.rows("postbacks")} == {None}
    with tenant_of(made.organization.pk):
        assert AuditEntry.objects.get(action="held_sent").object_id == str(rule.public_id)


def test_a_correction_does_not_switch_on_a_rule_that_is_suspended_at_that_moment(
    made: make.Tenant,
) -> None:
    rule = make.make_tenant_rule(made)
    answers: list[Answer] = []

    def correct() -> None:
        body = {"url": "https://b.example/p"}
        answers.append(owner_of(made).patch(f"callback-rules/{rule.public_id}", body))
        connection.close()

    with psycopg.connect(superuser_conninfo()) as worker:
        worker.execute("UPDATE callback_rule SET status = 'suspended' WHERE id = %s", [rule.pk])
        person = threading.Thread(target=correct)  # has read the rule as it was before
        person.start()
        wait_for_a_lock()
        worker.commit()
        person.join()

    assert (answers[0].status, answers[0].data["status"]) == (200, "suspended")
    assert answers[0].data["url"] == "https://b.example/p"


def test_dropped_ones_are_skipped_with_their_reason(program: Program, rule: CallbackRule) -> None:
    started = program.post(f"callback-rules/{rule.public_id}/held", {"action": "drop"})
    work_on_held()

    assert started.status == 202
    rows = program.rows("postbacks", status="skipped")
    assert [row["reason"] for row in rows] == [SkipReason.HELD_DROPPED] * 2


def test_a_second_call_doubles_nothing(
    program: Program, made: make.Tenant, rule: CallbackRule
) -> None:
    address = f"callback-rules/{rule.public_id}/held"
    first, second = (program.post(address, {"action": "drop"}) for _ in range(2))
    work_on_held()

    assert first.data["id"] == second.data["id"]
    with tenant_of(made.organization.pk):
        assert PostbackJob.objects.get().done == 2
        assert AuditEntry.objects.filter(action="held_dropped").count() == 1
    assert [row.status for row in postbacks_of(made)] == [PostbackStatus.SKIPPED] * 2


@pytest.mark.parametrize("status", ["suspended", "paused", "draft"])
def test_a_rule_that_is_not_on_refuses_to_send_and_says_what_to_do(
    program: Program, made: make.Tenant, rule: CallbackRule, status: str
) -> None:
    with tenant_of(made.organization.pk):
        CallbackRule.objects.update(status=status)

    refused = program.post(f"callback-rules/{rule.public_id}/held", {"action": "send"})

    assert refused.status == 409
    assert "set its status to active" in refused.data["detail"]
    assert program.get(f"callback-rules/{rule.public_id}").data["held"] == 2


@pytest.mark.parametrize(
    "body", [{}, {"action": "keep"}, {"action": None}, {"action": "send", "rule": 1}, [], None]
)
def test_anything_but_send_or_drop_is_refused(
    program: Program, rule: CallbackRule, body: object
) -> None:
    refused = program.post(f"callback-rules/{rule.public_id}/held", body)

    assert refused.status in {400, 422}
    assert refused.content_type == "application/problem+json"


def test_an_archived_rule_and_those_who_may_not_resend_are_refused(
    program: Program, made: make.Tenant, rule: CallbackRule
) -> None:
    address = f"callback-rules/{rule.public_id}/held"
    analyst = program_of(Role.ANALYST, made)

    assert analyst.post(address, {"action": "drop"}).status == 403
    assert analyst.get(address).data["held"] == 2
    program.delete(f"callback-rules/{rule.public_id}")
    assert program.post(address, {"action": "drop"}).status == 409


def test_another_organizations_rule_is_not_found(rule: CallbackRule) -> None:
    stranger = owner_of(make.make_tenant("Moss Valley"))

    assert stranger.get(f"callback-rules/{rule.public_id}/held").status == 404
    assert stranger.post(f"callback-rules/{rule.public_id}/held", {"action": "drop"}).status == 404


def test_archiving_skips_what_was_pending_and_the_row_says_why(
    program: Program, rule: CallbackRule
) -> None:
    program.delete(f"callback-rules/{rule.public_id}")
    work_on_held()

    rows = program.rows("postbacks")
    assert [(row["status"], row["reason"]) for row in rows] == [("skipped", "rule_archived")] * 2


def test_the_explanation_says_that_they_are_held_and_what_to_do(
    program: Program, made: make.Tenant, rule: CallbackRule
) -> None:
    event_id = str(postbacks_of(made)[0].sdk_event_id)

    def reason() -> dict[str, str]:
        (explained,) = program.get(f"events/{event_id}/explain").data
        assert explained["decision"] == "held"
        return explained["reasons"][0]

    assert reason()["code"] == "rule_suspended"
    assert "Correct the rule and switch it on" in reason()["detail"]
    program.patch(f"callback-rules/{rule.public_id}", {"status": "active"})
    assert reason()["code"] == "rule_suspended"
    assert "Send or drop" in reason()["detail"]


def test_a_row_that_was_read_can_be_written_back_though_more_is_held_by_now(
    program: Program, made: make.Tenant, rule: CallbackRule
) -> None:
    row = program.get(f"callback-rules/{rule.public_id}").data
    report(made.sdk_key)
    decide_all()

    answer = program.put(f"callback-rules/{rule.public_id}", row)

    assert answer.status == 200, answer.data
    assert answer.data["held"] == 3
