"""Events as the API shows them."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from postbacks.intake.events.fields import EventFields
from tests import make
from tests.api.calling import Program, owner_of, report

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_is_shown_with_every_field_of_the_sdk_api() -> None:
    tenant = make.make_tenant()
    sent = {
        "event_id": str(uuid4()),
        "event_name": "purchase",
        "event_time": _ago(minutes=2),
        "bundle_id": tenant.bundle_id.identifier,
        "platform": "ios",
        "idfa": "6D92078A-8246-4BA4-AE5B-76104861E7DC",
        "customer_user_id": "user-7",
        "ip_address": "203.0.113.7",
        "country": "DE",
        "revenue": "4.990",
        "currency": "EUR",
        "quantity": 2,
        "limit_ad_tracking": False,
        "sharing_opt_out": ["Unity Ads"],
        "params": {"level": 7, "nested": {"a": [1, "x", None]}},
    }
    report(tenant.sdk_key, **sent)

    event = owner_of(tenant).get(f"events/{sent['event_id']}").data

    assert {name: event[name] for name in sent} == sent
    assert event["app"] == str(tenant.app.public_id)
    assert event["source"] == "server"
    assert event["idfv"] is None
    assert event.keys() == {
        *EventFields.__struct_fields__,
        *("app", "source", "received_at", "event_time_corrected_by"),
    }
    assert abs(datetime.fromisoformat(event["received_at"]) - datetime.now(UTC)) < timedelta(
        minutes=1
    )


def test_money_is_exact_to_the_last_digit() -> None:
    tenant = make.make_tenant()
    event_id = str(uuid4())
    body = f"""{{
        "event_id": "{event_id}", "event_name": "purchase",
        "revenue": 12345678901234567.123456789012, "price": "0.123456789012"
    }}"""

    assert Program(tenant.sdk_key).post("events", body.encode()).status == 202

    event = owner_of(tenant).get(f"events/{event_id}").data
    assert event["revenue"] == "12345678901234567.123456789012"
    assert event["price"] == "0.123456789012"


def test_an_event_in_the_list_is_the_same_as_by_its_id() -> None:
    tenant = make.make_tenant()
    event_id = report(tenant.sdk_key, price="1.10")
    api = owner_of(tenant)

    assert api.rows("events") == [api.get(f"events/{event_id}").data]


@pytest.mark.parametrize(
    "query",
    [
        {"event_name": "level_up"},
        {"customer_user_id": "user-7"},
        {"event_name": "level_up", "customer_user_id": "user-7"},
    ],
)
def test_events_are_filtered_by_their_fields(query) -> None:
    tenant = make.make_tenant()
    matching = report(tenant.sdk_key, event_name="level_up", customer_user_id="user-7")
    report(tenant.sdk_key, event_name="purchase", customer_user_id="user-8")

    assert [row["event_id"] for row in owner_of(tenant).rows("events", **query)] == [matching]


def test_events_are_filtered_by_id_and_app() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    matching = report(tenant.sdk_key)
    report(tenant.sdk_key)

    assert [row["event_id"] for row in api.rows("events", event_id=matching)] == [matching]
    assert len(api.rows("events", app=tenant.app.public_id)) == 2
    assert api.rows("events", app=uuid4()) == []
    assert api.rows("events", event_id=uuid4()) == []


def test_since_is_included_and_until_is_not() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    report(tenant.sdk_key)
    (event,) = api.rows("events")
    moment = datetime.fromisoformat(event["received_at"])
    after = (moment + timedelta(milliseconds=1)).isoformat()

    assert api.rows("events", since=event["received_at"], until=after) == [event]
    assert api.rows("events", since=after) == []
    assert api.rows("events", until=event["received_at"]) == []


def test_an_event_id_in_two_apps_needs_the_app() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    event_id = report(tenant.sdk_key)
    other = api.post("apps", {"name": "Other", "platform": "ios"}).data["id"]
    key = api.post("sdk-keys", {"app": other, "kind": "server"}).data["key"]
    report(key, event_id=event_id)

    unclear = api.get(f"events/{event_id}")
    named = api.get(f"events/{event_id}", app=other)
    unknown = api.get(f"events/{event_id}", app=uuid4())

    assert unclear.status == 409
    assert (named.status, named.data["app"]) == (200, other)
    assert unknown.status == 404
    assert len(api.rows("events", event_id=event_id)) == 2


def test_an_event_that_is_not_there_is_404() -> None:
    assert owner_of(make.make_tenant()).get(f"events/{uuid4()}").status == 404


def test_events_are_not_written_by_id() -> None:
    tenant = make.make_tenant()
    event_id = report(tenant.sdk_key)

    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = owner_of(tenant).send(method, f"events/{event_id}", {})
        assert answer.status in {403, 405}, method
    assert json.dumps(owner_of(tenant).rows("events")).count(event_id) == 1


def _ago(**time: int) -> str:
    moment = datetime.now(UTC) - timedelta(**time)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
