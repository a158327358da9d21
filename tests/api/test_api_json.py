"""JSON at the doors that read it strictly: numbers without end, encodings, byte order marks."""

import codecs
import functools
import gzip
import json
from collections.abc import Callable

import pytest
from django.test import Client

from apps_registry.models import App, SdkKey
from apps_registry.tenancy import tenant as tenant_of
from tests import make
from tests.api.calling import PROBLEM, Answer, Program, owner_of

pytestmark = pytest.mark.django_db(transaction=True)

DOORS = [
    "callback-rules/translate",
    "callback-rules",
    "callback-rules/{rule}/test-send",
    "organization/import",
    "apps",
    "forget-device",
]
NO_NUMBERS = [
    "1e99999999999999999999",
    "-1e1000000000000000000",
    "1e-99999999999999999999",
    "0.5E+99999999999999999999",
    "9" * 5_000,
    "-" + "9" * 5_000,
]
EDGES = ["1e999999999999999999", "-1e-999999999999999999", "1e400", "9" * 4_300, "0." + "1" * 9_000]


def send(tenant: make.Tenant, door: str, body: bytes, **headers: str) -> Answer:
    with tenant_of(tenant.organization.pk):
        rule = make.make_rule() if "{rule}" in door else None
    secret = tenant.sdk_key if door == "forget-device" else tenant.api_token
    return Program(secret).send("POST", door.format(rule=rule and rule.public_id), body, **headers)


@pytest.mark.parametrize("door", DOORS)
def test_a_number_that_nothing_can_hold_is_named_with_the_limit(door) -> None:
    tenant = make.make_tenant()
    for number in NO_NUMBERS:
        for body in ('{"url": %s}', '{"a": [{"b": %s}]}', "%s"):
            answer = send(tenant, door, (body % number).encode())

            assert (answer.status, answer.content_type) == (400, PROBLEM), (number[:30], body)
            detail = answer.data["detail"]
            assert f"“{number[:40]}" in detail
            assert "4,300 digits" in detail or "999999999999999999" in detail
            assert "sys." not in detail
            assert len(detail) < 300


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("field", ["url", "install_id", "name", "platform", "mode", "format"])
def test_the_largest_numbers_are_judged_by_their_field(door, field) -> None:
    tenant = make.make_tenant()
    for number in EDGES:
        for body in ('{"%s": %s}', '{"%s": [%s]}'):
            answer = send(tenant, door, (body % (field, number)).encode())

            # A whole number may be a text, such as a URL to translate.
            assert answer.status in {200, 400, 403}, (number[:30], answer.data)


def test_a_public_key_gets_the_same_answer() -> None:
    tenant = make.make_tenant()
    with tenant_of(tenant.organization.pk):
        key = make.make_sdk_key(tenant.app, kind=SdkKey.Kind.APP)

    answer = Program(key).post("forget-device", b'{"install_id": 1e99999999999999999999}')

    assert answer.status == 400
    assert "1e99999999999999999999" in answer.data["detail"]


# Encodings


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", " gzip "])
def test_a_gzipped_body_is_read(encoding) -> None:
    tenant = make.make_tenant()
    body = gzip.compress(b'{"name": "Second", "platform": "ios"}')

    answer = send(tenant, "apps", body, **{"Content-Encoding": encoding})

    assert answer.status == 201, answer.data
    with tenant_of(tenant.organization.pk):
        assert App.objects.filter(name="Second").exists()


def test_a_gzipped_body_is_read_at_the_other_doors() -> None:
    tenant = make.make_tenant()
    zipped = {"Content-Encoding": "gzip"}
    exported = owner_of(tenant).get("organization/export").data

    forgotten = send(tenant, "forget-device", gzip.compress(b'{"install_id": "i"}'), **zipped)
    imported = send(
        tenant, "organization/import", gzip.compress(json.dumps(exported).encode()), **zipped
    )

    assert (forgotten.status, imported.status) == (202, 200), imported.data


@functools.cache
def _bomb() -> bytes:
    """Return 200 MB in 200 kB, which are not made by each process that reads this module."""
    return gzip.compress(b" " * 200 * 1024 * 1024)


@pytest.mark.parametrize("door", ["apps", "forget-device", "organization/import"])
@pytest.mark.parametrize(
    ("body", "encoding", "status", "words"),
    [
        (b"{}", "br", 415, "gzip"),
        (b"{}", "deflate", 415, "gzip"),
        (b"{}", "gzip, gzip", 415, "gzip"),
        (b"{}", "gzip", 400, "not valid gzip"),
        (gzip.compress(b'{"a": 1}')[:-9], "gzip", 400, "too early"),
        (gzip.compress(b'{"a": 1}') + b"more", "gzip", 400, "goes on"),
        (_bomb, "gzip", 413, "5 MB"),
    ],
    ids=["br", "deflate", "twice", "no gzip", "cut off", "goes on", "bomb"],
)
def test_a_bad_encoding_is_refused_in_words(door, body, encoding, status, words) -> None:
    sent = body() if callable(body) else body
    answer = send(make.make_tenant(), door, sent, **{"Content-Encoding": encoding})

    assert (answer.status, answer.content_type) == (status, PROBLEM)
    assert words in answer.data["detail"]


# Byte order marks, and keys


def _reports(tenant: make.Tenant, path: str, body: bytes) -> str:
    answer = Client().generic(
        "POST",
        path,
        body,
        "application/json",
        headers={"Authorization": f"Bearer {tenant.sdk_key}"},
    )
    assert answer.status_code == 400, answer.content
    data = json.loads(answer.content)
    return str(data.get("detail") or data["message"])


@pytest.mark.parametrize(
    "details",
    [
        lambda tenant, body: _reports(tenant, "/api/v1/events", body),
        lambda tenant, body: _reports(tenant, "/api/v1/touchpoints", body),
        lambda tenant, body: _reports(tenant, "/v0/event", body),
        lambda tenant, body: send(tenant, "forget-device", body).data["detail"],
        lambda tenant, body: send(tenant, "apps", body).data["detail"],
        lambda tenant, body: send(tenant, "organization/import", body).data["detail"],
    ],
    ids=["events", "touchpoints", "tenjin", "forget-device", "apps", "import"],
)
def test_a_byte_order_mark_in_the_wrong_place_is_named(
    details: Callable[[make.Tenant, bytes], str],
) -> None:
    tenant = make.make_tenant()
    for body in (codecs.BOM_UTF8 * 3 + b'{"a": 1}', b'{"a": ' + codecs.BOM_UTF8 + b"1}"):
        detail = details(tenant, body)

        assert "U+FEFF" in detail, detail
        assert "\ufeff" not in detail
        assert "utf-8-sig" not in detail


@pytest.mark.parametrize("door", ["apps", "forget-device", "organization/import"])
def test_a_doubled_byte_order_mark_is_named(door) -> None:
    answer = send(make.make_tenant(), door, codecs.BOM_UTF8 * 2 + b"{}")

    assert (answer.status, "U+FEFF" in answer.data["detail"]) == (400, True), answer.data


def test_a_repeated_key_among_many_is_named_and_cut() -> None:
    members = "".join(f'"{n}": 0, ' for n in range(300_000))  # each key is looked at once
    body = "{" + members + ('"' + "k" * 900 + '": 0, ') * 2 + '"z": 0}'

    answer = send(make.make_tenant(), "forget-device", body.encode())

    assert answer.status == 400
    assert "stands twice" in answer.data["detail"]
    assert len(answer.data["detail"]) < 300


def test_of_thousands_of_unknown_fields_a_hundred_are_named() -> None:
    body = "{" + ",".join(f'"fild_{n}": 0' for n in range(20_000)) + "}"

    answer = send(make.make_tenant(), "apps", body.encode())

    unknown = [error for error in answer.data["errors"] if error["pointer"].startswith("/fild_")]
    assert (answer.status, len(unknown)) == (400, 100), answer.data["errors"][-3:]
