"""Notices reach people by e-mail and programs by signed callbacks, at least once."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from pytest_django import Settings
from standardwebhooks import Webhook

from apps_registry.models import SigningSecret
from apps_registry.models.signing import rotate_signing_secret
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.alerts import sending
from postbacks.alerts.saving import send_test
from postbacks.delivery.http.destinations import parse_networks
from postbacks.delivery.http.opening import open_transport
from postbacks.delivery.outcome import Outcome
from postbacks.infrastructure.database import roles
from postbacks.models import Alert, NoticeStatus
from tests import database, make
from tests.alerts.scenes import (
    count_attempts,
    judge_at,
    make_tenant_alert,
    notices_of,
    send_at,
)
from tests.pipeline.conftest import Answer, RecordingPartner
from tests.pipeline.conftest import partner_answering as partner_answering

pytestmark = pytest.mark.django_db(transaction=True)

PartnerAnswering = Callable[[Answer], RecordingPartner]
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _loopback(settings: Settings) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = parse_networks("127.0.0.0/8")


@pytest.fixture
def gem() -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC).replace(second=30, microsecond=0)


def raise_alert(of: make.Tenant, now: datetime, **fields: Any) -> Alert:
    rule = make.make_tenant_rule(of, name="Installs to Chartboost")
    alert = make_tenant_alert(of, **fields)
    count_attempts(of, rule.pk, now, failed=20)
    judge_at(now)
    return alert


def secrets_of(of: make.Tenant) -> list[str]:
    with tenant(of.organization.pk):
        return [row.reveal() for row in SigningSecret.objects.all() if row.is_valid]


def test_a_callback_is_verified_by_standard_webhooks_with_either_secret(
    gem: make.Tenant, now: datetime, partner_answering: PartnerAnswering
) -> None:
    program = partner_answering(lambda *_: (204, {}, b""))
    raise_alert(gem, now, webhook_url=f"{program.url}/hooks")
    with tenant(gem.organization.pk):
        rotate_signing_secret()

    assert send_at(now) == 1

    ((method, path, headers, body),) = program.requests
    assert (method, path) == ("POST", "/hooks")
    assert len(secrets_of(gem)) == 2
    for secret in secrets_of(gem):
        content = Webhook(secret).verify(body.decode(), headers)
    assert content["type"] == "alert.raised"
    assert content["data"]["incident"]["rule"]["name"] == "Installs to Chartboost"
    assert content["data"]["incident"]["value"] == 0.0
    (notice,) = notices_of(gem)
    assert (notice.status, notice.status_code) == (NoticeStatus.SENT, 204)
    assert headers["webhook-id"] == headers["idempotency-key"] == str(notice.public_id)


def test_a_callback_that_fails_is_tried_again_with_the_same_id_and_body(
    gem: make.Tenant, now: datetime, partner_answering: PartnerAnswering
) -> None:
    answers = iter([503, 200])
    program = partner_answering(lambda *_: (next(answers), {}, b""))
    raise_alert(gem, now, webhook_url=program.url)

    counts = [send_at(now + n * MINUTE) for n in (0, 0, 1, 2)]

    assert counts == [1, 0, 1, 0]
    (_, _, first, body), (_, _, second, again) = program.requests
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    (notice,) = notices_of(gem)
    assert (notice.status, notice.tries) == (NoticeStatus.SENT, 2)


@pytest.mark.parametrize("status", [404, 410, 302])
def test_a_callback_that_is_refused_for_good_is_not_tried_again(
    gem: make.Tenant, now: datetime, partner_answering: PartnerAnswering, status: int
) -> None:
    program = partner_answering(lambda *_: (status, {}, b""))
    raise_alert(gem, now, webhook_url=program.url)

    send_at(now)
    send_at(now + timedelta(days=1))

    assert len(program.requests) == 1
    assert notices_of(gem)[0].status == NoticeStatus.FAILED


def test_a_private_address_is_never_asked(
    gem: make.Tenant, now: datetime, settings: Settings, partner_answering: PartnerAnswering
) -> None:
    program = partner_answering(lambda *_: (200, {}, b""))
    raise_alert(gem, now, webhook_url=program.url.replace("127.0.0.1", "localhost"))
    settings.ALLOW_PRIVATE_DESTINATIONS = ()

    with database.as_role(roles.WORKER), open_transport() as transport:
        sending.work(transport, 60, now=now)

    assert not program.requests
    # As a name without an address is answered: the difference would map the network behind us.
    assert notices_of(gem)[0].error == "dns"


def test_what_a_dead_worker_has_claimed_is_sent_when_its_lease_ends(
    gem: make.Tenant, now: datetime, partner_answering: PartnerAnswering
) -> None:
    program = partner_answering(lambda *_: (200, {}, b""))
    raise_alert(gem, now, webhook_url=program.url)
    with database.as_role(roles.WORKER):
        (claimed,) = sending.claim(now)

    assert send_at(now + MINUTE) == 0
    assert send_at(now + 3 * MINUTE) == 1

    with database.as_role(roles.WORKER):  # the first one comes back after all
        late = sending.NoticeResult(claimed, Outcome.FAILED, error="timeout")
        sending.finish(late, now + 4 * MINUTE)
    assert notices_of(gem)[0].status == NoticeStatus.SENT
    assert program.requests[0][2]["webhook-id"] == str(claimed.public_id)


def test_a_program_that_hangs_delays_no_other_organization(
    gem: make.Tenant, now: datetime, partner_answering: PartnerAnswering
) -> None:
    program = partner_answering(lambda *_: (200, {}, b""))
    moss = make.make_tenant("Moss Valley")
    raise_alert(moss, now, webhook_url=program.url)
    with tenant(gem.organization.pk):
        rules = [make.make_rule(name=f"Rule {number}") for number in range(20)]
    make_tenant_alert(gem, webhook_url=program.url)
    for rule in rules:
        count_attempts(gem, rule.pk, now, failed=20)
    judge_at(now + MINUTE)

    with database.as_role(roles.WORKER):
        first = sending.claim(now + MINUTE)

    organizations = [each.organization_id for each in first]
    assert organizations.count(gem.organization.pk) == sending.OF_EACH
    assert organizations.count(moss.organization.pk) == 1


def test_members_get_one_mail_that_names_rule_and_reason(gem: make.Tenant, now: datetime) -> None:
    ana = make.make_user(Role.MARKETER, organization=gem.organization)
    raise_alert(gem, now, emails=[ana.email, gem.owner.email])

    send_at(now)
    send_at(now)

    (message,) = mail.outbox
    assert {*message.to, *message.bcc} == {ana.email, gem.owner.email}
    assert message.subject == "[Postbacks] Alert raised: Postbacks fail"
    assert "“Installs to Chartboost”" in message.body
    assert "mostly HTTP 500" in message.body
    assert "/admin/postbacks/alert/" in message.body


def test_notices_of_one_alert_come_in_one_mail(gem: make.Tenant, now: datetime) -> None:
    with tenant(gem.organization.pk):
        rules = [make.make_rule(name=f"Rule {number}") for number in range(3)]
    make_tenant_alert(gem, emails=[gem.owner.email])
    for rule in rules:
        count_attempts(gem, rule.pk, now, failed=20)
    judge_at(now)

    send_at(now)

    (message,) = mail.outbox
    assert message.subject == "[Postbacks] 3 notices: Postbacks fail"
    assert all(rule.name in message.body for rule in rules)


def test_nobody_who_has_left_gets_a_mail(gem: make.Tenant, now: datetime) -> None:
    ana = make.make_user(Role.MARKETER, organization=gem.organization)
    raise_alert(gem, now, emails=[ana.email])
    ana.is_active = False
    ana.save()

    send_at(now)

    assert not mail.outbox
    assert notices_of(gem)[0].status == NoticeStatus.DROPPED


def test_a_mail_server_that_is_away_is_asked_again(
    gem: make.Tenant, now: datetime, settings: Settings
) -> None:
    raise_alert(gem, now, emails=[gem.owner.email])
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    send_at(now)
    assert (notices_of(gem)[0].error, notices_of(gem)[0].status) == ("mail_server", "pending")

    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    send_at(now + MINUTE)

    assert len(mail.outbox) == 1
    assert notices_of(gem)[0].status == NoticeStatus.SENT


def test_a_test_goes_out_on_every_channel_at_once(
    gem: make.Tenant, now: datetime, partner_answering: PartnerAnswering
) -> None:
    program = partner_answering(lambda *_: (200, {}, b""))
    alert = make_tenant_alert(gem, emails=[gem.owner.email], webhook_url=program.url)
    with tenant(gem.organization.pk):
        send_test(alert)

    send_at(now + MINUTE)

    (body,) = program.bodies()
    assert isinstance(body, dict)
    assert (body["type"], body["data"]["incident"]) == ("alert.test", None)
    assert mail.outbox[0].subject == "[Postbacks] Test of an alert: Postbacks fail"


def test_a_name_can_not_change_the_mail_around_it(gem: make.Tenant, now: datetime) -> None:
    raise_alert(gem, now, emails=[gem.owner.email], name="Fail\r\nBcc: a@example.com")

    send_at(now)

    (message,) = mail.outbox
    assert "\n" not in message.subject
    assert json.loads(notices_of(gem)[0].body)["data"]["alert"]["name"].startswith("Fail")
