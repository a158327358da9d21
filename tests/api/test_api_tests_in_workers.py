"""Test sends go through the worker: what waits, what is refused, and what becomes of a lost one."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.client import HTTPConnection
from threading import BoundedSemaphore, Event
from typing import Any

import pytest
from django.db import connection

from apps_registry.tenancy import tenant
from postbacks.delivery.http.destinations import parse_networks
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, DeliveryAttempt, Postback, TestSend, WorkerHeartbeat
from postbacks.models.heartbeats import CLUSTER
from postbacks.rulebook import test_send, test_sender
from tests import make
from tests.api.calling import PROBLEM, Answer, owner_of, run_as_owner_of_tables
from tests.database import as_role
from tests.delivery.partner_server import Partners
from tests.web.gunicorn_server import serve
from tests.workers import sending_tests

pytestmark = pytest.mark.django_db(transaction=True)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def partners(settings: Any) -> Iterator[Partners]:
    settings.ALLOW_PRIVATE_DESTINATIONS = parse_networks("127.0.0.0/8")
    started = Partners()
    yield started
    started.stop()


@pytest.fixture
def nobody_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let as many requests wait in this process as may."""
    monkeypatch.setattr(test_send, "_waiters", lambda: BoundedSemaphore(0))


def _test(made: make.Tenant, rule: CallbackRule) -> Answer:
    return owner_of(made).post(f"callback-rules/{rule.public_id}/test-send")


def _live() -> None:
    with as_role(roles.WORKER):
        WorkerHeartbeat.beat(CLUSTER)


@pytest.mark.parametrize("age", [None, 31])
def test_without_a_worker_it_is_503_at_once_and_nothing_is_begun(age: int | None) -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made)
    if age:
        _live()
        run_as_owner_of_tables(
            f"UPDATE worker_heartbeat SET beat_at = now() - interval '{age} seconds'"
        )

    answer = _test(made, rule)

    assert (answer.status, answer.content_type) == (503, PROBLEM)
    assert answer.headers["Retry-After"] == "5"
    assert "No worker is running" in answer.data["detail"]
    with tenant(made.organization.pk):
        assert not Postback.objects.exists()
        assert not TestSend.objects.exists()


def test_the_web_answers_while_24_tests_wait_for_a_server_that_never_does(
    partners: Partners,
) -> None:
    """One of gunicorn's two threads waits, the other tests are answered 202 at once."""
    tenants = [make.make_tenant() for _ in range(8)]
    release = Event()

    def hold(connection: socket.socket) -> None:
        hanging.next_request(connection)
        release.wait(30)

    hanging = partners.start(hold)
    rules = [make.make_tenant_rule(made, hanging.url()) for made in tenants]

    def ask(port: int, number: int) -> int:
        made, rule = tenants[number % 8], rules[number % 8]
        path = f"/api/v1/callback-rules/{rule.public_id}/test-send"
        return _call(port, "POST", path, made.api_token)[0]

    with (
        sending_tests(),
        contextmanager(serve)(ALLOW_PRIVATE_DESTINATIONS="127.0.0.0/8") as port,
        ThreadPoolExecutor(24) as pool,
    ):
        asked = [pool.submit(ask, port, number) for number in range(24)]
        while sum(_count_waiting(made) for made in tenants) < 24:
            time.sleep(0.05)
        alive = [_call(port, "GET", "/healthz")[0] for _ in range(3)]
        fourth = _call(
            port,
            "POST",
            f"/api/v1/callback-rules/{rules[0].public_id}/test-send",
            tenants[0].api_token,
        )
        still_waiting = sum(_count_waiting(made) for made in tenants)
        release.set()
        answers = [future.result() for future in asked]
        while any(_count_waiting(made) for made in tenants):
            time.sleep(0.05)

    assert alive == [200, 200, 200]
    assert still_waiting == 24
    assert (fourth[0], fourth[1]["Retry-After"]) == (429, "5")
    assert "3 tests of this organization wait for answers" in fourth[2]
    assert sorted(answers) == [200, *[202] * 23]
    with tenant(tenants[0].organization.pk):
        ended = Postback.objects.filter(test=True).values_list("status", flat=True)
        assert list(ended) == ["failed"] * 3


def _call(port: int, method: str, path: str, token: str = "") -> tuple[int, Message, str]:
    caller = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    caller.request(method, path, b"{}" if token else None, headers if token else {})
    answer = caller.getresponse()
    text = answer.read().decode()
    caller.close()
    return answer.status, answer.headers, text


def test_another_organizations_test_passes_those_that_hang(partners: Partners) -> None:
    made, other = make.make_tenant(), make.make_tenant()
    release = Event()

    def hold(connection: socket.socket) -> None:
        hanging.next_request(connection)
        release.wait(30)

    hanging, quick = partners.start(hold), partners.answering(OK)
    rule, quick_rule = (
        make.make_tenant_rule(made, hanging.url()),
        make.make_tenant_rule(other, quick.url()),
    )

    def ask(_number: int) -> Answer:
        try:
            return _test(made, rule)
        finally:
            connection.close()

    with sending_tests(), ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask, number) for number in range(3)]
        while hanging.connections < 3:
            time.sleep(0.01)
        passed = _test(other, quick_rule)
        waiting = _count_waiting(made)
        release.set()
        answers = [future.result() for future in asked]

    assert passed.data["success"]["ok"] is True
    assert waiting == 3
    assert [answer.data["outcome"] for answer in answers] == ["failed"] * 3


def _count_waiting(made: make.Tenant) -> int:
    with tenant(made.organization.pk):
        return TestSend.objects.filter(finished_at=None).count()


def test_what_takes_longer_is_answered_202_and_its_postback_shows_the_answer(
    partners: Partners, nobody_may_wait: None
) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, partner.url())
    _live()

    answer = _test(made, rule)
    waiting = owner_of(made).get(f"postbacks/{answer.data['postback']}")
    with tenant(made.organization.pk):
        sealed = TestSend.objects.get().sealed
    with sending_tests():
        while _count_waiting(made):
            time.sleep(0.01)
    ended = owner_of(made).get(f"postbacks/{answer.data['postback']}")

    assert (answer.status, answer.data["status"]) == (202, "pending")
    assert (waiting.data["status"], waiting.data["attempts"]) == ("pending", [])
    assert (ended.data["status"], len(ended.data["attempts"])) == ("delivered", 1)
    assert partner.url() not in sealed
    assert len(partner.requests) == 1
    with tenant(made.organization.pk):
        assert TestSend.objects.get().sealed == ""
        assert DeliveryAttempt.objects.count() == 1


@pytest.mark.parametrize(
    ("was_claimed", "has_log", "says"),
    [
        (True, True, "The worker that should have sent the test has ended."),
        (False, True, "No worker took the test within a minute."),
        (False, False, "No worker took the test within a minute."),
    ],
)
def test_a_test_whose_worker_died_is_not_sent_again_and_fails(
    nobody_may_wait: None, was_claimed: bool, has_log: bool, says: str
) -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made)
    _live()
    _test(made, rule)
    with as_role(roles.WORKER), tenant(made.organization.pk):
        row = TestSend.objects.get()
        row.made_at -= timedelta(seconds=61)
        row.claimed_at = row.made_at if was_claimed else None
        TestSend.objects.filter(pk=row.pk).update(made_at=row.made_at, claimed_at=row.claimed_at)
        Postback.objects.update(event_received_at=row.made_at)
        if not has_log:  # its organization is being removed
            Postback.objects.all().delete()

    with as_role(roles.WORKER):
        assert test_sender._claim(5) == []
        test_sender._tidy()

    with tenant(made.organization.pk):
        assert says in TestSend.objects.get().result["detail"]
        ended = list(Postback.objects.values_list("status", "reason"))
    assert ended == ([("failed", "internal")] if has_log else [])


def test_what_is_kept_of_a_test_goes_after_a_minute(nobody_may_wait: None) -> None:
    made = make.make_tenant()
    _live()
    _test(made, make.make_tenant_rule(made))
    with as_role(roles.WORKER), tenant(made.organization.pk):
        TestSend.objects.update(finished_at=datetime.now(UTC) - timedelta(seconds=59))
        test_sender._tidy()
        assert TestSend.objects.count() == 1
        TestSend.objects.update(finished_at=datetime.now(UTC) - timedelta(seconds=61))

    with as_role(roles.WORKER):
        test_sender._tidy()

    with tenant(made.organization.pk):
        assert not TestSend.objects.exists()
