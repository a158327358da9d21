"""Apps and bundle IDs over the API."""

import re
from uuid import UUID, uuid4

import pytest

from tests import make
from tests.api.calling import owner_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_app_is_shown_with_every_field_of_the_contract() -> None:
    tenant = make.make_tenant()

    answer = owner_of(tenant).get(f"apps/{tenant.app.public_id}")

    assert answer.status == 200
    created_at = answer.data.pop("created_at")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created_at)
    assert answer.data == {
        "id": str(tenant.app.public_id),
        "name": "Gem Harbor iOS",
        "platform": "ios",
        "store_id": "1234567890",
        "bundle_ids": [tenant.bundle_id.identifier],
        "conversion_values": [],
        "meta_decryption_key": None,
        "time_zone": "UTC",
        "store_share": "0.3",
        "status": "active",
    }


def test_an_app_is_created_with_its_bundle_ids() -> None:
    api = owner_of(make.make_tenant())

    answer = api.post(
        "apps",
        {
            "name": "Idle Farm",
            "platform": "android",
            "bundle_ids": ["com.example.farm", "com.example.farm.beta"],
            "store_share": 0.15,
        },
    )

    assert answer.status == 201
    assert UUID(answer.data["id"])
    assert answer.data["bundle_ids"] == ["com.example.farm", "com.example.farm.beta"]
    assert answer.data["store_share"] == "0.15"
    assert api.get(f"apps/{answer.data['id']}").data == answer.data


def test_writing_bundle_ids_adds_and_removes_them() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    identifier = tenant.bundle_id.identifier
    api.patch(f"apps/{tenant.app.public_id}", {"bundle_ids": [identifier, "com.example.old"]})

    answer = api.patch(
        f"apps/{tenant.app.public_id}", {"bundle_ids": [identifier, "com.example.new"]}
    )

    assert answer.data["bundle_ids"] == sorted([identifier, "com.example.new"])
    assert {row["identifier"] for row in api.rows("bundle-ids")} == {identifier, "com.example.new"}


def test_a_bundle_id_of_another_app_is_refused_and_nothing_is_written() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)

    answer = api.post(
        "apps",
        {
            "name": "Copy",
            "platform": "ios",
            "bundle_ids": ["com.example.copy", tenant.bundle_id.identifier],
        },
    )

    assert answer.status == 400
    assert answer.pointers() == ["/bundle_ids/1"]
    assert [row["name"] for row in api.rows("apps")] == ["Gem Harbor iOS"]
    assert api.rows("bundle-ids", identifier="com.example.copy") == []


def test_two_apps_of_one_name_are_refused_at_the_name() -> None:
    tenant = make.make_tenant()

    answer = owner_of(tenant).post("apps", {"name": tenant.app.name, "platform": "ios"})

    assert answer.status == 400
    assert answer.data["errors"] == [{"pointer": "/name", "detail": "Another app has this name."}]


def test_an_archived_app_is_gone_from_the_list_and_its_name_and_bundle_id_are_free() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)

    first = api.delete(f"apps/{tenant.app.public_id}")
    again = api.delete(f"apps/{tenant.app.public_id}")
    successor = api.post(
        "apps",
        {"name": tenant.app.name, "platform": "ios", "bundle_ids": [tenant.bundle_id.identifier]},
    )

    assert (first.status, again.status, successor.status) == (204, 204, 201)
    assert [row["id"] for row in api.rows("apps")] == [successor.data["id"]]
    assert [row["id"] for row in api.rows("apps", status="archived")] == [str(tenant.app.public_id)]
    assert api.get(f"apps/{tenant.app.public_id}").data["status"] == "archived"


def test_an_archived_app_cannot_be_changed_nor_take_anything_new() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    api.delete(f"apps/{tenant.app.public_id}")

    changed = api.patch(f"apps/{tenant.app.public_id}", {"name": "New"})
    key = api.post("sdk-keys", {"app": str(tenant.app.public_id)})

    assert changed.status == 409
    assert (key.status, key.pointers()) == (400, ["/app"])


def test_what_was_read_can_be_written_back() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    app = api.get(f"apps/{tenant.app.public_id}").data

    answer = api.put(f"apps/{tenant.app.public_id}", {**app, "name": "Renamed"})

    assert answer.status == 200
    assert answer.data == {**app, "name": "Renamed"}


@pytest.mark.parametrize("field", ["id", "status", "created_at"])
def test_what_we_set_cannot_be_changed(field) -> None:
    tenant = make.make_tenant()

    answer = owner_of(tenant).patch(f"apps/{tenant.app.public_id}", {field: "archived"})

    assert (answer.status, answer.pointers()) == (400, [f"/{field}"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("platform", "symbian"),
        ("time_zone", "Mars/Olympus"),
        ("store_share", 1.5),
        ("store_share", "much"),
        ("name", ""),
        ("name", None),
        ("bundle_ids", "com.example.app"),
    ],
)
def test_a_wrong_value_is_refused_at_its_field(field, value) -> None:
    answer = owner_of(make.make_tenant()).post(
        "apps", {"name": "App", "platform": "ios", field: value}
    )

    assert (answer.status, answer.pointers()) == (400, [f"/{field}"])


@pytest.mark.parametrize(
    "query", [{"name": "Idle Farm"}, {"platform": "android"}, {"store_id": "com.example.farm"}]
)
def test_apps_are_filtered_by_their_fields(query) -> None:
    api = owner_of(make.make_tenant())
    farm = {"name": "Idle Farm", "platform": "android", "store_id": "com.example.farm"}
    api.post("apps", farm)

    assert [row["name"] for row in api.rows("apps", **query)] == ["Idle Farm"]


def test_a_bundle_id_is_created_shown_filtered_and_deleted() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)

    made = api.post(
        "bundle-ids", {"app": str(tenant.app.public_id), "identifier": "com.example.second"}
    )
    rows = api.rows("bundle-ids", app=tenant.app.public_id, identifier="com.example.second")
    gone = api.delete(f"bundle-ids/{made.data['id']}")

    assert made.status == 201
    assert made.data["app"] == str(tenant.app.public_id)
    assert rows == [made.data]
    assert gone.status == 204
    assert api.get(f"bundle-ids/{made.data['id']}").status == 404
    assert api.rows("bundle-ids", app=uuid4()) == []


def test_a_bundle_id_that_an_app_has_is_refused() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    other = api.post("apps", {"name": "Other", "platform": "ios"}).data["id"]

    answer = api.post("bundle-ids", {"app": other, "identifier": tenant.bundle_id.identifier})

    assert (answer.status, answer.pointers()) == (400, ["/identifier"])


FINE = {
    "first_value": 10,
    "last_value": 19,
    "coarse_value": "",
    "sequence": None,
    "event_name": "purchase",
    "least_revenue": "4.99",
    "most_revenue": "9.99",
    "currency": "EUR",
}
COARSE = {
    "first_value": None,
    "last_value": None,
    "coarse_value": "high",
    "sequence": 1,
    "event_name": "subscribed",
    "least_revenue": None,
    "most_revenue": None,
    "currency": "USD",
}


def test_conversion_values_are_written_all_at_once() -> None:
    tenant = make.make_tenant()
    api, path = owner_of(tenant), f"apps/{tenant.app.public_id}"
    api.patch(path, {"conversion_values": [{"first_value": 0, "last_value": 9}, FINE]})

    answer = api.patch(path, {"conversion_values": [COARSE, FINE]})

    assert answer.status == 200, answer.data
    assert answer.data["conversion_values"] == [FINE, COARSE]
    assert api.patch(path, {"name": "Other"}).data["conversion_values"] == [FINE, COARSE]
    assert api.patch(path, {"conversion_values": []}).data["conversion_values"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        [FINE, {"first_value": 19, "last_value": 30}],
        [COARSE, COARSE],
        [{"first_value": 5}],
        [{"first_value": 9, "last_value": 5}],
        [{"first_value": 60, "last_value": 64}],
        [{"event_name": "purchase"}],
        [{**FINE, "coarse_value": "low"}],
        [{**FINE, "sequence": 1}],
        [{**FINE, "least_revenue": "10"}],
        [{**FINE, "currency": "euro"}],
        [{**FINE, "least_revenue": "-1"}],
    ],
)
def test_conversion_values_that_mean_two_things_or_nothing_are_refused(wrong) -> None:
    tenant = make.make_tenant()
    api, path = owner_of(tenant), f"apps/{tenant.app.public_id}"
    api.patch(path, {"conversion_values": [COARSE]})

    answer = api.patch(path, {"name": "Changed", "conversion_values": wrong})

    assert answer.status == 400
    assert all(pointer.startswith("/conversion_values") for pointer in answer.pointers())
    assert api.get(path).data["conversion_values"] == [COARSE]
    assert api.get(path).data["name"] != "Changed"
