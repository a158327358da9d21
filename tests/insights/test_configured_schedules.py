"""Scheduled exports in the configuration file: by names, without secrets, off until one is in."""

from typing import Any

import pytest

from apps_registry.tenancy import tenant
from postbacks.delivery.http.destinations import parse_networks
from postbacks.models import ExportSchedule
from tests import make
from tests.api.calling import Answer, Program, owner_of
from tests.api.test_api_organization import brought_in, empty, exported

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "a-secret-access-key-of-a-store"
STORE = {
    "name": "Purchases of the game",
    "list": "postbacks",
    "format": "jsonl",
    "interval": "hourly",
    "endpoint": "https://127.0.0.1:9000",
    "region": "eu-central-1",
    "bucket": "lake",
    "prefix": "raw/",
    "access_key_id": "AKIAEXAMPLE",
    "secret_access_key": SECRET,
}


@pytest.fixture(autouse=True)
def store_address(settings) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = parse_networks("127.0.0.0/8")
    settings.EXPORT_DIR = None


def schedule(made: make.Tenant, **changes: object) -> Answer:
    answer = owner_of(made).post("export-schedules", {**STORE, **changes})
    assert answer.status == 201, answer.data
    return answer


def with_schedule() -> tuple[Program, dict[str, Any]]:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        campaign = make.make_campaign(made.app, make.make_partner())
    filters = f"app={made.app.public_id}&campaign={campaign.public_id}&status=failed"
    schedule(made, filter=filters)
    api = owner_of(made)
    return api, exported(api)


def test_a_schedule_is_written_with_names_and_without_its_secret() -> None:
    _, document = with_schedule()

    (part,) = document["export_schedules"]
    app, campaign = document["apps"][0]["name"], document["campaigns"][0]["name"]
    assert part["filters"] == {"app": app, "campaign": f"{app} / {campaign}", "status": "failed"}
    assert (part["list"], part["interval"], part["bucket"]) == ("postbacks", "hourly", "lake")
    assert SECRET not in str(document)


def test_a_new_one_is_off_until_its_secret_is_entered_and_the_file_comes_again() -> None:
    _, document = with_schedule()
    organization, api = empty()

    first = brought_in(api, document)
    (row,) = api.rows("export-schedules")
    on = api.patch(f"export-schedules/{row['id']}", {"enabled": True})
    api.patch(f"export-schedules/{row['id']}", {"secret_access_key": SECRET})
    second = brought_in(api, document)

    name = STORE["name"]
    assert first["created"]["export_schedules"] == [name]
    assert first["credentials_to_enter"] == {f"Scheduled export {name}": ["secret access key"]}
    assert (row["enabled"], row["has_secret"]) == (False, False)
    assert (on.status, on.pointers()) == (400, ["/secret_access_key"])
    assert second["changed"] == {"export_schedules": [name]}
    assert second["credentials_to_enter"] == {}
    assert exported(api)["export_schedules"] == document["export_schedules"]
    with tenant(organization.pk):
        stored = ExportSchedule.objects.get()
        assert (stored.enabled, stored.reveal()) == (True, SECRET)
        assert f"app={document['apps'][0]['name']}" not in stored.filters


def test_a_file_never_takes_a_secret_to_another_address() -> None:
    api, document = with_schedule()
    document["export_schedules"][0]["endpoint"] = "https://127.0.0.1:9001"

    outcome = brought_in(api, document)

    (row,) = api.rows("export-schedules")
    assert outcome["changed"] == {"export_schedules": [STORE["name"]]}
    assert (row["endpoint"], row["enabled"]) == ("https://127.0.0.1:9001", False)
    assert row["has_secret"] is False


def test_one_that_is_the_same_is_left() -> None:
    api, document = with_schedule()

    outcome = brought_in(api, document)

    assert outcome["left"]["export_schedules"] == [STORE["name"]]
    assert (outcome["changed"], outcome["credentials_to_enter"]) == ({}, {})


def test_one_whose_filter_names_what_is_archived_is_left_out() -> None:
    made = make.make_tenant()
    schedule(made, filter=f"app={made.app.public_id}")
    with tenant(made.organization.pk):
        type(made.app).objects.filter(pk=made.app.pk).update(status="archived")

    assert exported(owner_of(made))["export_schedules"] == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"list": "members"}, "list"),
        ({"filters": {"app": "Nobody"}}, "filters"),
        ({"filters": {"install_id": "a"}}, "filters"),
        ({"filters": {"status": "nonsense"}}, "filters"),
        ({"endpoint": "https://10.0.0.1"}, "endpoint"),
        ({"prefix": "../"}, "prefix"),
        ({"interval": "never"}, "interval"),
        ({"format": "xlsx"}, "format"),
        ({"target": "folder"}, "target"),
        ({"name": "…"}, "name"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named_by_its_place(change: dict[str, object], pointer: str) -> None:
    _, document = with_schedule()
    document["export_schedules"][0] |= change
    _, api = empty()

    answer = api.post("organization/import", document)

    assert answer.status == 400, answer.data
    assert f"/export_schedules/0/{pointer}" in answer.pointers()
    assert api.rows("export-schedules") == []
