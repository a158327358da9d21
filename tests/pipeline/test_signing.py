"""Signed postbacks, judged by Standard Webhooks' own library."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from apps_registry.models import SigningSecret
from apps_registry.models.signing import ensure_signing_secret, rotate_signing_secret
from apps_registry.tenancy import tenant
from postbacks.callbacks.rules.versions import definition_from
from postbacks.delivery.http.destinations import parse_networks
from postbacks.models import CallbackRule, PostbackStatus, RuleStatus
from postbacks.rulebook import replays, saving, test_send
from postbacks.rulebook.replays import ReplayFilter, ReplayRequest
from postbacks.rulebook.resending import resend
from tests.events import attempts_of, event, postbacks_of, record
from tests.make import Tenant, make_tenant
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.pipeline.test_pump import all_ended
from tests.workers import sending_tests, work_on_replays

pytestmark = pytest.mark.django_db(transaction=True)

PartnerAnswering = Callable[[Answer], RecordingPartner]


def signing_rule(of: Tenant, url: str, **fields: object) -> str:
    """Make a rule that signs and return the organization's secret."""
    fields = {
        "name": "Signed",
        "status": RuleStatus.ACTIVE,
        "method": "POST",
        "body_type": "json",
        "body": '{"event": "{{event_name}}"}',
        "sign": True,
        **fields,
    }
    with tenant(of.organization.pk):
        saving.save(CallbackRule(url=url, **fields), by=None)
        return ensure_signing_secret().reveal()


def verifies(secret: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


def test_a_signed_postback_is_verified_by_standard_webhooks(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    secret = signing_rule(gem, ok_partner.url)
    record(gem, event())

    run_pump(until=all_ended(gem))

    (postback,) = postbacks_of(gem)
    ((_, _, headers, body),) = ok_partner.requests
    assert secret.startswith("whsec_")
    assert verifies(secret, headers, body)
    assert not verifies(secret, headers, body + b" ")
    assert headers["webhook-id"] == str(postback.public_id) == headers["idempotency-key"]


def test_a_request_without_a_body_is_signed_too(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    partner = partner_answering(lambda *_: (200, {}, b""))
    gem = make_tenant()
    secret = signing_rule(gem, partner.url, method="GET", body_type="none", body="")
    record(gem, event())

    run_pump(until=all_ended(gem))

    # The library reads a body as JSON after its signature was found to be right.
    ((_, _, headers, _),) = partner.requests
    signed = Webhook(secret).sign(headers["webhook-id"], _moment(headers), "")
    assert headers["webhook-signature"] == signed


def test_while_secrets_change_either_one_verifies(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    old = signing_rule(gem, ok_partner.url)
    with tenant(gem.organization.pk):
        new = rotate_signing_secret().reveal()
    record(gem, event())

    run_pump(until=all_ended(gem))

    ((_, _, headers, body),) = ok_partner.requests
    assert old != new
    assert verifies(old, headers, body)
    assert verifies(new, headers, body)
    turned = " ".join(reversed(headers["webhook-signature"].split(" ")))  # complaint 33
    assert turned != headers["webhook-signature"]
    assert verifies(old, {**headers, "webhook-signature": turned}, body)
    assert verifies(new, {**headers, "webhook-signature": turned}, body)


def test_two_secrets_are_valid_at_most_and_an_expired_one_is_not(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    first = signing_rule(gem, ok_partner.url)
    with tenant(gem.organization.pk):
        second = rotate_signing_secret().reveal()
        third = rotate_signing_secret(timedelta(0)).reveal()
        assert [secret.is_valid for secret in SigningSecret.objects.all()] == [True, False, False]
    record(gem, event())

    run_pump(until=all_ended(gem))

    ((_, _, headers, body),) = ok_partner.requests
    assert [verifies(secret, headers, body) for secret in (first, second, third)] == [
        False,
        False,
        True,
    ]


def test_each_attempt_is_signed_anew_and_the_log_holds_no_signature(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    answers = iter([500, 200])
    partner = partner_answering(lambda *_: (next(answers), {}, b""))
    gem = make_tenant()
    secret = signing_rule(gem, partner.url, retry_delays=[2])
    record(gem, event())

    run_pump(until=all_ended(gem))

    first, second = (headers for _, _, headers, _ in partner.requests)
    assert int(second["webhook-timestamp"]) > int(first["webhook-timestamp"])
    assert first["webhook-id"] == second["webhook-id"]
    assert all(verifies(secret, headers, body) for _, _, headers, body in partner.requests)
    logged = attempts_of(gem)
    assert [attempt.request["headers"]["webhook-signature"] for attempt in logged] == ["v1,•••"] * 2
    assert [attempt.detail for attempt in logged][1] == ""  # to people both requests are the same


def test_later_tries_and_a_resend_by_hand_are_signed_and_so_is_their_time(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    """Complaints 30 and 32: not the first attempt alone, nor the body alone."""
    answers = iter([500, 500, 500, 200])
    partner = partner_answering(lambda *_: (next(answers), {}, b""))
    gem = make_tenant()
    secret = signing_rule(gem, partner.url, retry_delays=[1, 1])
    record(gem, event())
    run_pump(until=all_ended(gem))

    with tenant(gem.organization.pk):
        resend(postbacks_of(gem)[0])
    run_pump(until=lambda: postbacks_of(gem)[0].status == PostbackStatus.DELIVERED)

    assert len(partner.requests) == 4
    for _, _, headers, body in partner.requests:
        assert verifies(secret, headers, body)
        later = str(int(headers["webhook-timestamp"]) + 1)
        assert not verifies(secret, {**headers, "webhook-timestamp": later}, body)
    assert len({headers["webhook-id"] for _, _, headers, _ in partner.requests}) == 1


@pytest.mark.parametrize("transport", ["requests", "curl"])
def test_attempts_of_every_kind_verify_by_either_secret_in_either_order_and_changed_ones_do_not(
    partner_answering: PartnerAnswering, run_pump: Run, settings, transport: str
) -> None:
    module = pytest.importorskip(f"postbacks.delivery.http.{transport}_transport")
    open_transport = getattr(module, f"{transport.title()}Transport")
    settings.ALLOW_PRIVATE_DESTINATIONS = parse_networks("127.0.0.0/8")
    settings.DELIVERY_TRANSPORT = transport
    answers = iter([500, 404, 404])  # a retry, a resend; then all is taken
    partner = partner_answering(lambda *_: (next(answers, 200), {}, b""))
    gem = make_tenant()
    old = signing_rule(gem, partner.url, retry_delays=[1])
    with tenant(gem.organization.pk):
        new = rotate_signing_secret().reveal()
    record(gem, event())

    def pump_until_logged(count: int) -> None:
        run_pump(until=lambda: len(attempts_of(gem)) == count, open_transport=open_transport)

    pump_until_logged(2)
    with tenant(gem.organization.pk):
        resend(postbacks_of(gem)[0])
    pump_until_logged(3)
    with tenant(gem.organization.pk):
        rule = CallbackRule.objects.get()
        rule.body = '{"corrected": "{{event_name}}"}'
        saving.save(rule, by=None)
        request = ReplayRequest(filter=ReplayFilter(status="failed"))
        replays.start(request, now=datetime.now(UTC))
    work_on_replays()
    pump_until_logged(4)
    with tenant(gem.organization.pk):
        resend(postbacks_of(gem)[0], as_decided=True)
    pump_until_logged(5)
    with sending_tests():
        with tenant(gem.organization.pk):
            prepared = test_send.prepare_test(definition_from(rule))
            test = test_send.start(prepared, None)
        answer = test_send.wait_for(test)
    assert answer is not None
    assert test_send.is_received(answer)

    kinds = [attempt.kind for attempt in attempts_of(gem)]
    assert kinds == ["auto", "auto", "resend", "replay", "resend"]
    assert [b"corrected" in body for *_, body in partner.requests] == [
        *(False, False, False, True, False, True)
    ]
    ids = [headers["webhook-id"] for _, _, headers, _ in partner.requests]
    assert ids == [str(postbacks_of(gem)[0].public_id)] * 5 + [str(prepared.public_id)]
    for _, _, headers, body in partner.requests:
        first, second = headers["webhook-signature"].split(" ")
        for signatures in (f"{first} {second}", f"{second} {first}"):
            sent = {**headers, "webhook-signature": signatures}
            later = str(int(headers["webhook-timestamp"]) + 1)
            for secret in (old, new):
                assert verifies(secret, sent, body)
                assert not verifies(secret, {**sent, "webhook-timestamp": later}, body)
                assert not verifies(secret, {**sent, "webhook-id": str(uuid.uuid4())}, body)
                assert not verifies(secret, sent, body + b" ")


def test_a_partner_that_answers_with_the_secret_does_not_bring_it_into_the_log(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    answers: list[bytes] = []
    partner = partner_answering(lambda *_: (200, {}, answers[0]))
    gem = make_tenant()
    answers.append(signing_rule(gem, partner.url).encode())
    record(gem, event())

    run_pump(until=all_ended(gem))

    assert attempts_of(gem)[0].response["body"] == "•••"


def test_without_a_secret_that_can_be_read_nothing_unsigned_is_sent(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    signing_rule(gem, ok_partner.url)
    with tenant(gem.organization.pk):
        SigningSecret.objects.update(sealed="gone:00")
    record(gem, event())

    run_pump(until=all_ended(gem))

    (postback,) = postbacks_of(gem)
    assert (postback.status, postback.reason) == (PostbackStatus.FAILED, "signing_secret")
    assert ok_partner.requests == []


def _moment(headers: dict[str, str]) -> datetime:
    return datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
