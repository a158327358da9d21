"""A rule's versions over the API: listed, compared, restored; and copies of it."""

import pytest

from apps_registry.models import App
from apps_registry.roles import Role
from apps_registry.tenancy import tenant as tenant_of
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, CallbackRuleVersion
from tests import make
from tests.api.calling import DRAFT, Program, owner_of
from tests.database import as_role

pytestmark = pytest.mark.django_db(transaction=True)


def _with_two_versions(api: Program) -> str:
    rule = api.post("callback-rules", DRAFT).data["id"]
    api.patch(f"callback-rules/{rule}", {"method": "POST", "window_days": 7})
    return f"callback-rules/{rule}"


def test_versions_are_listed_in_the_words_of_the_api_newest_first() -> None:
    api = owner_of(make.make_tenant())
    rule = _with_two_versions(api)

    page = api.get(f"{rule}/versions").data

    assert [version["number"] for version in page["results"]] == [2, 1]
    assert page["next"] is None
    newest = page["results"][0]
    now = api.get(rule).data
    assert newest["definition"] == {name: now[name] for name in newest["definition"]}
    assert newest["definition"].keys() == now.keys() - {
        "id",
        "status",
        "version",
        "breakers",
        "held",
        "created_at",
        "updated_at",
    }


def test_versions_come_in_pages() -> None:
    api = owner_of(make.make_tenant())
    rule = _with_two_versions(api)

    page = api.get(f"{rule}/versions", limit=1).data

    assert [version["number"] for version in page["results"]] == [2]
    assert page["next"]


def test_a_version_says_what_changed_since_the_one_before_or_another() -> None:
    api = owner_of(make.make_tenant())
    rule = _with_two_versions(api)
    api.patch(rule, {"window_days": 8})

    since_two = api.get(f"{rule}/versions/3").data
    since_one = api.get(f"{rule}/versions/3", compare_to=1).data
    first = api.get(f"{rule}/versions/1").data

    assert since_two["changes"] == [{"field": "window_days", "before": 7, "after": 8}]
    assert [change["field"] for change in since_one["changes"]] == ["window_days", "method"]
    assert (since_one["compared_to"], first["compared_to"], first["changes"]) == (1, None, [])


def test_restoring_makes_a_new_version_and_keeps_the_status() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    rule = _with_two_versions(api)
    api.patch(rule, {"status": "active"})

    answer = api.post(f"{rule}/versions/1/restore")

    assert (answer.status, answer.data["version"], answer.data["status"]) == (200, 3, "active")
    assert (answer.data["method"], answer.data["window_days"]) == ("GET", None)
    again = api.post(f"{rule}/versions/3/restore")
    assert again.data["version"] == 3  # it says that already


def test_answers_that_are_final_or_tried_again_are_compared_restored_and_exported() -> None:
    api = owner_of(make.make_tenant())
    first = {
        "codes": ["200"],
        "final": [{"json_path": "code", "equals": [40105, "x", None]}],
        "retry": [{"body_contains": "rate limit"}],
    }
    second = {"codes": ["200"], "final": [{"body_contains": "bad token"}]}
    made = api.post("callback-rules", {**DRAFT, "success": first}).data
    rule = f"callback-rules/{made['id']}"
    changed = api.patch(rule, {"success": second}).data

    (change,) = api.get(f"{rule}/versions/2").data["changes"]
    assert change == {
        "field": "success",
        "before": made["success"],
        "after": changed["success"],
    }
    assert [made["success"][name] for name in ("final", "retry")] == [
        first["final"],
        first["retry"],
    ]
    assert "retry" not in changed["success"]
    assert api.post(f"{rule}/versions/1/restore").data["success"] == made["success"]

    document = api.get("organization/export").data
    (exported,) = document["callback_rules"]
    assert exported["success"] == made["success"]
    other = owner_of(make.make_tenant())
    assert other.post("organization/import", document).status == 200
    (imported,) = other.get("callback-rules").data["results"]
    assert imported["success"] == made["success"]

    exported["success"] = {"final": [{"json_path": "$..code", "equals": [1]}]}
    refused = other.post("organization/import", document)
    assert refused.status == 400
    assert any("/success" in pointer for pointer in refused.pointers())


def test_a_version_whose_name_or_app_is_gone_is_not_restored() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    app = api.post("apps", {"name": "Old", "platform": "ios"}).data["id"]
    made = api.post("callback-rules", {**DRAFT, "app": app}).data
    rule = f"callback-rules/{made['id']}"
    api.patch(rule, {"app": None})
    api.patch(rule, {"name": "Renamed"})
    api.send("DELETE", f"apps/{app}")
    api.post("callback-rules", DRAFT)

    of_archived_app = api.post(f"{rule}/versions/1/restore")
    of_taken_name = api.post(f"{rule}/versions/2/restore")

    assert (of_archived_app.status, of_taken_name.status) == (409, 400)
    assert api.get(rule).data["version"] == 3


def test_a_version_that_may_no_longer_be_saved_is_refused_with_its_reasons() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    rule = _with_two_versions(api)
    with tenant_of(tenant.organization.pk):
        version = CallbackRuleVersion.objects.get(number=1)
        definition = {**version.definition, "url": "https://ads.example.com/{{gone_macro}}"}
    with as_role(roles.WORKER), tenant_of(tenant.organization.pk):
        CallbackRuleVersion.objects.filter(number=1).update(definition=definition)

    answer = api.post(f"{rule}/versions/1/restore")

    assert (answer.status, answer.pointers()) == (400, ["/url"])


@pytest.mark.parametrize("path", ["versions/9", "versions/9/restore", "versions/99999999999"])
def test_a_version_that_is_not_there_is_not_found(path) -> None:
    api = owner_of(make.make_tenant())
    rule = _with_two_versions(api)

    answer = api.post(f"{rule}/{path}") if "restore" in path else api.get(f"{rule}/{path}")

    assert answer.status == 404


def test_analysts_read_versions_and_restore_none() -> None:
    tenant = make.make_tenant()
    rule = _with_two_versions(owner_of(tenant))
    with tenant_of(tenant.organization.pk):
        analyst = Program(make.make_api_token(Role.ANALYST))

    assert analyst.get(f"{rule}/versions").status == 200
    assert analyst.post(f"{rule}/versions/1/restore").status == 403
    assert analyst.post(f"{rule}/copy", {"apps": [str(tenant.app.public_id)]}).status == 403


def test_a_rule_is_copied_to_other_apps_as_drafts_named_after_them() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    rule = _with_two_versions(api)
    api.patch(rule, {"status": "active"})
    with tenant_of(tenant.organization.pk):
        other = App.objects.create(name="Other", platform="android")

    body = {"apps": [str(tenant.app.public_id), str(other.public_id)]}
    answer = api.post(f"{rule}/copy", body)
    again = api.post(f"{rule}/copy", body)

    assert answer.status == again.status == 201
    copies = answer.data["results"]
    assert [copy["name"] for copy in copies] == [
        f"Purchases ({tenant.app.name})",
        "Purchases (Other)",
    ]
    assert again.data["results"][1]["name"] == "Purchases (Other) 2"
    assert [copy["app"] for copy in copies] == body["apps"]
    assert {copy["status"] for copy in copies} == {"draft"}
    assert {copy["method"] for copy in copies} == {"POST"}


@pytest.mark.parametrize("apps", [[], None, ["00000000-0000-4000-8000-000000000000"], "all"])
def test_without_apps_of_ones_own_nothing_is_copied(apps) -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    rule = _with_two_versions(api)

    answer = api.post(f"{rule}/copy", {"apps": apps})

    assert answer.status == 400
    with tenant_of(tenant.organization.pk):
        assert CallbackRule.objects.count() == 1
