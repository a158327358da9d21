"""Postbacks with their attempts over the API."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from apps_registry.tenancy import tenant as tenant_of
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, DeliveryAttempt, DuePostback, Postback
from tests import database, make
from tests.api.calling import make_postback, owner_of, report

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tenant() -> make.Tenant:
    return make.make_tenant()


def rule_of(tenant: make.Tenant) -> CallbackRule:
    with tenant_of(tenant.organization.pk):
        return make.make_rule()


def test_a_postback_has_the_contracts_shape(tenant) -> None:
    rule, event_id = rule_of(tenant), report(tenant.sdk_key)
    delivered_at = datetime(2026, 5, 4, 10, 0, 0, 123000, tzinfo=UTC)
    postback = make_postback(
        rule, event_id, attempts=1, status="delivered", delivered_at=delivered_at
    )

    answer = owner_of(tenant).get(f"postbacks/{postback.public_id}")

    assert answer.status == 200
    assert answer.data.pop("created_at").endswith("Z")
    assert answer.data == {
        "id": str(postback.public_id),
        "rule": str(rule.public_id),
        "rule_version": 1,
        "event_id": event_id,
        "status": "delivered",
        "reason": None,
        "test": False,
        "next_attempt_at": None,
        "delivered_at": "2026-05-04T10:00:00.123Z",
        "attempts": [
            {
                "number": 1,
                "rule_version": 1,
                "kind": "auto",
                "started_at": "2026-05-04T10:00:01.000Z",
                "duration_ms": 12,
                "timings": None,
                "outcome": "failed",
                "status_code": 500,
                "error": "server_error",
                "detail": "The partner answered 500.",
                "request": {
                    "method": "GET",
                    "url": "https://ads.example.com/",
                    "headers": {"A": "b"},
                    "body": None,
                },
                "response": {"headers": {"Content-Type": "text/plain"}, "body": "oops"},
                "differences": [],
            }
        ],
    }


def test_the_list_shows_the_same_postbacks_with_their_own_attempts(tenant) -> None:
    rule = rule_of(tenant)
    first = make_postback(rule, report(tenant.sdk_key), attempts=3, status="failed", reason="x")
    second = make_postback(rule, report(tenant.sdk_key))
    api = owner_of(tenant)

    rows = api.rows("postbacks")

    assert rows == [api.get(f"postbacks/{postback.public_id}").data for postback in (second, first)]
    assert [attempt["number"] for attempt in rows[1]["attempts"]] == [1, 2, 3]
    assert (rows[0]["attempts"], rows[1]["reason"]) == ([], "x")


def test_a_page_takes_a_fixed_number_of_statements(tenant, django_assert_max_num_queries) -> None:
    rule = rule_of(tenant)
    for _ in range(5):
        make_postback(rule, report(tenant.sdk_key), attempts=2)

    with django_assert_max_num_queries(20):
        assert len(owner_of(tenant).rows("postbacks")) == 5


def test_a_postback_whose_id_carries_no_time_is_found_too(tenant) -> None:
    postback = make_postback(rule_of(tenant), report(tenant.sdk_key), public_id=uuid4())

    assert owner_of(tenant).get(f"postbacks/{postback.public_id}").status == 200


@pytest.mark.parametrize(
    "unknown", ["ffffffff-ffff-7fff-bfff-ffffffffffff", "00000000-0000-7000-8000-000000000000"]
)
def test_a_postback_that_is_not_there_is_404(tenant, unknown) -> None:
    assert owner_of(tenant).get(f"postbacks/{unknown}").status == 404


def test_postbacks_are_filtered_by_their_fields(tenant) -> None:
    api = owner_of(tenant)
    event_id, rule = report(tenant.sdk_key), rule_of(tenant)
    matching = make_postback(rule, event_id, status="failed")
    make_postback(rule_of(tenant), report(tenant.sdk_key), status="delivered")

    def ids_of(**query: object) -> list[str]:
        return [row["id"] for row in api.rows("postbacks", **query)]

    assert ids_of(event_id=event_id) == [str(matching.public_id)]
    assert ids_of(rule=rule.public_id) == [str(matching.public_id)]
    assert ids_of(status="failed") == [str(matching.public_id)]
    assert len(ids_of(app=tenant.app.public_id)) == 2
    assert ids_of(app=uuid4()) == []
    assert ids_of(rule=uuid4()) == []


def test_postbacks_are_filtered_by_when_the_event_was_received(tenant) -> None:
    api = owner_of(tenant)
    postback = make_postback(rule_of(tenant), report(tenant.sdk_key))
    moment = postback.event_received_at
    after = (moment + timedelta(milliseconds=1)).isoformat()

    assert len(api.rows("postbacks", since=moment.isoformat(), until=after)) == 1
    assert api.rows("postbacks", since=after) == []
    assert api.rows("postbacks", until=moment.isoformat()) == []


def test_an_unknown_status_is_refused(tenant) -> None:
    answer = owner_of(tenant).get("postbacks", status="sent")

    assert answer.status == 400
    assert "“status”" in answer.data["detail"]


def test_a_failed_postback_is_sent_again(tenant) -> None:
    postback = make_postback(rule_of(tenant), report(tenant.sdk_key), status="failed", attempts=1)

    answer = owner_of(tenant).post(f"postbacks/{postback.public_id}/resend")

    assert answer.status == 202
    assert (answer.data["status"], answer.data["id"]) == ("pending", str(postback.public_id))
    assert answer.data["next_attempt_at"] is not None
    assert len(answer.data["attempts"]) == 1
    with tenant_of(tenant.organization.pk):
        assert DuePostback.objects.get().kind == "resend"


def test_a_skipped_postback_is_not_sent_again(tenant) -> None:
    with tenant_of(tenant.organization.pk):
        rule = make.make_rule(event_map={"install": "i"})
    postback = make_postback(rule, report(tenant.sdk_key), status="skipped", reason="not_mapped")

    answer = owner_of(tenant).post(f"postbacks/{postback.public_id}/resend")

    assert answer.status == 409
    assert "skipped" in answer.data["detail"]
    with tenant_of(tenant.organization.pk):
        assert not DuePostback.objects.exists()
        assert Postback.objects.get().status == "skipped"


def test_a_skipped_postback_that_the_rule_of_now_wants_is_decided_again(tenant) -> None:
    postback = make_postback(
        rule_of(tenant), report(tenant.sdk_key), status="skipped", reason="not_mapped"
    )

    answer = owner_of(tenant).post(f"postbacks/{postback.public_id}/resend")

    assert answer.status == 202
    assert (answer.data["status"], answer.data["reason"]) == ("pending", None)
    assert answer.data["id"] == str(postback.public_id)
    assert answer.data["next_attempt_at"] is not None
    (entry,) = owner_of(tenant).rows("audit-log", action="resent")
    assert entry["changes"]["reason"] == ["not_mapped", ""]


@pytest.mark.parametrize(
    ("body", "pinned"),
    [(None, None), ({}, None), ({"as_decided": False}, None), ({"as_decided": True}, 1)],
)
def test_a_resend_goes_by_the_rule_of_now_or_as_decided(tenant, body, pinned) -> None:
    rule = rule_of(tenant)
    postback = make_postback(rule, report(tenant.sdk_key), status="failed", attempts=1)
    api = owner_of(tenant)
    corrected = {"url": "https://new.example.com:8443/p"}
    assert api.patch(f"callback-rules/{rule.public_id}", corrected).status == 200

    assert api.post(f"postbacks/{postback.public_id}/resend", body).status == 202

    with tenant_of(tenant.organization.pk):
        due = DuePostback.objects.get()
    host = "ads.example.com:443" if pinned else "new.example.com:8443"
    assert (due.pinned_version, due.host) == (pinned, host)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"as_decided": "maybe"}, "/as_decided"),
        ({"asdecided": True}, "/asdecided"),
        ({"as_decided": True, "rule_version": 3}, "/rule_version"),
    ],
)
def test_a_resend_refuses_what_it_does_not_know(tenant, body, pointer) -> None:
    postback = make_postback(rule_of(tenant), report(tenant.sdk_key), status="failed", attempts=1)

    answer = owner_of(tenant).post(f"postbacks/{postback.public_id}/resend", body)

    assert answer.status == 400
    assert answer.pointers() == [pointer]


def test_an_attempt_names_its_version_and_what_differs_from_the_one_before(tenant) -> None:
    postback = make_postback(rule_of(tenant), report(tenant.sdk_key), attempts=2)
    with database.as_role(roles.WORKER), tenant_of(tenant.organization.pk):
        DeliveryAttempt.objects.filter(number=2).update(
            rule_version=2,
            request={
                "method": "POST",
                "url": "https://new.example.com/?id=7",
                "headers": {"A": "c"},
                "body": None,
            },
        )

    first, second = owner_of(tenant).get(f"postbacks/{postback.public_id}").data["attempts"]

    assert (first["rule_version"], first["differences"]) == (1, [])
    assert second["rule_version"] == 2
    assert second["differences"] == [
        {"field": "method", "before": "GET", "after": "POST"},
        {
            "field": "url",
            "before": "https://ads.example.com/",
            "after": "https://new.example.com/",
        },
        {"field": "headers.A", "before": "b", "after": "c"},
        {"field": "query.id", "before": None, "after": "7"},
    ]


def test_resending_what_is_not_there_is_404(tenant) -> None:
    assert owner_of(tenant).post(f"postbacks/{uuid4()}/resend").status == 404
