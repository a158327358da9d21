"""Versions of a rule compared and restored, copies of it, and the form's conditions."""

import pytest
from django.http import HttpResponse

from apps_registry.models import App
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.models import CallbackRule
from postbacks.rulebook import saving
from tests import make
from tests.admin.pages import filled_form, sign_in, submit

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/postbacks/callbackrule/"
RULE = {
    "name": "Purchases",
    "triggers": "purchase",
    "url": "https://ads.example.com/?e={{event_name}}",
}


def rule_of(made: make.Tenant) -> CallbackRule:
    with tenant(made.organization.pk):
        return CallbackRule.objects.order_by("id")[0]


def with_two_versions(made: make.Tenant) -> CallbackRule:
    with tenant(made.organization.pk):
        rule = CallbackRule(name="Purchases", url="https://ads.example.com/first")
        saving.save(rule, by=made.owner)
        rule.url = "https://ads.example.com/second"
        saving.save(rule, by=None)
        return rule


def text_of(page: HttpResponse) -> str:
    return str(page.content.decode())


def test_versions_say_who_saved_them_and_what_changed() -> None:
    made = make.make_tenant()
    rule = with_two_versions(made)

    page = sign_in(made.owner).get(f"{LIST}{rule.pk}/versions/?older=1&newer=2")

    assert made.owner.email in text_of(page)
    assert "https://ads.example.com/first" in text_of(page)
    assert "https://ads.example.com/second" in text_of(page)


def test_restoring_asks_first_and_makes_a_new_version() -> None:
    made = make.make_tenant()
    rule = with_two_versions(made)
    browser, path = sign_in(made.owner), f"{LIST}{rule.pk}/versions/"

    question = browser.post(path, {"number": "1"})
    unchanged = rule_of(made)
    answer = browser.post(path, {"number": "1", "confirmed": "yes"})

    assert "Restore version 1?" in text_of(question)
    assert (unchanged.version, answer.status_code) == (2, 302)
    restored = rule_of(made)
    assert (restored.version, restored.url) == (3, "https://ads.example.com/first")


def test_a_version_that_can_not_be_restored_says_why() -> None:
    made = make.make_tenant()
    rule = with_two_versions(made)
    with tenant(made.organization.pk):
        rule = CallbackRule.objects.get()
        rule.name = "Renamed"
        saving.save(rule, by=None)
        make.make_rule(name="Purchases")

    path = f"{LIST}{rule.pk}/versions/"
    answer = sign_in(made.owner).post(path, {"number": "1", "confirmed": "yes"}, follow=True)

    assert "Another rule has this name." in text_of(answer)
    assert rule_of(made).version == 3


def test_analysts_compare_and_restore_nothing() -> None:
    made = make.make_tenant()
    rule = with_two_versions(made)
    analyst = sign_in(make.make_user(Role.ANALYST, organization=made.organization))

    page = analyst.get(f"{LIST}{rule.pk}/versions/")
    refused = analyst.post(f"{LIST}{rule.pk}/versions/", {"number": "1", "confirmed": "yes"})
    no_copy = analyst.get(f"{LIST}{rule.pk}/copy/")

    assert (page.status_code, refused.status_code, no_copy.status_code) == (200, 403, 403)
    assert ">Restore<" not in text_of(page)


def test_a_rule_is_copied_to_the_apps_that_are_chosen() -> None:
    made = make.make_tenant()
    rule = with_two_versions(made)
    with tenant(made.organization.pk):
        App.objects.create(name="Not chosen", platform="ios")
    browser, path = sign_in(made.owner), f"{LIST}{rule.pk}/copy/"

    nothing = browser.post(path, {})
    answer = browser.post(path, {"apps": [made.app.pk]}, follow=True)

    assert "Choose at least one app." in text_of(nothing)
    name = f"Purchases ({made.app.name})"
    assert f"Drafts made: {name}." in text_of(answer)
    with tenant(made.organization.pk):
        copies = CallbackRule.objects.exclude(pk=rule.pk)
        assert [(copy.name, copy.app, copy.status) for copy in copies] == [
            (name, made.app, "draft")
        ]


def test_conditions_authentication_and_limits_are_written_in_plain_inputs() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        partner = make.make_partner(
            credentials={"api_key": "a-secret"}, allowed_hosts=("ads.example.com",)
        )

    submit(
        sign_in(made.owner),
        f"{LIST}add/",
        {
            **RULE,
            "partner": str(partner.pk),
            "conditions_join": "any",
            "condition_lines": "country in DE, AT\nrevenue>=5\n\nparams.main exists",
            "auth_type": "bearer",
            "auth_credential": "api_key",
            "sign": "on",
            "rate_limit_per_second": "20",
            "max_in_flight": "4",
        },
    )

    rule = rule_of(made)
    assert rule.conditions == {
        "any": [
            {"field": "country", "operator": "in", "value": ["DE", "AT"]},
            {"field": "revenue", "operator": "≥", "value": "5"},
            {"field": "params.main", "operator": "exists", "value": True},
        ]
    }
    assert rule.authentication == {"type": "bearer", "credential": "api_key"}
    assert (rule.sign, rule.rate_limit_per_second, rule.max_in_flight) == (True, 20, 4)


def test_what_came_by_the_api_is_kept_where_it_is_not_touched() -> None:
    made = make.make_tenant()
    lines = [{"field": "revenue", "operator": "≥", "value": 5.5}]
    with tenant(made.organization.pk):
        rule = make.make_rule(conditions={"any": lines})

    submit(sign_in(made.owner), f"{LIST}{rule.pk}/change/", {"name": "Renamed"})

    saved = rule_of(made)
    assert (saved.name, saved.conditions) == ("Renamed", {"any": lines})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"condition_lines": "country in DE\ncontry = DE"}, "Line 2: Unknown macro contry."),
        ({"condition_lines": "country is DE"}, "Line 1: write it as"),
        ({"condition_lines": "revenue ≥ much"}, "Line 1: revenue is compared with a number"),
        ({"auth_type": "bearer"}, "Name a credential"),
        ({"auth_type": "hmac", "auth_header": "Host"}, "Host is set by the connection"),
    ],
)
def test_a_mistake_is_told_beside_its_field(fields: dict[str, str], words: str) -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)

    answer = submit(browser, f"{LIST}add/", {**RULE, **fields})

    assert answer.status_code == 200
    assert words in text_of(answer)
    for name, value in fields.items():
        assert filled_form(text_of(answer))[name].strip() == value
