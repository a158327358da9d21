"""A test send: one real request of a saved rule, logged as a test and counted nowhere."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apps_registry.models import AuditEntry
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.callbacks.rules.versions import save_rule
from postbacks.delivery.http.destinations import parse_networks
from postbacks.infrastructure.rate_limits.counting import RateLimit
from postbacks.insights.overview.reading import read_newest_failures, read_overview
from postbacks.models import CallbackRule, DuePostback, Postback, RuleStatus
from tests import make
from tests.api.calling import PROBLEM, Program, owner_of, report
from tests.database import has_open_transaction
from tests.delivery.partner_server import Partners

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("test_worker"),
]

OK = b"HTTP/1.1 200 OK\r\nX-Partner: yes\r\nContent-Length: 2\r\n\r\nok"
BROKEN = b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\noops"
GONE = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def partners(settings: Any) -> Iterator[Partners]:
    settings.ALLOW_PRIVATE_DESTINATIONS = parse_networks("127.0.0.0/8")
    started = Partners()
    yield started
    started.stop()


def _tested(made: make.Tenant, rule: CallbackRule, data: object = None) -> Any:
    return owner_of(made).post(f"callback-rules/{rule.public_id}/test-send", data)


def _postbacks(made: make.Tenant) -> list[Postback]:
    with tenant(made.organization.pk):
        return list(Postback.objects.all())


def test_the_answer_is_the_attempt_and_what_counts(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(
        made, partner.url("/p?e={{event_name}}"), triggers=["registration"]
    )

    answer = _tested(made, rule, {})

    assert answer.status == 200
    assert (answer.data["kind"], answer.data["outcome"]) == ("test", "delivered")
    assert answer.data["status_code"] == 200
    assert answer.data["response"]["headers"]["X-Partner"] == "yes"
    assert answer.data["response"]["body"] == "ok"
    assert answer.data["request"]["url"] == partner.url("/p?e=registration")
    assert answer.data["duration_ms"] >= 0
    assert answer.data["success"] == {
        "ok": True,
        "reason": "The partner answered 200. What counts is a status of 2xx.",
    }
    assert partner.requests[0].startswith(b"GET /p?e=registration HTTP/1.1")


def test_it_carries_the_headers_of_a_real_postback_and_its_signature(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, partner.url("/?id={{postback_id}}"), sign=True)

    answer = _tested(made, rule)

    request = partner.requests[0].decode()
    id_ = answer.data["postback"]
    assert f"GET /?id={id_} " in request
    assert f"Idempotency-Key: {id_}" in request
    assert "webhook-signature: v1," in request
    assert answer.data["request"]["headers"]["webhook-signature"] == "v1,•••"


def test_it_is_logged_as_a_test_and_can_be_asked_for(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, partner.url())

    answer = _tested(made, rule)

    program = owner_of(made)
    logged = program.get("postbacks", test="true").data["results"]
    assert [row["id"] for row in logged] == [answer.data["postback"]]
    assert logged[0]["test"] is True
    assert [row["kind"] for row in logged[0]["attempts"]] == ["test"]
    assert program.get("postbacks", test="false").data["results"] == []
    assert program.get(f"postbacks/{answer.data['postback']}").data["status"] == "delivered"


def test_a_draft_can_be_tested_and_stays_a_draft(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, partner.url(), status=RuleStatus.DRAFT)

    answer = _tested(made, rule)

    assert answer.data["success"]["ok"] is True
    with tenant(made.organization.pk):
        assert CallbackRule.objects.get().status == RuleStatus.DRAFT
        assert not DuePostback.objects.exists()


@pytest.mark.parametrize("form", ["event", "event_id"])
def test_a_given_or_a_received_event_is_sent(partners: Partners, form: str) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, partner.url("/?e={{event_name}}&l={{params.level}}"))
    event = {
        "event_name": "level_up",
        "params": {"level": 7},
        "bundle_id": made.bundle_id.identifier,
    }
    event_id = report(made.sdk_key, **event)

    answer = _tested(made, rule, {form: event if form == "event" else event_id})

    assert answer.data["request"]["url"] == partner.url("/?e=level_up&l=7")
    with tenant(made.organization.pk):
        (logged,) = Postback.objects.filter(test=True)
    assert (logged.event_name, logged.app_id, logged.event_id) == ("level_up", made.app.pk, None)


def test_an_error_of_the_partner_is_told_and_not_tried_again(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(BROKEN)
    rule = make.make_tenant_rule(made, partner.url())

    answer = _tested(made, rule)

    assert (answer.data["outcome"], answer.data["status_code"]) == ("failed", 500)
    assert answer.data["success"] == {
        "ok": False,
        "reason": "The partner answered 500. What would count is a status of 2xx.",
    }
    assert len(partner.requests) == 1
    with tenant(made.organization.pk):
        assert not DuePostback.objects.exists()


def test_a_body_that_says_no_is_no_success(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(
        made, partner.url(), success={"codes": ["2xx"], "body_contains": "accepted"}
    )

    answer = _tested(made, rule)

    assert answer.data["error"] == "body_says_no"
    assert answer.data["success"]["ok"] is False
    assert "a body that contains “accepted”" in answer.data["success"]["reason"]


def test_a_partner_that_trickles_is_cut_off_in_time(partners: Partners) -> None:
    made = make.make_tenant()
    partner = partners.dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")
    rule = make.make_tenant_rule(made, partner.url(), timeout_seconds=1)

    answer = _tested(made, rule)

    assert answer.data["error"] == "timeout"
    assert 900 <= answer.data["duration_ms"] < 20_000


def test_a_private_address_is_refused_in_one_sentence(partners: Partners, settings: Any) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, partner.url())
    settings.ALLOW_PRIVATE_DESTINATIONS = ()

    answer = _tested(made, rule)

    assert answer.data["error"] == "blocked"
    assert answer.data["detail"] == "This destination is not allowed."
    assert partner.connections == 0


def test_a_credential_goes_out_and_is_masked_wherever_it_comes_back(partners: Partners) -> None:
    made, secret = make.make_tenant(), "s3cret-of-the-partner"
    body = f"you sent {secret}".encode()
    echo = b"HTTP/1.1 200 OK\r\nX-Echo: %s\r\nContent-Length: %d\r\n\r\n%s"
    partner = partners.answering(echo % (secret.encode(), len(body), body))
    with tenant(made.organization.pk):
        receiver = make.make_partner(credentials={"key": secret}, allowed_hosts=("127.0.0.1",))
    rule = make.make_tenant_rule(made, partner.url("/?k={{credential.key}}"), partner=receiver)

    answer = _tested(made, rule)

    assert secret.encode() in partner.requests[0]
    assert answer.data["success"]["ok"] is True
    assert secret not in str(answer.data)
    assert answer.data["response"]["body"] == "you sent •••"
    logged = owner_of(made).get(f"postbacks/{answer.data['postback']}")
    assert secret not in str(logged.data)


@pytest.mark.parametrize("reply", [OK, BROKEN, GONE])
def test_it_is_counted_nowhere_and_suspends_nothing(partners: Partners, reply: bytes) -> None:
    made, partner = make.make_tenant(), partners.answering(reply)
    rule = make.make_tenant_rule(made, partner.url())

    _tested(made, rule)

    now = datetime.now(UTC)
    with tenant(made.organization.pk):
        overview = read_overview(now=now, zone=ZoneInfo("UTC"))
        assert (overview.figures.wanted, overview.figures.attempts) == (0, 0)
        assert read_newest_failures(now) == []
        assert CallbackRule.objects.get().status == RuleStatus.ACTIVE


def test_no_transaction_is_open_while_the_request_goes_out(partners: Partners) -> None:
    open_transactions: list[bool] = []

    def behave(stranger: Any) -> None:
        partner.next_request(stranger)
        open_transactions.append(has_open_transaction())
        stranger.sendall(OK)

    made = make.make_tenant()
    partner = partners.start(behave)
    rule = make.make_tenant_rule(made, partner.url())

    answer = _tested(made, rule)

    assert answer.data["success"]["ok"] is True
    assert open_transactions == [False]


def test_only_those_may_who_may_resend(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, partner.url())
    with tenant(made.organization.pk):
        tokens = {role: make.make_api_token(role) for role in Role.values}

    answers = {
        role: Program(token).post(f"callback-rules/{rule.public_id}/test-send").status
        for role, token in tokens.items()
    }

    assert answers == {"owner": 200, "marketer": 200, "analyst": 403}


def test_another_organizations_rule_and_event_are_not_there(partners: Partners) -> None:
    made, other = make.make_tenant(), make.make_tenant("Merge Meadow")
    partner = partners.answering(OK)
    mine, theirs = (
        make.make_tenant_rule(made, partner.url()),
        make.make_tenant_rule(other, partner.url()),
    )
    event_id = report(other.sdk_key)

    of_rule = _tested(made, theirs)
    of_event = _tested(made, mine, {"event_id": event_id})

    assert of_rule.status == 404
    assert of_event.status == 400
    assert of_event.details() == "There is no event with this ID."
    assert partner.requests == []


def test_an_organization_that_tests_too_often_waits(partners: Partners, settings: Any) -> None:
    settings.RATE_LIMIT_TESTS = RateLimit(2, 3600)
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, partner.url())

    answers = [_tested(made, rule) for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].content_type == PROBLEM
    assert len(partner.requests) == 2


def test_an_event_without_consent_is_not_sent_by_a_rule_that_skips_it(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, partner.url(), without_consent="skip")
    refused = {"event_name": "open", "limit_ad_tracking": True}

    answer = _tested(made, rule, {"event": {**refused, "bundle_id": made.bundle_id.identifier}})

    assert answer.status == 409
    assert "did not consent" in answer.data["detail"]
    assert (partner.requests, _postbacks(made)) == ([], [])


def test_a_success_is_remembered_until_the_request_changes(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, partner.url())

    _tested(made, rule)

    with tenant(made.organization.pk):
        rule = CallbackRule.objects.get()
        rule.sampling_percent = 50
        save_rule(rule, by=None)
        rule.url = partner.url("/other")
        save_rule(rule, by=None)
    versions = owner_of(made).get(f"callback-rules/{rule.public_id}/versions").data["results"]
    assert [version["tested_at"] is None for version in versions] == [True, False, False]


def test_a_failure_is_not_remembered(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(BROKEN)
    rule = make.make_tenant_rule(made, partner.url())

    _tested(made, rule)

    with tenant(made.organization.pk):
        assert rule.versions.get().tested_at is None


def test_it_stands_in_the_audit_log(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, partner.url())

    _tested(made, rule)

    with tenant(made.organization.pk):
        entry = AuditEntry.objects.get(action="tested")
    assert (entry.object_id, entry.door) == (str(rule.public_id), "api")


def test_a_test_can_not_be_resent(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, partner.url())
    id_ = _tested(made, rule).data["postback"]

    answer = owner_of(made).post(f"postbacks/{id_}/resend")

    assert answer.status == 409
    assert len(partner.requests) == 1
