"""Errors of the management API: always problem+json, always with the place."""

import json
import threading

import pytest
from django.db import connection
from django.test import Client, RequestFactory

from apps_registry.models import Partner
from apps_registry.tenancy import tenant as tenant_of
from postbacks.api import problems
from tests import make
from tests.api.calling import DRAFT, PROBLEM, owner_of
from tests.database import wait_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

LISTS = [
    "apps",
    "bundle-ids",
    "sdk-keys",
    "partners",
    "campaigns",
    "callback-rules",
    "events",
    "postbacks",
]


@pytest.mark.parametrize("path", LISTS)
def test_an_unknown_parameter_is_refused_by_name(path) -> None:
    answer = owner_of(make.make_tenant()).get(path, colour="red")

    assert (answer.status, answer.content_type) == (400, PROBLEM)
    assert "“colour”" in answer.data["detail"]
    assert [error["parameter"] for error in answer.data["errors"]] == ["colour"]


@pytest.mark.parametrize("name", ["limit", "format", "app"])
def test_a_single_row_takes_no_parameters(name) -> None:
    tenant = make.make_tenant()

    answer = owner_of(tenant).get(f"apps/{tenant.app.public_id}", **{name: "1"})

    assert (answer.status, answer.data["errors"][0]["parameter"]) == (400, name)


def test_a_parameter_that_stands_twice_is_refused() -> None:
    answer = owner_of(make.make_tenant()).get("/api/v1/events?limit=1&limit=2")

    assert (answer.status, answer.data["errors"][0]["parameter"]) == (400, "limit")


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("events", {"app": "x"}),
        ("events", {"event_id": "1"}),
        ("events", {"since": "yesterday"}),
        ("events", {"event_name": ""}),
        ("events", {"event_name": "a\0b"}),
        ("postbacks", {"rule": "x"}),
        ("apps", {"status": "sleeping"}),
        ("sdk-keys", {"kind": "x"}),
    ],
)
def test_a_wrong_value_of_a_parameter_is_refused(path, query) -> None:
    answer = owner_of(make.make_tenant()).get(path, **query)

    assert (answer.status, answer.content_type) == (400, PROBLEM)
    assert [error["parameter"] for error in answer.data["errors"]] == list(query)


@pytest.mark.parametrize("path", ["apps", "bundle-ids", "sdk-keys", "partners", "campaigns"])
def test_an_unknown_field_is_refused_by_name(path) -> None:
    answer = owner_of(make.make_tenant()).post(path, {"colour": "red"})

    assert (answer.status, answer.content_type) == (400, PROBLEM)
    assert "/colour" in answer.pointers()
    assert "“colour”" in answer.details()


def test_a_mistyped_field_is_answered_with_the_nearest_one() -> None:
    answer = owner_of(make.make_tenant()).post("callback-rules", {**DRAFT, "trigger": ["x"]})

    assert answer.pointers() == ["/trigger"]
    assert "Did you mean triggers?" in answer.details()


def test_all_mistakes_are_named_at_once() -> None:
    answer = owner_of(make.make_tenant()).post(
        "callback-rules", {"url": 7, "colour": "red", "triggers": [1, ""], "method": "X"}
    )

    assert {"/name", "/colour", "/triggers/1", "/method"} <= set(answer.pointers())


@pytest.mark.parametrize("data", [[], "text", 7, None])
def test_a_body_that_is_no_object_is_refused(data) -> None:
    answer = owner_of(make.make_tenant()).post("apps", json.dumps(data).encode())

    assert (answer.status, answer.content_type) == (400, PROBLEM)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"name": NaN}',
        b'{"name": "A", "name": "B", "platform": "ios"}',
        b"[" * 100_000,
        b'{"name": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
)
def test_bad_json_is_refused(body) -> None:
    tenant = make.make_tenant()

    answer = owner_of(tenant).post("apps", body)

    assert (answer.status, answer.content_type) == (400, PROBLEM)
    assert len(owner_of(tenant).rows("apps")) == 1


def test_a_nul_character_is_refused_at_its_field() -> None:
    answer = owner_of(make.make_tenant()).post("apps", {"name": "a\0b", "platform": "ios"})

    assert (answer.status, answer.pointers()) == (400, ["/name"])


@pytest.mark.parametrize("key", ["a\0", "a\ud800"])
@pytest.mark.parametrize("field", ["headers", "event_map"])
def test_a_key_that_is_no_text_is_refused(field, key) -> None:
    answer = owner_of(make.make_tenant()).post("callback-rules", {**DRAFT, field: {key: "b"}})

    assert (answer.status, answer.content_type) == (400, PROBLEM)


def test_a_body_over_five_megabytes_is_refused() -> None:
    answer = owner_of(make.make_tenant()).post("apps", b'"' + b"x" * 5 * 1024 * 1024 + b'"')

    assert (answer.status, answer.content_type) == (413, PROBLEM)


def test_a_body_that_is_not_called_json_is_refused() -> None:
    tenant = make.make_tenant()
    client = Client(headers={"Authorization": f"Bearer {tenant.api_token}"})

    answer = client.post("/api/v1/apps", {"name": "A"})

    assert (answer.status_code, answer["Content-Type"]) == (415, PROBLEM)


@pytest.mark.parametrize(
    "path", ["/api/v1/nothing", "/api/nothing", "/api/v1/apps/", "/api/v1/apps/7", "/api/v2/apps"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_address_is_404(path, method) -> None:
    answer = owner_of(make.make_tenant()).send(method, path)

    assert (answer.status, answer.content_type) == (404, PROBLEM)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "apps"),
        ("PUT", "events"),
        ("POST", "postbacks"),
        ("OPTIONS", "apps"),
        ("PUT", "callback-rules/preview"),
    ],
)
def test_a_method_that_an_address_does_not_have_is_405(method, path) -> None:
    answer = owner_of(make.make_tenant()).send(method, path)

    assert (answer.status, answer.content_type) == (405, PROBLEM)
    assert method not in answer.headers["Allow"]


def test_head_is_answered_like_get_without_a_body() -> None:
    tenant = make.make_tenant()
    client = Client(headers={"Authorization": f"Bearer {tenant.api_token}"})

    answer = client.head("/api/v1/apps")

    assert (answer.status_code, answer.content) == (200, b"")


def test_who_loses_a_race_for_a_name_is_told_to_try_again() -> None:
    tenant = make.make_tenant()
    answers = []

    def lose() -> None:
        answers.append(owner_of(tenant).post("partners", {"name": "Unity Ads"}))
        connection.close()

    with tenant_of(tenant.organization.pk):
        Partner.objects.create(name="Unity Ads")  # not committed yet: the other sees no rival
        rival = threading.Thread(target=lose)
        rival.start()
        wait_for_a_lock()
    rival.join(timeout=10)

    assert (answers[0].status, answers[0].content_type) == (409, PROBLEM)
    assert len(owner_of(tenant).rows("partners")) == 1


def test_a_host_that_is_not_ours_is_answered_with_a_problem() -> None:
    answer = Client(headers={"Host": "evil.example.com"}).get("/api/v1/apps")

    assert (answer.status_code, answer["Content-Type"]) == (400, PROBLEM)


def test_a_mistake_of_ours_is_answered_with_a_problem_that_tells_nothing() -> None:
    request = RequestFactory().get("/api/v1/apps")

    answer = problems.server_error(request)

    assert (answer.status_code, answer["Content-Type"]) == (500, PROBLEM)
    assert "Traceback" not in answer.text


def test_without_a_database_the_answer_says_when_to_come_again() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    host = connection.settings_dict["HOST"]
    connection.close()
    connection.settings_dict["HOST"] = "/nonexistent"
    try:
        answer = api.get("apps")
    finally:
        connection.close()
        connection.settings_dict["HOST"] = host

    assert (answer.status, answer.content_type) == (503, PROBLEM)
    assert int(answer.headers["Retry-After"]) > 0
