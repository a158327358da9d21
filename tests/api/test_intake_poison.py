"""What PostgreSQL could not hold is refused by itself; good neighbors are taken."""

import json
import threading
import uuid

import pytest
from django.db import connection
from django.test import Client

from apps_registry.tenancy import tenant
from postbacks.models import Event
from tests.make import Tenant, make_tenant

pytestmark = pytest.mark.django_db(transaction=True)


def post(of: Tenant, body: str) -> tuple[int, dict[str, object]]:
    answer = Client().post(
        "/api/v1/events",
        data=body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {of.sdk_key}"},
    )
    return answer.status_code, json.loads(answer.content)


@pytest.mark.parametrize(
    "poison",
    [
        '"params": {"a": 0.' + "1" * 16_500 + "}",
        '"params": {"a": 1e99999999}',
        '"params": {"a": 1e-99999999}',
        '"params": {"a": 123456789012345678901234567890}',
        '"event_time": 1e9999999',
        '"event_time": -1e9999999',
        '"event_time": 123456789012345678901234567890',
        '"revenue": 1e9999999',
        '"revenue": "NaN"',
        '"revenue": "Infinity"',
        '"revenue": 0.00000000000000000000001',
        '"price": 1e400',
        '"quantity": 99999999999999999999',
        '"params": {"a": "\\u0000"}',
        '"params": {"\\u0000": 1}',
        '"customer_user_id": "a\\u0000b"',
        '"sharing_opt_out": ["a\\u0000b"]',
        '"event_name": "a\\u0000b"',
        '"event_name": "' + "x" * 65 + '"',
        '"params": {"a": "' + "x" * 33_000 + '"}',
    ],
)
def test_a_poisonous_event_is_refused_alone(poison: str) -> None:
    gem = make_tenant()
    bad = "{" + ('"event_name": "bad", ' if "event_name" not in poison else "") + poison + "}"

    status, receipt = post(gem, f'[{bad}, {{"event_name": "good"}}]')

    assert (status, receipt["accepted"]) == (202, 1), receipt
    with tenant(gem.organization.pk):
        assert [event.event_name for event in Event.objects.all()] == ["good"]


def test_two_that_send_the_same_events_in_another_order_both_get_their_answer() -> None:
    gem = make_tenant()
    events = [{"event_id": str(uuid.uuid4()), "event_name": "open"} for _ in range(300)]
    statuses: list[int] = []
    start = threading.Barrier(2)

    def send(body: str) -> None:
        start.wait(10)
        statuses.append(post(gem, body)[0])
        connection.close()

    for _ in range(4):
        bodies = [json.dumps(events), json.dumps(events[::-1])]
        threads = [threading.Thread(target=send, args=[body]) for body in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        for event in events:
            event["event_id"] = str(uuid.uuid4())

    assert statuses == [202] * 8
