"""One bad postback, rule or answer holds itself back and never its neighbors."""

import base64
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from apps_registry.tenancy import tenant
from postbacks.delivery.redaction import STORED_BODY_LENGTH
from postbacks.infrastructure.database import roles
from postbacks.models import DuePostback, PostbackStatus, RuleStatus
from tests import database
from tests.events import attempts_of, event, postbacks_of, record
from tests.make import make_partner, make_rule, make_tenant
from tests.pipeline.conftest import Answer, RecordingPartner, Run

pytestmark = pytest.mark.django_db(transaction=True)


def as_worker(statement: str) -> None:
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_credential_whose_host_is_no_longer_allowed_is_not_sent(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        network = make_partner(
            credentials={"api_key": "s3cret-key"}, allowed_hosts=(ok_partner.host,)
        )
        good = make_rule(url=ok_partner.url + "/good", delay_seconds=1)
        bad = make_rule(
            url=ok_partner.url + "/bad?key={{credential.api_key}}", partner=network, delay_seconds=1
        )
    record(gem, event())

    def are_both_over() -> bool:
        owed = postbacks_of(gem)
        if owed and not removed:
            removed.append(True)
            as_worker("UPDATE partner SET allowed_hosts = '{}'")
        return bool(owed) and all(postback.status != PostbackStatus.PENDING for postback in owed)

    removed: list[bool] = []
    run_pump(until=are_both_over)

    outcomes = {
        postback.rule_id: (postback.status, postback.reason) for postback in postbacks_of(gem)
    }
    assert outcomes == {
        good.pk: (PostbackStatus.DELIVERED, ""),
        bad.pk: (PostbackStatus.FAILED, "template"),
    }
    assert [path for _, path, _, _ in ok_partner.requests] == ["/good"]


def test_a_request_that_can_not_be_made_fails_at_once_and_says_why(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    """Complaint 34: such a fault was tried again, and lost unseen in the end."""
    gem = make_tenant()
    with tenant(gem.organization.pk):
        make_rule(url=ok_partner.url, headers={"X-Note": "{{params.note}}"}, retry_delays=[1, 1])
    record(gem, event(params={"note": "x" * 5_000}))

    run_pump(until=lambda: [p.status for p in postbacks_of(gem)] == [PostbackStatus.FAILED])

    (postback,) = postbacks_of(gem)
    (attempt,) = attempts_of(gem)
    assert postback.reason == attempt.error == "too_large"
    assert "X-Note" in attempt.detail
    assert ok_partner.requests == []


def test_a_postback_whose_event_is_gone_fails_with_a_reason(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        make_rule(url=ok_partner.url, delay_seconds=1)
    record(gem, event())

    def is_over() -> bool:
        owed = postbacks_of(gem)
        if owed and not removed:
            removed.append(True)
            as_worker("DELETE FROM event")
        return bool(owed) and owed[0].status == PostbackStatus.FAILED

    removed: list[bool] = []
    run_pump(until=is_over)

    assert postbacks_of(gem)[0].reason == "event_gone"
    assert ok_partner.requests == []


def test_a_queue_row_without_a_postback_is_forgotten(run_pump: Run) -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        rule = make_rule()
    as_worker(
        "INSERT INTO due_postback"
        " (postback_id, organization_id, event_received_at, rule_id, host, due_at)"
        f" VALUES (1, {gem.organization.pk}, now(), {rule.pk}, '', now())"
    )

    run_pump(until=lambda: _queue_is_empty(gem.organization.pk))

    assert postbacks_of(gem) == []


def _queue_is_empty(organization_id: int) -> bool:
    with tenant(organization_id):
        return not DuePostback.objects.exists()


# Stands for anything in an answer that PostgreSQL can't store.
_REFUSE_ANSWERS = """
CREATE FUNCTION refuse_answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.response ->> 'body' = 'unstorable' THEN
        RAISE EXCEPTION USING ERRCODE = '22021';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_answer BEFORE INSERT ON delivery_attempt
    FOR EACH ROW EXECUTE FUNCTION refuse_answer();
"""


@pytest.fixture
def some_answers_cannot_be_stored() -> Iterator[None]:
    with database.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute(_REFUSE_ANSWERS)
    yield
    with database.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER refuse_answer ON delivery_attempt")
        cursor.execute("DROP FUNCTION refuse_answer")


def test_an_answer_that_cannot_be_stored_does_not_lose_the_outcome(
    some_answers_cannot_be_stored: None,
    partner_answering: Callable[[Answer], RecordingPartner],
    run_pump: Run,
) -> None:
    partner = partner_answering(
        lambda path, _: (200, {}, b"unstorable" if path == "/bad" else b"ok")
    )
    gem = make_tenant()
    with tenant(gem.organization.pk):
        make_rule(url=partner.url + "/bad")
        make_rule(url=partner.url + "/good")
    record(gem, event())

    run_pump(until=lambda: len(attempts_of(gem)) == 2)

    assert {postback.status for postback in postbacks_of(gem)} == {PostbackStatus.DELIVERED}
    assert len(partner.requests) == 2
    details = {attempt.detail for attempt in attempts_of(gem)}
    assert details == {"", "The request and the answer could not be stored."}


# Stands for an attempt that PostgreSQL refuses whatever is left out of it.
_REFUSE_STATUS = """
CREATE FUNCTION refuse_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status_code = 207 THEN
        RAISE EXCEPTION USING ERRCODE = '22003';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_status BEFORE INSERT ON delivery_attempt
    FOR EACH ROW EXECUTE FUNCTION refuse_status();
"""


@pytest.fixture
def some_attempts_cannot_be_stored() -> Iterator[None]:
    with database.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute(_REFUSE_STATUS)
    yield
    with database.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER refuse_status ON delivery_attempt")
        cursor.execute("DROP FUNCTION refuse_status")


def test_an_attempt_that_cannot_be_stored_at_all_stops_no_other(
    some_attempts_cannot_be_stored: None,
    partner_answering: Callable[[Answer], RecordingPartner],
    run_pump: Run,
) -> None:
    partner = partner_answering(lambda path, _: (207 if path == "/bad" else 200, {}, b""))
    gem = make_tenant()
    with tenant(gem.organization.pk):
        bad = make_rule(url=partner.url + "/bad")
        make_rule(url=partner.url + "/good")
    record(gem, *(event(install_id=f"device-{n}") for n in range(5)))

    run_pump(until=lambda: len(attempts_of(gem)) == 5)

    statuses = {(postback.rule_id == bad.pk, postback.status) for postback in postbacks_of(gem)}
    assert statuses == {(True, PostbackStatus.PENDING), (False, PostbackStatus.DELIVERED)}


def test_a_rule_version_that_cannot_be_read_is_left_out_alone(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        good = make_rule(url=ok_partner.url + "/good", delay_seconds=1)
        bad = make_rule(url=ok_partner.url + "/bad", delay_seconds=1)
    record(gem, event())
    spoiled: list[bool] = []

    def good_is_over() -> bool:
        owed = postbacks_of(gem)
        if owed and not spoiled:
            spoiled.append(True)
            as_worker(
                "UPDATE callback_rule_version SET definition = definition - 'triggers'"
                f" WHERE rule_id = {bad.pk}"
            )
        return any(postback.status == PostbackStatus.DELIVERED for postback in owed)

    run_pump(until=good_is_over)

    statuses = {postback.rule_id: postback.status for postback in postbacks_of(gem)}
    assert statuses == {good.pk: PostbackStatus.DELIVERED, bad.pk: PostbackStatus.PENDING}
    assert [path for _, path, _, _ in ok_partner.requests] == ["/good"]


def test_a_success_condition_that_cannot_be_read_fails_before_anything_is_sent(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        make_rule(url=ok_partner.url, success={"codes": ["maybe"]})
    record(gem, event())

    run_pump(until=lambda: len(attempts_of(gem)) == 1)

    assert postbacks_of(gem)[0].reason == "success_rule"
    assert ok_partner.requests == []


def test_an_archived_rules_postbacks_end(ok_partner: RecordingPartner, run_pump: Run) -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        rule = make_rule(url=ok_partner.url, delay_seconds=1)
    record(gem, event())

    def is_over() -> bool:
        owed = postbacks_of(gem)
        if owed:
            with tenant(gem.organization.pk):
                type(rule).objects.filter(pk=rule.pk).update(status=RuleStatus.ARCHIVED)
        return bool(owed) and owed[0].status == PostbackStatus.SKIPPED

    run_pump(until=is_over)

    assert postbacks_of(gem)[0].reason == "rule_archived"
    assert ok_partner.requests == []


def test_a_secret_at_the_cut_of_a_long_answer_is_masked(
    partner_answering: Callable[[Answer], RecordingPartner], run_pump: Run
) -> None:
    secret = "S3CRET-" + "abcdefghijklmnopqrstuvwxyz"
    encoded = base64.b64encode(secret.encode()).decode()
    echo = ("x" * (STORED_BODY_LENGTH - 20) + secret).encode()
    partner = partner_answering(lambda *_: (200, {"X-Echo": encoded}, echo))
    gem = make_tenant()
    with tenant(gem.organization.pk):
        network = make_partner(credentials={"key": secret}, allowed_hosts=(partner.host,))
        make_rule(url=partner.url, partner=network, headers={"X-Key": "{{credential.key|base64}}"})
    record(gem, event())

    run_pump(until=lambda: len(attempts_of(gem)) == 1)

    (attempt,) = attempts_of(gem)
    assert "S3CRET" not in str(attempt.response)
    assert encoded not in str(attempt.response)
    assert len(partner.requests) == 1


@pytest.mark.parametrize("escaped", ["\\ud83d", "\\udca9", "\\u0000"])
def test_an_answers_reason_with_half_a_character_stops_no_log(
    escaped: str,
    partner_answering: Callable[[Answer], RecordingPartner],
    run_pump: Run,
) -> None:
    answer = b'{"code": 7, "message": "bad %s"}' % escaped.encode()
    partner = partner_answering(lambda path, _: (200, {}, answer if path == "/bad" else b"{}"))
    gem = make_tenant()
    with tenant(gem.organization.pk):
        said_no = {"final": [{"json_path": "code", "equals": [7]}]}
        bad = make_rule(url=partner.url + "/bad", success=said_no)
        make_rule(url=partner.url + "/good")
    record(gem, event())

    run_pump(until=lambda: len(attempts_of(gem)) == 2)

    details = sorted(attempt.detail for attempt in attempts_of(gem))
    assert details[0] == ""
    assert details[1].startswith("The partner answered 200 and said no for good: code 7, bad")
    statuses = {(postback.rule_id == bad.pk, postback.status) for postback in postbacks_of(gem)}
    assert statuses == {(True, PostbackStatus.FAILED), (False, PostbackStatus.DELIVERED)}
