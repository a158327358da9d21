"""A program that uses the management API, and rows that only workers write."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import connection
from django.test import Client

from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, DeliveryAttempt, Event, Postback
from postbacks.values.uuid7 import uuid7
from tests import database, make

PROBLEM = "application/problem+json"
DRAFT = {"name": "Purchases", "url": "https://ads.example.com/?event={{event_name}}"}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    headers: Any
    data: Any

    def pointers(self) -> list[str]:
        return [error["pointer"] for error in self.data["errors"]]

    def details(self) -> str:
        return " ".join(error["detail"] for error in self.data["errors"])


class Program:
    """Calls the API with a token."""

    def __init__(self, token: str) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {token}"})

    def get(self, path: str, **query: Any) -> Answer:
        return _answer(self.client.get(_address(path), query))

    def send(self, method: str, path: str, data: Any = None, **headers: str) -> Answer:
        return _answer(
            self.client.generic(
                method, _address(path), _json(data), "application/json", headers=headers
            )
        )

    def post(self, path: str, data: Any = None) -> Answer:
        return self.send("POST", path, data)

    def patch(self, path: str, data: Any = None) -> Answer:
        return self.send("PATCH", path, data)

    def put(self, path: str, data: Any = None) -> Answer:
        return self.send("PUT", path, data)

    def delete(self, path: str) -> Answer:
        return _answer(self.client.delete(_address(path)))

    def rows(self, path: str, **query: Any) -> list[Any]:
        answer = self.get(path, **query)
        assert answer.status == 200, answer.data
        return answer.data["results"]


def owner_of(tenant_: make.Tenant) -> Program:
    return Program(tenant_.api_token)


def program_of(role: Role, tenant_: make.Tenant) -> Program:
    with tenant(tenant_.organization.pk):
        return Program(make.make_api_token(role))


def report(sdk_key: str, **fields: Any) -> str:
    """Report one event as an SDK does; return its id."""
    event = {"event_id": str(uuid4()), "event_name": "purchase", **fields}
    answer = Program(sdk_key).post("events", event)
    assert answer.status == 202, answer.data
    return answer.data["ids"][0]


def make_postback(
    rule: CallbackRule, event_id: str | UUID, *, attempts: int = 0, **fields: Any
) -> Postback:
    """Write a postback as a worker would."""
    with database.as_role(roles.WORKER), tenant(rule.organization_id):
        event = Event.objects.get(event_id=event_id)
        postback = Postback.objects.create(
            **{
                "public_id": uuid7(event.received_at),
                "rule": rule,
                "rule_version": rule.version,
                "app_id": event.app_id,
                "event": event,
                "sdk_event_id": event.event_id,
                "event_received_at": event.received_at,
                "status": "pending",
                "created_at": datetime.now(UTC),
                **fields,
            }
        )
        for number in range(1, attempts + 1):
            _make_attempt(postback, number)
    return postback


def run_as_owner_of_tables(statement: str) -> None:
    with database.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute(statement)


def _make_attempt(postback: Postback, number: int) -> None:
    DeliveryAttempt.objects.create(
        postback=postback,
        event_received_at=postback.event_received_at,
        number=number,
        kind="auto",
        started_at=datetime(2026, 5, 4, 10, 0, number, tzinfo=UTC),
        duration_ms=12,
        outcome="failed",
        status_code=500,
        error="server_error",
        detail="The partner answered 500.",
        request={
            "method": "GET",
            "url": "https://ads.example.com/",
            "headers": {"A": "b"},
            "body": None,
        },
        response={"headers": {"Content-Type": "text/plain"}, "body": "oops"},
    )


def _address(path: str) -> str:
    return path if path.startswith(("/", "http")) else f"/api/v1/{path}"


def _json(data: Any) -> bytes:
    if isinstance(data, bytes):
        return data
    return b"" if data is None else json.dumps(data).encode()


def _answer(response: Any) -> Answer:
    content_type = response.headers.get("Content-Type", "")
    data = response.json() if "json" in content_type and response.content else None
    return Answer(response.status_code, content_type, response.headers, data)
