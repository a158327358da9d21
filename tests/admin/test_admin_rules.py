"""The form of a callback rule: what is wrong stands beside its field, the rest is a version."""

import pytest

from apps_registry.tenancy import tenant
from postbacks.models import CallbackRule, CallbackRuleVersion, RuleStatus
from tests import make
from tests.admin.pages import filled_form, sign_in, submit

pytestmark = pytest.mark.django_db(transaction=True)

ADD = "/admin/postbacks/callbackrule/add/"
RULE = {"name": "Purchases to Unity Ads", "url": "https://ads.example.com/?e={{event_name}}"}


def _only_rule(made: make.Tenant) -> CallbackRule:
    with tenant(made.organization.pk):
        return CallbackRule.objects.get()


def test_a_rule_is_saved_with_its_first_version_and_who_wrote_it() -> None:
    made = make.make_tenant()

    submit(sign_in(made.owner), ADD, {**RULE, "triggers": "install, purchase", "status": "active"})

    rule = _only_rule(made)
    assert (rule.triggers, rule.status, rule.version) == (["install", "purchase"], "active", 1)
    with tenant(made.organization.pk):
        version = CallbackRuleVersion.objects.get()
        assert (version.number, version.saved_by) == (1, made.owner)
        assert version.definition["url"] == RULE["url"]


def test_a_change_makes_a_version_and_the_page_shows_both() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    submit(browser, ADD, RULE)
    page = f"/admin/postbacks/callbackrule/{_only_rule(made).pk}/change/"

    submit(browser, page, {"url": "https://ads.example.com/second"})

    shown = browser.get(page).content.decode()
    assert _only_rule(made).version == 2
    assert "https://ads.example.com/second" in shown
    assert "https://ads.example.com/?e={{event_name}}" in shown


def test_a_new_rule_is_a_draft_with_the_retry_schedule_filled_in() -> None:
    made = make.make_tenant()

    form = filled_form(sign_in(made.owner).get(ADD).content.decode())

    assert form["status"] == RuleStatus.DRAFT
    assert form["triggers"] == "*"
    assert form["retry_delays"].startswith("5,30,120,600")


@pytest.mark.parametrize(
    ("field", "changes", "words"),
    [
        ("url", {"url": "https://ads.example.com/?id={{advertisng_id}}"}, "advertising_id"),
        ("url", {"url": "https://ads.example.com/?id={{idfa"}, "Position"),
        ("url", {"url": "http://169.254.169.254/latest/"}, "169.254.169.254"),
        ("headers", {"headers": '{"X-Key": "{{idfaa}}"}'}, "X-Key, position 0"),
        (
            "body",
            {"method": "POST", "body_type": "json", "body": '{"a": {{revenu}}}'},
            "revenue",
        ),
        ("headers", {"headers": '{"X-Key": 5}'}, "Expected `str`"),
        ("headers", {"headers": '["X-Key"]'}, "Write a JSON object, in braces."),
        ("headers", {"headers": '{"X-Key": NaN}'}, "This is not JSON."),
        ("headers", {"headers": '{"X-Key": "\\u0000"}'}, "This is not JSON."),
        ("headers", {"headers": '{"X-Key": "\\ud800"}'}, "This is not JSON."),
        ("headers", {"headers": "[" * 100_000}, "This is not JSON."),
        ("event_map", {"event_map": "{purchase: 1}"}, "This is not JSON."),
        ("event_map", {"event_map": '{"purchase": ["a"]}'}, "Expected `str`"),
        ("success", {"success": '{"codes": "all"}'}, ""),
        ("triggers", {"triggers": ""}, "This field is required."),
        ("retry_delays", {"retry_delays": "5,soon"}, "Enter a whole number."),
        ("timeout_seconds", {"timeout_seconds": "16"}, "less than or equal to 15"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    field: str, changes: dict[str, str], words: str
) -> None:
    made = make.make_tenant()

    answer = submit(sign_in(made.owner), ADD, {**RULE, **changes})

    errors = answer.context["adminform"].form.errors
    assert list(errors) == [field]
    assert words in str(errors[field].as_text())
    with tenant(made.organization.pk):
        assert not CallbackRule.objects.exists()


def test_an_emptied_map_is_an_empty_object() -> None:
    made = make.make_tenant()

    submit(sign_in(made.owner), ADD, {**RULE, "event_map": "", "headers": ""})

    rule = _only_rule(made)
    assert (rule.event_map, rule.headers) == ({}, {})


def test_a_credential_without_a_partner_is_refused() -> None:
    made = make.make_tenant()

    answer = submit(
        sign_in(made.owner),
        ADD,
        {**RULE, "url": "https://ads.example.com/?k={{credential.api_key}}"},
    )

    assert list(answer.context["adminform"].form.errors) == ["url"]


def test_a_name_that_another_rule_has_is_refused() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    submit(browser, ADD, RULE)

    answer = submit(browser, ADD, RULE)

    assert "Another rule has this name." in answer.content.decode()


def test_people_choose_draft_active_or_paused_only() -> None:
    made = make.make_tenant()

    answer = submit(sign_in(made.owner), ADD, {**RULE, "status": RuleStatus.SUSPENDED})

    assert list(answer.context["adminform"].form.errors) == ["status"]
