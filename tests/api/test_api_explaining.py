"""Why each rule told of an event or did not, by the code that decides."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.apps import apps

from apps_registry.tenancy import tenant
from postbacks.models import CallbackRule, Postback, RuleStatus
from postbacks.rulebook import saving
from tests import database, make
from tests.admin.pages import sign_in
from tests.api.calling import owner_of, report
from tests.workers import decide_all

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://ads.example.com/?e={{event_name}}&id={{idfa}}"


@pytest.fixture
def made() -> make.Tenant:
    return make.make_tenant()


def _report(made: make.Tenant, device: str = "d-1", name: str = "purchase", **more: object) -> str:
    return report(made.sdk_key, event_name=name, install_id=device, **more)


def _explained(made: make.Tenant, event_id: str) -> dict[str, Mapping[str, Any]]:
    answer = owner_of(made).get(f"events/{event_id}/explain")
    assert answer.status == 200
    return {row["rule"]: row for row in answer.data}


def _codes(explained: Mapping[str, Any]) -> list[str]:
    return [reason["code"] for reason in explained["reasons"]]


def _end(made: make.Tenant, **fields: object) -> None:
    with database.as_role("postbacks_worker"), tenant(made.organization.pk):
        Postback.objects.update(**fields)


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ({"triggers": ["install"]}, ["trigger"]),
        ({"attribution_scope": "any_attributed"}, ["attribution_scope"]),
        ({"window_days": 3}, ["window"]),
        ({"sampling_percent": 0}, ["sampling"]),
        (
            {"conditions": {"all": [{"field": "country", "operator": "=", "value": "DE"}]}},
            ["condition"],
        ),
        ({"status": "draft"}, ["draft"]),
        (
            {"status": "paused", "triggers": ["install"], "sampling_percent": 0},
            ["paused", "trigger", "sampling"],
        ),
    ],
)
def test_a_rule_that_sent_nothing_names_everything_that_kept_it(
    made: make.Tenant, fields: dict[str, object], codes: list[str]
) -> None:
    rule = make.make_tenant_rule(made, URL, **fields)
    event_id = _report(made, country="AT")
    decide_all()

    explained = _explained(made, event_id)[str(rule.public_id)]

    assert explained["decision"] == "not_matched"
    assert explained["postback"] is None
    assert _codes(explained) == codes
    assert explained["rule_name"] == rule.name


def test_a_condition_says_what_the_event_has(made: make.Tenant) -> None:
    rule = make.make_tenant_rule(
        made, conditions={"all": [{"field": "country", "operator": "in", "value": "DE,CH"}]}
    )
    event_id = _report(made, country="AT")
    decide_all()

    (reason,) = _explained(made, event_id)[str(rule.public_id)]["reasons"]

    assert reason == {"code": "condition", "detail": "country in DE,CH: the event has AT."}


@pytest.mark.parametrize(
    ("fields", "decision", "codes"),
    [
        ({}, "owed", ["due"]),
        ({"attempts_made": 2}, "owed", ["due"]),
        ({"reason": "rule_off"}, "held", ["rule_off"]),
        ({"status": "delivered"}, "sent", ["delivered"]),
        ({"status": "failed", "reason": "http_404"}, "failed", ["http_404"]),
    ],
)
def test_a_postback_tells_by_its_state(
    made: make.Tenant, fields: dict[str, object], decision: str, codes: list[str]
) -> None:
    rule = make.make_tenant_rule(made, URL)
    event_id = _report(made, idfa="A")
    decide_all()
    _end(made, **fields)

    explained = _explained(made, event_id)[str(rule.public_id)]

    with tenant(made.organization.pk):
        assert explained["postback"] == str(Postback.objects.get().public_id)
    assert (explained["decision"], _codes(explained)) == (decision, codes)


def test_a_rule_that_was_paused_holds_what_it_owes(made: make.Tenant) -> None:
    rule = make.make_tenant_rule(made, URL)
    event_id = _report(made, idfa="A")
    decide_all()
    with tenant(made.organization.pk):
        rule.status = RuleStatus.PAUSED
        saving.save(rule, by=None)

    assert _explained(made, event_id)[str(rule.public_id)]["decision"] == "held"


def test_a_skip_says_why(made: make.Tenant) -> None:
    rule = make.make_tenant_rule(made, f"{URL}&d={{{{idfv!}}}}")
    event_id = _report(made)
    decide_all()

    explained = _explained(made, event_id)[str(rule.public_id)]

    assert (explained["decision"], _codes(explained)) == ("skipped", ["missing_macro"])
    assert explained["reasons"][0]["detail"] == "{{idfv}} has no value: the event has no idfv."


def test_the_second_time_of_a_device_is_not_the_first(made: make.Tenant) -> None:
    rule = make.make_tenant_rule(made, URL, frequency="first")
    first, second = _report(made), _report(made)
    decide_all()

    decided = [_explained(made, row)[str(rule.public_id)] for row in (first, second)]

    assert [row["decision"] for row in decided] == ["owed", "not_matched"]
    assert _codes(decided[1]) == ["first_time"]


def test_a_rule_that_was_made_or_changed_later_says_so(made: make.Tenant) -> None:
    changed = make.make_tenant_rule(made, URL, triggers=["install"])
    event_id = _report(made)
    decide_all()
    newer = make.make_tenant_rule(made, URL)
    with tenant(made.organization.pk):
        changed.triggers = ["purchase"]
        saving.save(changed, by=None)

    explained = _explained(made, event_id)

    assert _codes(explained[str(newer.public_id)]) == ["rule_is_newer"]
    assert _codes(explained[str(changed.public_id)]) == ["trigger", "changed_since"]


def test_an_event_that_is_not_decided_yet_says_so(made: make.Tenant) -> None:
    rule = make.make_tenant_rule(made, URL)
    event_id = _report(made)

    explained = _explained(made, event_id)[str(rule.public_id)]

    assert (explained["decision"], _codes(explained)) == ("held", ["undecided"])


def test_archived_rules_are_left_out_unless_they_told_of_it(made: make.Tenant) -> None:
    notified, silent, gone = (
        make.make_tenant_rule(made, URL),
        make.make_tenant_rule(made, URL, triggers=["install"]),
        make.make_tenant_rule(made, URL, status=RuleStatus.ARCHIVED),
    )
    event_id = _report(made, idfa="A")
    decide_all()
    _end(made, status="delivered")
    with tenant(made.organization.pk):
        CallbackRule.objects.update(status=RuleStatus.ARCHIVED)

    explained = _explained(made, event_id)

    assert set(explained) == {str(notified.public_id), str(silent.public_id)}
    assert str(gone.public_id) not in explained


def test_asking_writes_nothing(made: make.Tenant) -> None:
    make.make_tenant_rule(made, URL, frequency="first")
    make.make_tenant_rule(made, URL, triggers=["install"])
    event_id = _report(made, name="open")
    before = _counts(made)

    _explained(made, event_id)

    assert _counts(made) == before


def _counts(made: make.Tenant) -> dict[str, int]:
    with tenant(made.organization.pk):
        return {
            model._meta.db_table: model.objects.count()  # type: ignore[attr-defined]
            for model in apps.get_app_config("postbacks").get_models()
        }


def test_of_two_apps_with_the_same_event_one_is_named(made: make.Tenant) -> None:
    api = owner_of(made)
    other = api.post("apps", {"name": "Other", "platform": "ios"}).data["id"]
    key = api.post("sdk-keys", {"app": other, "kind": "server"}).data["key"]
    event_id = _report(made)
    report(key, event_name="open", event_id=event_id)

    unclear = owner_of(made).get(f"events/{event_id}/explain")
    clear = owner_of(made).get(f"events/{event_id}/explain", app=other)

    assert (unclear.status, clear.status) == (409, 200)


def test_an_unknown_event_and_another_organizations_do_not_exist(made: make.Tenant) -> None:
    event_id = _report(make.make_tenant())

    answers = [
        owner_of(made).get(f"events/{id_}/explain")
        for id_ in (event_id, "0d6e1b3c-5f0a-4f6e-9d3e-2b6f4a1c7e55")
    ]

    assert [answer.status for answer in answers] == [404, 404]


def test_a_device_and_an_install_say_what_each_rule_did_and_would_do_now(
    made: make.Tenant,
) -> None:
    rule = make.make_tenant_rule(made, URL, triggers=["purchase"])
    report(made.sdk_key, event_name="install", install_id="story-1")
    report(made.sdk_key, event_name="purchase", install_id="story-1")
    decide_all()
    with tenant(made.organization.pk):
        rule.triggers = ["install"]
        saving.save(rule, by=None)
    api = owner_of(made)
    (install,) = api.rows("installs")

    stories = [
        api.get("devices/explain", id="story-1").data,
        api.get(f"installs/{install['id']}/explain").data,
    ]

    for story in stories:
        of_events = [entry["rules"] for entry in story if entry["kind"] == "event"]
        decided = [
            (rules[0]["decision"], rules[0]["if_it_came_now"]["decision"]) for rules in of_events
        ]
        assert decided == [("not_matched", "owed"), ("owed", "not_matched")]
        assert all(entry["rules"] is None for entry in story if entry["kind"] != "event")
    page = sign_in(made.owner).get("/admin/device/?id=story-1").content.decode()
    assert "what would happen if it came now" in page
    assert "It would be sent" in page
