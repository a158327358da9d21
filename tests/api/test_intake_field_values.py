"""Values as the field sends them: read as they are meant, or refused with what to send."""

import json
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client

from apps_registry.tenancy import tenant as tenant_of
from postbacks.models import Event
from tests import make

pytestmark = pytest.mark.django_db(transaction=True)

MARK = b"\xef\xbb\xbf"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def tenant() -> make.Tenant:
    return make.make_tenant()


def send(
    path: str, tenant: make.Tenant, body: object, *, kind: str = "application/json", key: str = ""
) -> HttpResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    bearer = {"Authorization": f"Bearer {key or tenant.sdk_key}"}
    return Client().post(path, content, content_type=kind, headers=bearer)


def post(tenant: make.Tenant, data: object) -> HttpResponse:
    return send("/api/v1/events", tenant, data)


def events_of(tenant: make.Tenant) -> list[Event]:
    with tenant_of(tenant.organization.pk):
        return list(Event.objects.order_by("id"))


def event(**fields: object) -> dict[str, object]:
    return {"event_id": str(uuid4()), "event_name": "purchase", **fields}


# A byte order mark


def with_mark(document: object) -> bytes:
    return MARK + json.dumps(document).encode()


@pytest.mark.parametrize("path", ["/api/v1/events", "/v0/event"])
def test_a_byte_order_mark_before_an_event_is_skipped(tenant, path) -> None:
    body = with_mark({"event_name": "purchase", "event": "purchase"})

    assert send(path, tenant, body).status_code in {200, 202}
    assert [stored.event_name for stored in events_of(tenant)] == ["purchase"]


def test_a_byte_order_mark_before_a_form_is_skipped(tenant) -> None:
    assert send("/v0/event", tenant, MARK + b"event=won", kind=FORM).status_code == 200
    assert [stored.event_name for stored in events_of(tenant)] == ["won"]


def test_a_byte_order_mark_is_skipped_at_the_other_doors(tenant) -> None:
    with tenant_of(tenant.organization.pk):
        link = make.make_link(make.make_campaign(tenant.app, make.make_partner()))
    app = {"name": "Second", "platform": "ios"}

    answers = [
        send("/api/v1/touchpoints", tenant, with_mark({"link": link.token})),
        send("/api/v1/forget-device", tenant, with_mark({"install_id": "i"})),
        send("/api/v1/apps", tenant, with_mark(app), key=tenant.api_token),
        send("/api/v1/organization/import", tenant, with_mark({}), key=tenant.api_token),
        send("/.well-known/skadnetwork/report-attribution/", tenant, with_mark({"app-id": 1})),
    ]

    assert [answer.status_code for answer in answers] == [202, 202, 201, 400, 200]
    assert "JSON" not in answers[3].text  # it was read, and holds nothing


@pytest.mark.parametrize("body", [MARK, MARK + b"  ", b" " + MARK + b"{}", MARK * 2 + b"{}"])
def test_a_mark_alone_or_elsewhere_is_no_json(tenant, body) -> None:
    assert post(tenant, body).status_code == 400


# Addresses


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("::ffff:222.1.41.90", "222.1.41.90"),
        ("::FFFF:de01:295a", "222.1.41.90"),
        ("0:0:0:0:0:ffff:222.1.41.90", "222.1.41.90"),
        ("2001:DB8::7", "2001:DB8::7"),
        ("222.1.41.90", "222.1.41.90"),
    ],
)
def test_an_ipv4_address_inside_ipv6_is_an_ipv4_address(tenant, sent, stored) -> None:
    assert post(tenant, event(ip_address=sent)).status_code == 202
    assert events_of(tenant)[0].fields["ip_address"] == stored


# Names


@pytest.mark.parametrize(
    "name", ["می\u200cخرد", "👩\u200d👩\u200d👧", "prix\u00a0réduit", "1\u202f000", "क्\u200dष"]
)
def test_a_name_with_joiners_or_no_break_spaces_is_taken_as_it_is(tenant, name) -> None:
    assert post(tenant, event(event_name=name)).status_code == 202
    assert events_of(tenant)[0].event_name == name


def test_a_rule_can_be_triggered_by_such_a_name(tenant) -> None:
    rule = {"name": "Buys", "url": "https://ads.example.com/", "triggers": ["می\u200cخرد"]}

    answer = send("/api/v1/callback-rules", tenant, rule, key=tenant.api_token)

    assert (answer.status_code, answer.json()["triggers"]) == (201, ["می\u200cخرد"])


def test_a_user_with_such_a_name_can_be_forgotten(tenant) -> None:
    answer = send("/api/v1/forget-device", tenant, {"customer_user_id": "می\u200cخرد"})

    assert answer.status_code == 202
