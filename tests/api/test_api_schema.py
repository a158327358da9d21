"""The API's description: complete, valid, and readable without a key or a CDN."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from io import StringIO

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client

from postbacks.api import schema
from postbacks.intake.events.fields import EventFields

_BY_SDK_KEY = {
    ("/api/v1/events", "post"),
    ("/api/v1/forget-device", "post"),
    ("/api/v1/forget-device/{id}", "get"),
    ("/api/v1/touchpoints", "post"),
}

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_document_is_valid_and_made_without_a_warning() -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=StringIO())


def test_the_document_is_served_without_a_key() -> None:
    answer = Client().get("/api/schema/")

    assert answer.status_code == 200
    assert answer.json()["openapi"] == "3.1.0"


def test_the_document_is_made_once_whoever_asks_at_the_same_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schema, "_document", cache(schema._document.__wrapped__))

    def ask(query: str) -> tuple[int, str]:
        answer = Client().get(f"/api/schema/{query}")
        return answer.status_code, answer.content.decode()

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(ask, ["?version=other", "?lang=de", *[""] * 6]))

    assert [status for status, _ in answers] == [200]


def test_the_document_says_what_answers_are_final_and_which_are_tried_again() -> None:
    schemas = Client().get("/api/schema/").json()["components"]["schemas"]

    marks = [schemas["Success"]["properties"][name] for name in ("final", "retry")]
    assert [mark["type"] for mark in marks] == ["array", "array"]
    assert all("json_path" in str(mark["items"]) and mark["description"] for mark in marks)


def test_the_document_is_yaml_for_those_who_ask() -> None:
    answer = Client(headers={"Accept": "application/yaml"}).get("/api/schema/")

    assert answer.content.startswith(b"openapi: 3.1.0")


def test_each_operation_says_what_it_is_about() -> None:
    paths = Client().get("/api/schema/").json()["paths"]

    descriptions = [
        operation["description"] for methods in paths.values() for operation in methods.values()
    ]

    repeated = {text for text, count in Counter(descriptions).items() if count > 1}
    assert not repeated
    assert not [text for text in descriptions if "{one}" in text or "{many}" in text]
    assert (
        "Answer one page of the audit entries that the filters leave; all of them as a file."
        in (descriptions)
    )
    assert "Make a new set of attribution settings." in descriptions


def test_every_address_of_the_contract_is_described() -> None:
    paths = Client().get("/api/schema/").json()["paths"]

    assert {path.removeprefix("/api/v1/"): set(methods) for path, methods in paths.items()} == {
        "alerts": {"get", "post"},
        "alerts/preview": {"post"},
        "alerts/{id}": {"get", "put", "patch", "delete"},
        "alerts/{id}/incidents": {"get"},
        "alerts/{id}/notices": {"get"},
        "alerts/{id}/test": {"post"},
        "api-tokens": {"get", "post"},
        "api-tokens/{id}": {"get", "delete"},
        "apps": {"get", "post"},
        "apps/{id}": {"get", "put", "patch", "delete"},
        "audit-log": {"get"},
        "audit-log/{id}": {"get"},
        "bundle-ids": {"get", "post"},
        "bundle-ids/{id}": {"get", "delete"},
        "callback-rules": {"get", "post"},
        "callback-rules/preview": {"post"},
        "callback-rules/translate": {"post"},
        "callback-rules/{id}": {"get", "put", "patch", "delete"},
        "callback-rules/{id}/copy": {"post"},
        "callback-rules/{id}/dry-run": {"post", "get", "delete"},
        "callback-rules/{id}/held": {"get", "post"},
        "callback-rules/{id}/test-send": {"post"},
        "callback-rules/{id}/versions": {"get"},
        "callback-rules/{id}/versions/{number}": {"get"},
        "callback-rules/{id}/versions/{number}/restore": {"post"},
        "campaigns": {"get", "post"},
        "click-signing-keys": {"get", "post"},
        "click-signing-keys/{id}": {"get", "delete"},
        "campaigns/{id}": {"get", "put", "patch", "delete"},
        "events": {"get", "post"},
        "events/{event_id}": {"get"},
        "events/{event_id}/explain": {"get"},
        "forget-device": {"post"},
        "forget-device/{id}": {"get"},
        "macros": {"get"},
        "organization": {"get", "patch"},
        "organization/export": {"get"},
        "organization/import": {"post"},
        "organization/signing-secrets": {"get"},
        "organization/signing-secrets/rotate": {"post"},
        "organization/signing-secrets/{id}": {"get"},
        "partner-templates": {"get"},
        "partner-templates/{name}": {"get"},
        "attribution-settings": {"get", "post"},
        "attribution-settings/{id}": {"get", "put", "patch", "delete"},
        "touchpoints": {"get", "post"},
        "touchpoints/{id}": {"get"},
        "discrepancies": {"get", "post"},
        "discrepancies/{id}": {"get", "delete"},
        "discrepancies/{id}/cancel": {"post"},
        "discrepancies/{id}/lines": {"get"},
        "saved-views": {"get", "post"},
        "saved-views/{id}": {"get", "delete"},
        "export-schedules": {"get", "post"},
        "export-schedules/{id}": {"get", "put", "patch", "delete"},
        "export-schedules/{id}/run": {"post"},
        "exports": {"get", "post"},
        "exports/{id}": {"get", "delete"},
        "exports/{id}/cancel": {"post"},
        "exports/{id}/download": {"get"},
        "search": {"get"},
        "devices/explain": {"get"},
        "installs/{id}/explain": {"get"},
        "refused-events": {"get"},
        "refused-events/{id}": {"get"},
        "refused-events/counts": {"get"},
        "installs": {"get"},
        "installs/{id}": {"get"},
        "invitations": {"get", "post"},
        "invitations/{id}": {"get", "delete"},
        "metrics": {"get"},
        "members": {"get"},
        "members/{id}": {"get", "patch", "delete"},
        "partners": {"get", "post"},
        "partners/{id}": {"get", "put", "patch", "delete"},
        "postbacks": {"get"},
        "postbacks/{id}": {"get"},
        "postbacks/{id}/resend": {"post"},
        "replays": {"get", "post"},
        "replays/{id}": {"get"},
        "replays/{id}/cancel": {"post"},
        "skan-postbacks": {"get"},
        "skan-postbacks/{id}": {"get"},
        "sdk-keys": {"get", "post"},
        "sdk-keys/{id}": {"get", "delete"},
        "sdk-keys/{id}/rotate": {"post"},
        "test-devices": {"get", "post"},
        "test-devices/{id}": {"get", "delete"},
        "tracking-links": {"get", "post"},
        "tracking-links/{id}": {"get", "put", "patch", "delete"},
    }


def test_reporting_is_described_from_the_fields_that_are_checked() -> None:
    post = Client().get("/api/schema/").json()["paths"]["/api/v1/events"]["post"]

    forms = post["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert set(forms[0]["properties"]) == set(EventFields.__struct_fields__)
    assert forms[0]["required"] == ["event_name"]
    assert post["security"] == [{"SDK-key": []}]
    assert {"202", "400", "401", "403", "413", "415", "422", "503"} <= post["responses"].keys()


def test_everything_else_takes_an_api_token_and_answers_problems() -> None:
    paths = Client().get("/api/schema/").json()["paths"]

    for path, methods in paths.items():
        for method, operation in methods.items():
            if (path, method) not in _BY_SDK_KEY:
                assert operation["security"] == [{"API-token": []}], (path, method)
            assert {"400", "401", "403"} <= operation["responses"].keys()
            assert list(operation["responses"]["400"]["content"]) == ["application/problem+json"]


def test_filters_are_described() -> None:
    listing = Client().get("/api/schema/").json()["paths"]["/api/v1/events"]["get"]

    assert {parameter["name"] for parameter in listing["parameters"]} == {
        "app",
        "event_id",
        "event_name",
        "customer_user_id",
        "install_id",
        "since",
        "until",
        "limit",
        "cursor",
    }


def test_the_pages_load_nothing_from_elsewhere() -> None:
    answer = Client().get("/api/docs/")

    addresses = re.findall(r"(?:src|href)=\"([^\"]+)\"", answer.text)
    assert answer.status_code == 200
    assert addresses
    for address in addresses:
        assert address.startswith("/static/"), address
        assert finders.find(address.removeprefix("/static/")), address


@pytest.mark.parametrize("path", ["/api/docs", "/api/schema"])
def test_a_forgotten_slash_leads_on(path) -> None:
    assert Client().get(path)["Location"] == f"{path}/"
