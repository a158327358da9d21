"""What a rule holds, in the admin: counted, asked about when it is switched on, sent or dropped."""

import pytest
from django.test import Client

from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.models import (
    CallbackRule,
    HeldPostback,
    JobAction,
    PostbackJob,
    RuleStatus,
    SkipReason,
)
from tests import make
from tests.admin.pages import filled_form, sign_in, submit
from tests.events import event, postbacks_of, record
from tests.workers import decide, work_on_held

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/postbacks/callbackrule/"
ASKED = "What should happen to the 3 held postbacks?"


@pytest.fixture
def made() -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def rule(made: make.Tenant) -> CallbackRule:
    """Return a suspended rule that holds three postbacks."""
    rule = make.make_tenant_rule(made)
    with tenant(made.organization.pk):
        CallbackRule.objects.update(status=RuleStatus.SUSPENDED)
    record(made, *(event(install_id=f"device-{number}") for number in range(3)))
    decide()
    return rule


@pytest.fixture
def browser(made: make.Tenant) -> Client:
    return sign_in(made.owner)


def page_of(rule: CallbackRule, name: str = "change") -> str:
    return f"{LIST}{rule.pk}/{name}/"


def status_of(made: make.Tenant) -> str:
    with tenant(made.organization.pk):
        return CallbackRule.objects.get().status


def jobs(made: make.Tenant) -> list[str]:
    with tenant(made.organization.pk):
        return list(PostbackJob.objects.values_list("action", flat=True))


def text_of(answer: object) -> str:
    return " ".join(answer.content.decode().split())  # type: ignore[attr-defined]  # a response


def test_the_page_of_a_suspended_rule_says_how_many_it_holds(
    browser: Client, rule: CallbackRule
) -> None:
    words = text_of(browser.get(page_of(rule)))

    assert "3 postbacks are held</strong> since this rule was suspended" in words
    assert "After 7 days" in words
    assert page_of(rule, "held") in words


@pytest.mark.parametrize("action", JobAction.values)
def test_switching_on_asks_first_and_does_what_was_answered(
    browser: Client, made: make.Tenant, rule: CallbackRule, action: str
) -> None:
    changes = {"status": RuleStatus.ACTIVE, "url": "https://b.example/p", "_anyway": "1"}
    asked = submit(browser, page_of(rule), changes)
    assert ASKED in text_of(asked)
    assert (asked.status_code, status_of(made), jobs(made)) == (200, RuleStatus.SUSPENDED, [])

    answered = browser.post(
        page_of(rule), {**filled_form(asked.content.decode()), "_held": action}, follow=True
    )
    assert "in the background" in text_of(answered)
    assert (status_of(made), jobs(made)) == (RuleStatus.ACTIVE, [action])
    work_on_held()

    reason = {"send": "", "drop": SkipReason.HELD_DROPPED}[action]
    assert [postback.reason for postback in postbacks_of(made)] == [reason] * 3


def test_an_untested_rule_is_asked_about_its_test_and_then_about_what_it_holds(
    browser: Client, made: make.Tenant, rule: CallbackRule
) -> None:
    first = submit(browser, page_of(rule), {"_switch_on": "1"})
    assert "Not tested yet." in text_of(first)
    assert ASKED not in text_of(first)

    second = browser.post(page_of(rule), {**filled_form(first.content.decode()), "_anyway": "1"})
    assert ASKED in text_of(second)
    browser.post(page_of(rule), {**filled_form(second.content.decode()), "_held": "keep"})

    assert (status_of(made), jobs(made)) == (RuleStatus.ACTIVE, [])
    with tenant(made.organization.pk):
        assert HeldPostback.objects.count() == 3


def test_saving_without_switching_on_asks_nothing(
    browser: Client, made: make.Tenant, rule: CallbackRule
) -> None:
    answer = submit(browser, page_of(rule), {"url": "https://b.example/p"})

    assert answer.status_code == 302
    assert status_of(made) == RuleStatus.SUSPENDED


@pytest.mark.parametrize("action", [*JobAction.values, "keep", ""])
def test_the_list_asks_too(
    browser: Client, made: make.Tenant, rule: CallbackRule, action: str
) -> None:
    chosen = {"action": "switch_on", "_selected_action": rule.pk}
    asked = browser.post(LIST, chosen)
    assert ASKED in text_of(asked)

    browser.post(LIST, {**chosen, "confirmed": "yes", "_held": action})

    assert status_of(made) == RuleStatus.ACTIVE
    assert jobs(made) == ([action] if action in JobAction.values else [])


def test_the_held_page_sends_and_drops_what_an_active_rule_holds(
    browser: Client, made: make.Tenant, rule: CallbackRule
) -> None:
    suspended = text_of(browser.get(page_of(rule, "held")))
    assert 'value="drop"' in suspended
    assert 'value="send"' not in suspended
    with tenant(made.organization.pk):
        CallbackRule.objects.update(status=RuleStatus.ACTIVE)
    assert "Send or drop them" in text_of(browser.get(page_of(rule)))

    answer = browser.post(page_of(rule, "held"), {"action": "send"}, follow=True)
    assert "Held postbacks are being sent:</strong> 0 so far, 3 still held." in text_of(answer)
    work_on_held()

    assert "The rule holds no postbacks." in text_of(browser.get(page_of(rule, "held")))
    assert jobs(made) == ["send"]


def test_a_suspended_rule_is_not_made_to_send(
    browser: Client, made: make.Tenant, rule: CallbackRule
) -> None:
    answer = browser.post(page_of(rule, "held"), {"action": "send"}, follow=True)

    assert "set its status to active" in text_of(answer)
    assert jobs(made) == []


def test_an_analyst_sees_what_is_held_and_changes_nothing(
    made: make.Tenant, rule: CallbackRule
) -> None:
    analyst = sign_in(make.make_user(Role.ANALYST, organization=made.organization))

    page = analyst.get(page_of(rule, "held"))
    refused = analyst.post(page_of(rule, "held"), {"action": "drop"})

    assert "3 postbacks are held" in text_of(page)
    assert 'value="drop"' not in text_of(page)
    assert refused.status_code == 403
    assert jobs(made) == []


def test_another_organizations_rule_is_not_there(rule: CallbackRule) -> None:
    stranger = sign_in(make.make_tenant("Moss Valley").owner)

    for answer in (
        stranger.get(page_of(rule, "held"), follow=True),
        stranger.post(page_of(rule, "held"), {"action": "drop"}),
    ):
        assert "postbacks are held" not in text_of(answer)
        assert answer.status_code == 404


def test_the_overview_names_rules_that_hold_on_after_they_were_switched_on(
    browser: Client, made: make.Tenant, rule: CallbackRule
) -> None:
    notice = "1 callback rule still holds postbacks from when it was suspended."
    assert notice not in text_of(browser.get("/admin/"))

    with tenant(made.organization.pk):
        CallbackRule.objects.update(status=RuleStatus.ACTIVE)
    overview = text_of(browser.get("/admin/"))
    assert notice in overview
    assert page_of(rule) in overview
    browser.post(page_of(rule, "held"), {"action": "drop"})

    assert notice not in text_of(browser.get("/admin/"))


def test_the_log_says_of_each_that_it_is_held(
    browser: Client, made: make.Tenant, rule: CallbackRule
) -> None:
    postback = postbacks_of(made)[0]

    words = text_of(browser.get(f"/admin/postbacks/postback/{postback.pk}/change/", follow=True))

    assert "Held, since its rule was suspended." in words
