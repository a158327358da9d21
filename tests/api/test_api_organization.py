"""An organization's settings, and its whole configuration as one document, out and in."""

import copy
from datetime import time
from typing import Any

import pytest

from apps_registry.models import (
    App,
    AttributionSettings,
    AuditEntry,
    Campaign,
    ConversionMeaning,
    Partner,
    TrackingLink,
)
from apps_registry.roles import Role
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.models import CallbackRule, RuleStatus
from tests import make
from tests.alerts.scenes import make_alert
from tests.api.calling import Program, owner_of, program_of

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "a-secret-of-some-length"
KEYED = "https://ads.example.com/?k={{credential.api_key}}"


def set_up(name: str = "Gem Harbor") -> make.Tenant:
    """Return an organization with one of everything that people declare."""
    made = make.make_tenant(name)
    with tenant(made.organization.pk):
        partner = make.make_partner(
            credentials={"api_key": SECRET}, allowed_hosts=("ads.example.com",)
        )
        partner.skadnetwork_ids = ["4fzdc2evr5.skadnetwork"]
        partner.save()
        ConversionMeaning.objects.create(
            app=made.app, first_value=10, last_value=19, event_name="purchase", least_revenue="4.99"
        )
        ConversionMeaning.objects.create(app=made.app, coarse_value="high", event_name="subscribed")
        link = make.make_link(
            make.make_campaign(made.app, partner),
            parameters="click_id={clickid}",
            deep_link="gemharbor://shop",
            allowed_destinations=["gemharbor://"],
        )
        AttributionSettings.objects.create(link=link, click_window_hours=24)
        AttributionSettings.objects.create(app=made.app, partner=partner, probabilistic_clicks=True)
        AttributionSettings.objects.create(reinstall_events="organic", inactivity_days=0)
        make.make_rule(KEYED, app=made.app, partner=partner, window_days=30, delay_seconds=5)
        make.make_rule(name="Suspended", status=RuleStatus.SUSPENDED)
        make_alert(
            partner=partner,
            emails=[made.owner.email],
            webhook_url="https://hooks.example.com/postbacks",
            quiet_from=time(22),
            quiet_until=time(7),
        )
        make.make_rule(name="Old", status=RuleStatus.ARCHIVED)
        App.objects.create(name="Old Game", platform="ios", status=Lifecycle.ARCHIVED)
    return made


def empty(name: str = "Moss Valley") -> tuple[make.Organization, Program]:
    organization = make.make_organization(name)
    with tenant(organization.pk):
        return organization, Program(make.make_api_token(Role.OWNER))


def exported(of: Program) -> dict[str, Any]:
    answer = of.get("organization/export")
    assert answer.status == 200, answer.data
    return answer.data


def brought_in(into: Program, document: object) -> dict[str, Any]:
    answer = into.post("organization/import", document)
    assert answer.status == 200, answer.data
    return answer.data


def test_the_organization_shows_and_changes_its_settings() -> None:
    made = make.make_tenant()
    api = owner_of(made)

    changed = api.patch(
        "organization", {"name": "Gem Harbor Studios", "time_zone": "Europe/Berlin"}
    )

    assert changed.status == 200
    read = api.get("organization").data
    assert read == changed.data
    assert read["id"] == str(made.organization.public_id)
    assert (read["name"], read["time_zone"]) == ("Gem Harbor Studios", "Europe/Berlin")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"time_zone": "Berlin"}, "/time_zone"), ({"name": ""}, "/name"), ({"id": "1"}, "/id")],
)
def test_a_wrong_setting_is_named(change: dict[str, str], pointer: str) -> None:
    answer = owner_of(make.make_tenant()).patch("organization", change)

    assert answer.status == 400
    assert answer.pointers() == [pointer]


@pytest.mark.parametrize("role", [Role.MARKETER, Role.ANALYST])
def test_only_owners_change_settings_and_import(role: Role) -> None:
    api = program_of(role, set_up())

    document = exported(api)

    assert api.patch("organization", {"name": "Mine"}).status == 403
    assert api.post("organization/import", document).status == 403


def test_an_export_holds_what_is_in_use_and_no_secret() -> None:
    made = set_up()

    document = exported(owner_of(made))

    assert (document["format"], document["version"]) == ("postbacks/organization", 1)
    assert [app["name"] for app in document["apps"]] == [made.app.name]
    assert document["apps"][0]["bundle_ids"] == [made.bundle_id.identifier]
    assert document["partners"][0]["credentials"] == ["api_key"]
    assert [rule["name"] for rule in document["callback_rules"]][-1] == "Suspended"
    assert document["callback_rules"][-1]["status"] == "paused"
    assert [alert["partner"] for alert in document["alerts"]] == [document["partners"][0]["name"]]
    assert made.owner.email not in str(document)
    assert SECRET not in str(document)
    assert "•••" not in str(document)
    with tenant(made.organization.pk):
        assert AuditEntry.objects.filter(action="exported").count() == 1


def test_an_export_imported_into_an_empty_organization_gives_an_equal_export() -> None:
    document = exported(owner_of(set_up()))
    organization, api = empty()

    brought_in(api, document)
    with tenant(organization.pk):
        Partner.objects.get().set_credentials({"api_key": SECRET})
    brought_in(api, document)

    assert exported(api) == document


def test_an_import_says_what_it_did_and_which_secrets_are_missing() -> None:
    document = exported(owner_of(set_up()))
    organization, api = empty()
    (partner,) = document["partners"]
    keyed = next(rule for rule in document["callback_rules"] if rule["partner"])

    outcome = brought_in(api, document)

    assert {kind: len(names) for kind, names in outcome["created"].items()} == {
        "apps": 1,
        "partners": 1,
        "campaigns": 1,
        "tracking_links": 1,
        "attribution_settings": 3,
        "callback_rules": 2,
        "alerts": 1,
    }
    assert outcome["credentials_to_enter"] == {partner["name"]: ["api_key"]}
    assert outcome["drafts"] == [keyed["name"]]
    with tenant(organization.pk):
        assert CallbackRule.objects.get(name=keyed["name"]).status == RuleStatus.DRAFT
        assert Campaign.objects.get().app.name == document["apps"][0]["name"]
        assert AuditEntry.objects.filter(action="imported").count() == 1


def test_an_imported_link_has_an_address_of_its_own() -> None:
    made = set_up()
    organization, api = empty()

    brought_in(api, exported(owner_of(made)))

    tokens = set()
    for owner in (made.organization, organization):
        with tenant(owner.pk):
            tokens.add(TrackingLink.objects.get().token)
    assert len(tokens) == 2


def test_a_second_import_changes_nothing() -> None:
    made = set_up()
    api = owner_of(made)
    document = exported(api)

    outcome = brought_in(api, document)

    assert (outcome["created"], outcome["changed"]) == ({}, {})
    assert len(outcome["left"]["callback_rules"]) == 2
    with tenant(made.organization.pk):
        rule = CallbackRule.objects.exclude(partner=None).get()
        assert (rule.version, rule.status) == (1, RuleStatus.ACTIVE)


def test_what_differs_is_changed_and_what_is_not_named_stays() -> None:
    made = set_up()
    api = owner_of(made)
    document = exported(api)
    document["apps"][0]["store_share"] = "0.15"
    document["apps"][0]["bundle_ids"] = ["com.example.second"]
    rule = document["callback_rules"].pop(0)

    outcome = brought_in(api, document)

    assert outcome["changed"] == {"apps": [made.app.name]}
    app = exported(api)["apps"][0]
    assert app["store_share"] == "0.15"
    assert app["bundle_ids"] == sorted([made.bundle_id.identifier, "com.example.second"])
    assert rule in exported(api)["callback_rules"]


def test_what_conversion_values_mean_is_replaced_as_a_whole() -> None:
    api = owner_of(set_up())
    document = exported(api)
    (app,) = document["apps"]
    app["conversion_values"] = [{"first_value": 0, "last_value": 63, "event_name": "open"}]

    outcome = brought_in(api, document)

    assert outcome["changed"] == {"apps": [app["name"]]}
    (meaning,) = exported(api)["apps"][0]["conversion_values"]
    assert (meaning["first_value"], meaning["last_value"], meaning["event_name"]) == (0, 63, "open")


def test_a_dry_run_answers_the_same_and_changes_nothing() -> None:
    document = exported(owner_of(set_up()))
    organization, api = empty()
    before = exported(api)

    plan = api.post("organization/import?dry_run=true", document)

    assert plan.status == 200
    assert exported(api) == before
    assert plan.data == brought_in(api, document)
    with tenant(organization.pk):
        assert AuditEntry.objects.filter(action="imported").count() == 1


def _without_name(document: dict[str, Any]) -> None:
    document["callback_rules"][0].pop("name")


FAULTS: list[tuple[str, Any, str]] = [
    ("apps", {"platform": "symbian"}, "/apps/0/platform"),
    ("apps", {"time_zone": "Berlin"}, "/apps/0/time_zone"),
    ("apps", {"store_share": "half"}, "/apps/0/store_share"),
    ("apps", {"store_share": "NaN"}, "/apps/0/store_share"),
    ("apps", {"bundle_ids": ["no spaces allowed"]}, "/apps/0/identifier"),
    ("partners", {"allowed_hosts": ["https://x"]}, "/partners/0/allowed_hosts"),
    ("campaigns", {"app": "Nobody"}, "/campaigns/0/app"),
    ("campaigns", {"partner": "Nobody"}, "/campaigns/0/partner"),
    ("tracking_links", {"campaign": "Nothing"}, "/tracking_links/0/campaign"),
    ("tracking_links", {"deep_link": "javascript://x"}, "/tracking_links/0/deep_link"),
    ("tracking_links", {"parameters": "a={{b}}"}, "/tracking_links/0/parameters"),
    ("attribution_settings", {"app": "Nobody"}, "/attribution_settings/0/app"),
    ("attribution_settings", {"settings": {"nothing": 1}}, "/attribution_settings/0/settings"),
    (
        "attribution_settings",
        {"settings": {"inactivity_days": 999}},
        "/attribution_settings/0/inactivity_days",
    ),
    (
        "attribution_settings",
        {"settings": {"click_window_hours": "a week"}},
        "/attribution_settings/0/click_window_hours",
    ),
    ("callback_rules", {"url": "https://10.0.0.1/"}, "/callback_rules/0/url"),
    ("callback_rules", {"url": "https://x.example/{{nothing}}"}, "/callback_rules/0/url"),
    ("callback_rules", {"status": "suspended"}, "/callback_rules/0/status"),
    ("callback_rules", {"status": ["active"]}, "/callback_rules/0/status"),
    ("callback_rules", {"triggers": "purchase"}, "/callback_rules/0"),
    ("callback_rules", {"headers": {"a": 1}}, "/callback_rules/0"),
    ("callback_rules", {"timeout_seconds": 99}, "/callback_rules/0/timeout_seconds"),
    ("callback_rules", {"partner": "Nobody"}, "/callback_rules/0/partner"),
    ("callback_rules", {"partner_id": 1}, "/callback_rules/0"),
    ("callback_rules", {"public_id": "x"}, "/callback_rules/0"),
    ("callback_rules", {"version": 7}, "/callback_rules/0"),
]


@pytest.mark.parametrize(("kind", "change", "pointer"), FAULTS, ids=str)
def test_nothing_is_imported_if_anything_is_wrong(kind: str, change: Any, pointer: str) -> None:
    document = exported(owner_of(set_up()))
    document[kind][0] |= change
    organization, api = empty()

    answer = api.post("organization/import", document)

    assert answer.status == 400, answer.data
    assert pointer in answer.pointers()
    with tenant(organization.pk):
        assert not App.objects.exists()
        assert not AuditEntry.objects.filter(action="imported").exists()


HEAD = {"format": "postbacks/organization", "version": 1}
NO_DOCUMENTS: dict[str, object] = {
    "a list": [],
    "nothing": {},
    "a part": HEAD,
    "a later version": {**HEAD, "version": 2, "organization": {"time_zone": "UTC"}},
    "another format": {**HEAD, "format": "other", "organization": {"time_zone": "UTC"}},
    "a field too many": {**HEAD, "organization": {"time_zone": "UTC", "id": 1}},
    "a NUL": {**HEAD, "organization": {"time_zone": "\x00"}},
    "too deep": b"[" * 100_000,
    "no JSON": b"nothing",
}


@pytest.mark.parametrize("document", NO_DOCUMENTS.values(), ids=NO_DOCUMENTS.keys())
def test_what_is_no_document_is_refused(document: object) -> None:
    _, api = empty()

    answer = api.post("organization/import", document)

    assert answer.status == 400


def test_an_import_has_a_bounded_size() -> None:
    document = exported(owner_of(set_up()))
    many = [{**document["partners"][0], "name": f"Partner {n}"} for n in range(2_001)]
    _, api = empty()

    answer = api.post("organization/import", {**document, "partners": many})

    assert answer.status == 400
    assert "2000" in str(answer.data)


def test_names_of_another_organizations_things_mean_nothing() -> None:
    theirs = set_up("Moss Valley")
    document = exported(owner_of(set_up()))
    with tenant(theirs.organization.pk):
        foreign = Partner.objects.get()
    wrong = copy.deepcopy(document)
    wrong["callback_rules"][0]["partner"] = foreign.name
    _, api = empty()

    by_name = api.post("organization/import", wrong)
    wrong["callback_rules"][0]["partner"] = str(foreign.public_id)
    by_id = api.post("organization/import", wrong)

    assert [by_name.status, by_id.status] == [400, 400]


def test_a_bundle_id_of_another_app_is_not_taken_away() -> None:
    made = set_up()
    api = owner_of(made)
    document = exported(api)
    document["apps"].append({**document["apps"][0], "name": "Another"})

    answer = api.post("organization/import", document)

    assert answer.status == 400
    assert "belongs to another app" in answer.details()


@pytest.mark.parametrize("share", ["sNaN", "NaN", "-Infinity", "1e999999", "\ud800"])
def test_a_number_that_is_none_is_refused_in_its_place(share: str) -> None:
    _, api = empty()
    document = {**exported(api), "apps": [{"name": "A", "platform": "ios", "store_share": share}]}

    answer = api.post("organization/import", document)

    assert answer.status == 400, answer.data
