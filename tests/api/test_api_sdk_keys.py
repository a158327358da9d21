"""SDK keys and API tokens: shown once, revoked, and each at its own door."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from apps_registry.models import ApiToken, Membership
from apps_registry.roles import Role
from apps_registry.tenancy import tenant as tenant_of
from tests import make
from tests.api.calling import PROBLEM, Program, owner_of, report

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_key_is_shown_once() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)

    made = api.post("sdk-keys", {"app": str(tenant.app.public_id), "name": "Unity"})
    read = api.get(f"sdk-keys/{made.data['id']}")

    key = made.data.pop("key")
    assert made.status == 201
    assert key.startswith(made.data["prefix"])
    assert read.data == made.data
    assert made.data["kind"] == "app"
    assert key not in str(api.rows("sdk-keys"))
    assert report(key)


def test_a_key_says_when_it_was_used() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    key = api.post("sdk-keys", {"app": str(tenant.app.public_id), "kind": "server"}).data

    report(key["key"])

    assert key["last_used_at"] is None
    assert api.get(f"sdk-keys/{key['id']}").data["last_used_at"] is not None


def test_a_revoked_key_is_refused_and_stays_in_the_list() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    key = api.post("sdk-keys", {"app": str(tenant.app.public_id)}).data

    first = api.delete(f"sdk-keys/{key['id']}")
    revoked_at = api.get(f"sdk-keys/{key['id']}").data["revoked_at"]
    again = api.delete(f"sdk-keys/{key['id']}")

    assert (first.status, again.status) == (204, 204)
    assert revoked_at == api.get(f"sdk-keys/{key['id']}").data["revoked_at"]
    assert Program(key["key"]).post("events", {"event_name": "open"}).status == 403


def test_a_rotated_key_works_on_beside_its_successor() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    old = api.post("sdk-keys", {"app": str(tenant.app.public_id), "name": "Unity"}).data

    new = api.post(f"sdk-keys/{old['id']}/rotate", {"overlap_hours": 24})

    assert new.status == 201
    assert {n: new.data[n] for n in ("app", "name", "kind")} == {
        n: old[n] for n in ("app", "name", "kind")
    }
    assert new.data["expires_at"] is None
    assert api.get(f"sdk-keys/{old['id']}").data["expires_at"] is not None
    assert report(old["key"])
    assert report(new.data["key"])


def test_a_rotated_key_is_refused_after_the_overlap() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    old = api.post("sdk-keys", {"app": str(tenant.app.public_id)}).data
    api.post(f"sdk-keys/{old['id']}/rotate", {"overlap_hours": 0})

    answer = Program(old["key"]).post("events", {"event_name": "open"})

    assert answer.status == 403
    assert answer.data["detail"].startswith("The SDK key was rotated")


def test_revoking_ends_a_rotated_key_at_once() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    old = api.post("sdk-keys", {"app": str(tenant.app.public_id)}).data
    api.post(f"sdk-keys/{old['id']}/rotate", {})

    api.delete(f"sdk-keys/{old['id']}")

    assert Program(old["key"]).post("events", {"event_name": "open"}).status == 403


@pytest.mark.parametrize("hours", [-1, 721, "soon", None])
def test_an_overlap_is_between_nothing_and_thirty_days(hours) -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    key = api.rows("sdk-keys")[0]["id"]

    answer = api.post(f"sdk-keys/{key}/rotate", {"overlap_hours": hours})

    assert (answer.status, answer.pointers()) == (400, ["/overlap_hours"])
    assert len(api.rows("sdk-keys")) == 1


@pytest.mark.parametrize("ended_by", ["rotate", "revoke"])
def test_a_key_that_has_its_end_is_not_rotated(ended_by) -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    key = api.rows("sdk-keys")[0]["id"]
    if ended_by == "rotate":
        api.post(f"sdk-keys/{key}/rotate", {})
    else:
        api.delete(f"sdk-keys/{key}")

    assert api.post(f"sdk-keys/{key}/rotate", {}).status == 409


def test_keys_are_filtered_by_their_fields() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    made = api.post("sdk-keys", {"app": str(tenant.app.public_id), "name": "Unity"}).data["id"]

    assert [row["id"] for row in api.rows("sdk-keys", kind="app")] == [made]
    assert [row["id"] for row in api.rows("sdk-keys", name="Unity")] == [made]
    assert len(api.rows("sdk-keys", app=tenant.app.public_id)) == 2
    assert api.rows("sdk-keys", app=UUID(int=1)) == []


def test_an_sdk_key_reads_nothing() -> None:
    tenant = make.make_tenant()

    answer = Program(tenant.sdk_key).get("events")

    assert (answer.status, answer.content_type) == (403, PROBLEM)


def test_an_api_token_reports_nothing() -> None:
    tenant = make.make_tenant()

    answer = owner_of(tenant).post("events", {"event_name": "open"})

    assert (answer.status, answer.content_type) == (403, PROBLEM)
    assert owner_of(tenant).rows("events") == []


def test_without_a_token_the_answer_names_the_scheme() -> None:
    answer = Program("").get("apps")

    assert (answer.status, answer.content_type) == (401, PROBLEM)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_unknown_token_is_401() -> None:
    assert Program("pbt_unknown").get("apps").status == 401


@pytest.mark.parametrize("field", ["revoked_at", "expires_at"])
def test_a_token_that_has_ended_is_refused(field) -> None:
    tenant = make.make_tenant()
    with tenant_of(tenant.organization.pk):
        ApiToken.objects.update(**{field: timezone.now() - timedelta(seconds=1)})

    answer = owner_of(tenant).get("apps")

    assert (answer.status, answer.content_type) == (403, PROBLEM)


def test_a_personal_token_has_no_more_rights_than_its_person_has_now() -> None:
    tenant = make.make_tenant()
    with tenant_of(tenant.organization.pk):
        api = Program(make.make_api_token(Role.OWNER, user=tenant.owner))
    Membership.objects.filter(user=tenant.owner).update(role=Role.ANALYST)

    read, written = api.get("apps"), api.post("apps", {"name": "A", "platform": "ios"})

    assert (read.status, written.status) == (200, 403)
    assert "analyst" in written.data["detail"]


def test_the_token_of_somebody_who_left_is_refused() -> None:
    tenant = make.make_tenant()
    with tenant_of(tenant.organization.pk):
        api = Program(make.make_api_token(Role.OWNER, user=tenant.owner))
    Membership.objects.filter(user=tenant.owner).delete()

    assert api.get("apps").status == 403


@pytest.mark.parametrize("path", ["apps", "events", "installs", "audit-log", "organization"])
def test_an_sdk_key_elsewhere_is_told_all_that_it_may_do(path: str) -> None:
    tenant = make.make_tenant()

    answer = Program(tenant.sdk_key).get(path)

    assert answer.status == 403
    assert "events and touchpoints and forget a device" in answer.data["detail"]
    assert "API token" in answer.data["detail"]
