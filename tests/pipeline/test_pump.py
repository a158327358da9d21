"""From an owed postback to a logged attempt, with a real partner on loopback."""

import gzip
import os
import resource
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from django.db import InternalError, connection, transaction

from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.callbacks import rendering
from postbacks.delivery.attempt import attempt
from postbacks.delivery.attempt_log import log_attempts
from postbacks.delivery.http.destinations import Destinations, parse_networks
from postbacks.delivery.http.egress_proxy import parse_proxy
from postbacks.delivery.http.requests_transport import RequestsTransport
from postbacks.delivery.wakeups import Wakeup
from postbacks.infrastructure.database import roles
from postbacks.models import DuePostback, HeldPostback, PostbackStatus, RuleStatus
from postbacks.rulebook import saving
from postbacks.rulebook.resending import NotResendableError, resend
from tests import database
from tests.claims import claim_due
from tests.events import attempts_of, event, postbacks_of, record
from tests.make import Tenant, make_partner, make_tenant, make_tenant_rule
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.workers import decide, work_on_held

pytestmark = pytest.mark.django_db(transaction=True)

PartnerAnswering = Callable[[Answer], RecordingPartner]


def all_ended(of: Tenant, count: int = 1) -> Callable[[], bool]:
    def ended() -> bool:
        postbacks = postbacks_of(of)
        return len(postbacks) == count and all(
            postback.status != PostbackStatus.PENDING for postback in postbacks
        )

    return ended


def test_a_purchase_reaches_the_partner_and_its_attempt_the_log(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    make_tenant_rule(
        gem,
        url=ok_partner.url + "/p?id={{advertising_id}}&ip={{ip_address}}&app={{bundle_id}}"
        "&campaign={{campaign_id}}&event={{event_name}}",
    )
    record(gem, event(idfa="6D92078A-8246-4BA4-AE5B-76104861E7DC", ip_address="203.0.113.7"))

    run_pump(until=all_ended(gem))

    (postback,) = postbacks_of(gem)
    (logged,) = attempts_of(gem)
    ((method, path, headers, _body),) = ok_partner.requests
    assert (method, headers["idempotency-key"]) == ("GET", str(postback.public_id))
    assert headers["user-agent"].startswith("Postbacks/")
    assert path == (
        "/p?id=6D92078A-8246-4BA4-AE5B-76104861E7DC&ip=203.0.113.7"
        f"&app={gem.bundle_id.identifier}&campaign=&event=purchase"
    )
    assert (postback.status, postback.attempts_made) == (PostbackStatus.DELIVERED, 1)
    assert postback.delivered_at is not None
    assert postback.next_attempt_at is None
    assert (logged.outcome, logged.status_code, logged.kind) == ("delivered", 200, "auto")
    assert logged.request["url"] == ok_partner.url + path
    assert logged.response["body"] == "ok"
    with tenant(gem.organization.pk):
        assert not DuePostback.objects.exists()


def test_a_server_error_is_tried_again_until_it_is_taken(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    answers = iter([500, 503, 200])
    partner = partner_answering(lambda *_: (next(answers), {}, b""))
    gem = make_tenant()
    make_tenant_rule(gem, url=partner.url, retry_delays=[1, 1, 1])
    record(gem, event())

    run_pump(until=all_ended(gem))

    attempts = attempts_of(gem)
    assert [attempt.outcome for attempt in attempts] == ["retry", "retry", "delivered"]
    assert [attempt.error for attempt in attempts] == ["http_500", "http_503", ""]
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    keys = {headers["idempotency-key"] for _, _, headers, _ in partner.requests}
    assert len(keys) == 1


def test_retry_after_makes_the_next_try_wait_longer(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    partner = partner_answering(lambda *_: (429, {"Retry-After": "600"}, b""))
    gem = make_tenant()
    make_tenant_rule(gem, url=partner.url, retry_delays=[1])
    record(gem, event())

    run_pump(until=lambda: len(attempts_of(gem)) == 1)

    (postback,) = postbacks_of(gem)
    assert postback.status == PostbackStatus.PENDING
    assert postback.next_attempt_at is not None
    assert postback.next_attempt_at.timestamp() - time.time() > 550


def test_a_postback_fails_when_its_schedule_is_over(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    partner = partner_answering(lambda *_: (500, {}, b""))
    gem = make_tenant()
    make_tenant_rule(gem, url=partner.url, retry_delays=[1])
    record(gem, event())

    run_pump(until=all_ended(gem))

    (postback,) = postbacks_of(gem)
    assert (postback.status, postback.reason) == (PostbackStatus.FAILED, "http_500")
    assert len(partner.requests) == 2


def test_gone_fails_at_once_and_suspends_the_rule(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    partner = partner_answering(lambda *_: (410, {}, b""))
    gem = make_tenant()
    sending = make_tenant_rule(gem, url=partner.url)
    record(gem, event())

    run_pump(until=all_ended(gem))

    (postback,) = postbacks_of(gem)
    assert (postback.status, postback.reason) == (PostbackStatus.FAILED, "http_410")
    with tenant(gem.organization.pk):
        sending.refresh_from_db()
    assert sending.status == RuleStatus.SUSPENDED


def test_credentials_go_over_the_wire_and_never_into_the_log(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    secret = "s3cret/with+odd=characters"
    partner = partner_answering(
        lambda path, headers: (200, {"X-Echo": path}, repr(headers).encode())
    )
    gem = make_tenant()
    with tenant(gem.organization.pk):
        network = make_partner(credentials={"api_key": secret}, allowed_hosts=(partner.host,))
    make_tenant_rule(
        gem,
        partner=network,
        url=partner.url + "/?key={{credential.api_key}}",
        headers={"Authorization": "Bearer {{credential.api_key}}"},
    )
    record(gem, event())

    run_pump(until=all_ended(gem))

    ((_, path, headers, _),) = partner.requests
    assert headers["authorization"] == f"Bearer {secret}"
    assert "s3cret%2Fwith%2Bodd%3Dcharacters" in path
    (logged,) = attempts_of(gem)
    text = f"{logged.request} {logged.response} {logged.detail}"
    assert "s3cret" not in text
    assert "•••" in text


def test_a_destination_that_is_not_allowed_fails_without_a_connection(run_pump: Run) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, url="http://10.0.0.1/")
    record(gem, event())

    run_pump(until=all_ended(gem))

    (logged,) = attempts_of(gem)
    assert (logged.outcome, logged.error) == ("failed", "blocked")


def test_a_switched_off_rule_holds_its_postbacks_without_an_attempt(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    sending = make_tenant_rule(gem, url=ok_partner.url)
    record(gem, event())
    decide()
    with tenant(gem.organization.pk):
        sending.status = RuleStatus.PAUSED
        saving.save(sending, by=None)

    run_pump(until=lambda: _is_held(gem))

    (postback,) = postbacks_of(gem)
    assert (postback.status, postback.reason) == (PostbackStatus.PENDING, "rule_off")
    assert attempts_of(gem) == []

    with tenant(gem.organization.pk), pytest.raises(NotResendableError, match="switch it on"):
        resend(postback)
    with tenant(gem.organization.pk):
        sending.status = RuleStatus.ACTIVE
        saving.save(sending, by=None)
    work_on_held()
    run_pump(until=all_ended(gem))

    (postback,) = postbacks_of(gem)
    assert (postback.status, postback.reason) == (PostbackStatus.DELIVERED, "")


def _is_held(of: Tenant) -> bool:
    with tenant(of.organization.pk):
        return HeldPostback.objects.exists() and not DuePostback.objects.exists()


def test_a_resend_of_something_delivered_leaves_it_delivered(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    answers = iter([200, 404])
    partner = partner_answering(lambda *_: (next(answers), {}, b""))
    gem = make_tenant()
    make_tenant_rule(gem, url=partner.url)
    record(gem, event())
    run_pump(until=all_ended(gem))

    with tenant(gem.organization.pk):
        resend(postbacks_of(gem)[0])
    run_pump(until=lambda: len(attempts_of(gem)) == 2)

    (postback,) = postbacks_of(gem)
    assert postback.status == PostbackStatus.DELIVERED
    assert [attempt.kind for attempt in attempts_of(gem)] == ["auto", "resend"]


def test_a_postback_in_a_workers_hands_is_not_resent(ok_partner: RecordingPartner) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, url=ok_partner.url)
    record(gem, event())
    with database.as_role(roles.WORKER):
        pipeline.decide_events()
        assert len(claim_due(10)) == 1

    with tenant(gem.organization.pk), pytest.raises(NotResendableError, match="being sent"):
        resend(postbacks_of(gem)[0])


def test_a_resend_after_the_end_of_a_lease_is_not_swallowed_by_the_late_worker(
    ok_partner: RecordingPartner,
) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, url=ok_partner.url)
    record(gem, event())
    with (
        database.as_role(roles.WORKER),
        RequestsTransport(Destinations(parse_networks("127.0.0.0/8"))) as transport,
    ):
        pipeline.decide_events()
        (late,) = claim_due(10)
        (prepared,) = rendering.render_postbacks([late.postback])
        with connection.cursor() as cursor:
            cursor.execute("UPDATE due_postback SET due_at = now()")
        with database.as_role(roles.WEB), tenant(gem.organization.pk):
            resend(postbacks_of(gem)[0])

        log_attempts([attempt(late, prepared, transport)])

    with tenant(gem.organization.pk):
        assert DuePostback.objects.filter(kind="resend").count() == 1


def test_a_worker_whose_lease_has_ended_writes_nothing(ok_partner: RecordingPartner) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, url=ok_partner.url)
    record(gem, event())
    with (
        database.as_role(roles.WORKER),
        RequestsTransport(Destinations(parse_networks("127.0.0.0/8"))) as transport,
    ):
        pipeline.decide_events()
        (stale,) = claim_due(10)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE due_postback SET due_at = now()")
        (fresh,) = claim_due(10)
        (prepared,) = rendering.render_postbacks([stale.postback])
        late = attempt(stale, prepared, transport)

        log_attempts([late])

        assert [each.outcome for each in attempts_of(gem)] == ["interrupted"]
        log_attempts([attempt(fresh, prepared, transport)])

    assert [each.outcome for each in attempts_of(gem)] == ["interrupted", "delivered"]
    assert [each.number for each in attempts_of(gem)] == [1, 2]
    assert postbacks_of(gem)[0].status == PostbackStatus.DELIVERED


def test_an_attempt_waits_with_its_result_while_the_database_is_read_only(
    ok_partner: RecordingPartner,
) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, url=ok_partner.url)
    record(gem, event())
    with (
        database.as_role(roles.WORKER),
        RequestsTransport(Destinations(parse_networks("127.0.0.0/8"))) as transport,
    ):
        pipeline.decide_events()
        (lease,) = claim_due(10)
        (prepared,) = rendering.render_postbacks([lease.postback])
        result = attempt(lease, prepared, transport)

        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION READ ONLY")
            with pytest.raises(InternalError, match="read-only"):
                log_attempts([result])
            transaction.set_rollback(True)
        log_attempts([result])

    assert [each.outcome for each in attempts_of(gem)] == ["delivered"]


def test_no_transaction_is_open_while_a_request_goes_out(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    open_transactions: list[bool] = []

    def answer(_path: str, _headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        open_transactions.append(database.has_open_transaction())
        return 200, {}, b""

    partner = partner_answering(answer)
    gem = make_tenant()
    make_tenant_rule(gem, url=partner.url)
    record(gem, event())

    run_pump(until=all_ended(gem))

    assert open_transactions == [False]


def test_nul_characters_in_an_answer_do_not_keep_it_from_the_log(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    partner = partner_answering(lambda *_: (200, {}, b"a\x00b\xff"))
    gem = make_tenant()
    make_tenant_rule(gem, url=partner.url)
    record(gem, event())

    run_pump(until=all_ended(gem))

    (logged,) = attempts_of(gem)
    assert logged.response["body"] == "a\ufffdb\ufffd"


@pytest.mark.parametrize(
    ("headers", "body", "shown"),
    [
        ({"Content-Type": "text/plain"}, "Zugriff verweigert: é".encode(), "Zugriff verweigert: é"),
        ({"Content-Type": "text/html"}, b"<h1>Forbidden</h1>", "<h1>Forbidden</h1>"),
        ({}, b"Forbidden", "Forbidden"),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"Forbidden", mtime=0), "Forbidden"),
        ({"Content-Type": "text/html; charset=ISO-8859-1"}, b"refus\xe9", "refus\xe9"),
        ({"content-type": 'text/plain;CHARSET="latin1"'}, b"refus\xe9", "refus\xe9"),
        ({"Content-Type": "text/plain; charset=windows-1251"}, b"\xed\xe5\xf2", "нет"),
        ({"Content-Type": "text/plain; charset=Shift_JIS"}, "拒否".encode("shift_jis"), "拒否"),
        ({"Content-Type": "text/plain; charset=gbk"}, "拒绝".encode("gbk"), "拒绝"),
        ({"Content-Type": "text/plain; charset=none-such"}, b"no\xe9", "no\ufffd"),
        ({"Content-Type": "text/plain; charset=unicode_escape"}, b"\\x41", "\\x41"),
        ({"Content-Type": "text/plain; charset="}, b"no", "no"),
    ],
)
def test_an_answer_of_any_kind_can_be_read_in_the_log(
    partner_answering: PartnerAnswering,
    run_pump: Run,
    headers: dict[str, str],
    body: bytes,
    shown: str,
) -> None:
    """Complaint 35: the words with which a partner refuses are what people look for."""
    partner = partner_answering(lambda *_: (403, headers, body))
    gem = make_tenant()
    make_tenant_rule(gem, url=partner.url)
    record(gem, event())

    run_pump(until=all_ended(gem))

    (logged,) = attempts_of(gem)
    assert (logged.status_code, logged.response["body"]) == (403, shown)


def test_hundreds_of_postbacks_are_each_sent_once(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, url=ok_partner.url)
    record(gem, *(event(install_id=f"device-{n}") for n in range(300)))

    run_pump(until=all_ended(gem, 300))

    keys = [headers["idempotency-key"] for _, _, headers, _ in ok_partner.requests]
    assert len(keys) == len(set(keys)) == 300
    assert len(attempts_of(gem)) == 300


def test_a_pump_by_curl_has_many_requests_open_at_once(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    curl = pytest.importorskip("postbacks.delivery.http.curl_transport")
    all_there = threading.Barrier(2 * RequestsTransport.capacity)

    def answer_when_all_are_there(*_: object) -> tuple[int, dict[str, str], bytes]:
        all_there.wait(20)
        return 200, {}, b""

    partner = partner_answering(answer_when_all_are_there)
    count = all_there.parties
    gem = make_tenant()
    make_tenant_rule(gem, url=partner.url)
    record(gem, *(event(install_id=f"device-{number}") for number in range(count)))

    run_pump(until=all_ended(gem, count), open_transport=curl.CurlTransport)

    assert {postback.status for postback in postbacks_of(gem)} == {PostbackStatus.DELIVERED}
    assert len(partner.requests) == len(attempts_of(gem)) == count


def test_an_egress_proxy_that_is_away_uses_up_no_try(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    nowhere = parse_proxy("http://127.0.0.1:1")
    gem = make_tenant()
    make_tenant_rule(gem, url=ok_partner.url, retry_delays=[5])
    record(gem, event())

    run_pump(
        until=lambda: bool(attempts_of(gem)),
        open_transport=partial(RequestsTransport, proxy=nowhere),
    )

    (logged,) = attempts_of(gem)
    assert (logged.error, logged.outcome) == ("proxy", "retry")
    assert logged.detail == "The egress proxy could not be reached."
    assert postbacks_of(gem)[0].status == PostbackStatus.PENDING
    with tenant(gem.organization.pk):
        assert DuePostback.objects.get().tries == 0


def test_a_pump_waits_whatever_number_its_descriptors_have() -> None:
    """Thousands of open requests take the low numbers, beyond which `select` does not look."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4_096, hard), hard))
    taken = [os.dup(0) for _ in range(1_100)]
    try:
        with Wakeup() as wakeup, wakeup.sleeping():
            wakeup.notify(is_urgent=True, is_batch_full=False)
            assert wakeup.wait(5.0)
            assert not wakeup.wait(0.01)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
