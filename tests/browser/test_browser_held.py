"""A suspended rule in a browser: corrected, switched on, and what it holds sent or dropped."""

import re

import pytest
from playwright.sync_api import Page, expect

from apps_registry.tenancy import tenant
from postbacks.models import CallbackRule, DuePostback, HeldPostback, RuleStatus
from tests import make
from tests.browser.faults import faults
from tests.browser.site import Site
from tests.events import event, record
from tests.workers import decide_all, work_on_held


@pytest.fixture
def rule(site: Site) -> CallbackRule:
    """Return a suspended rule that holds two postbacks."""
    of = site.story.tenant
    rule = make.make_tenant_rule(of, triggers=["coins"])
    with tenant(of.organization.pk):
        CallbackRule.objects.filter(pk=rule.pk).update(status=RuleStatus.SUSPENDED)
    record(of, *(event("coins", install_id=f"coins-{number}") for number in range(2)))
    decide_all()
    return rule


@pytest.fixture
def page(page: Page, rule: CallbackRule) -> Page:
    """The suspended rule in front of the owner."""
    page.goto(f"/admin/postbacks/callbackrule/{rule.pk}/change/")
    return page


def assert_for_everybody(page: Page) -> None:
    findings = faults(page)
    assert not findings, "\n".join(findings)


def correct_and_switch_on(page: Page) -> None:
    page.get_by_label("URL").fill("https://corrected.example/p?event={{event_name}}")
    page.get_by_label("Status", exact=True).select_option("Active: sends from now on")
    page.get_by_role("button", name="Save", exact=True).click()
    untested = page.get_by_role("alert").filter(has_text="Not tested yet.")
    untested.get_by_role("button", name="Switch on anyway").click()


def test_a_corrected_rule_sends_what_it_held_to_its_new_address(
    page: Page, site: Site, rule: CallbackRule
) -> None:
    expect(page.get_by_text(re.compile("2 postbacks are held"))).to_be_visible()
    assert_for_everybody(page)

    correct_and_switch_on(page)
    question = page.get_by_role("alert").filter(has_text="the 2 held postbacks?")
    expect(question).to_be_focused()
    assert_for_everybody(page)
    question.get_by_role("button", name="Switch on and send them").click()

    expect(page.get_by_text("being sent in the background")).to_be_visible()
    work_on_held()
    with tenant(site.story.organization_id):
        hosts = set(DuePostback.objects.filter(rule=rule).values_list("host", flat=True))
        assert (hosts, HeldPostback.objects.filter(rule=rule).count()) == (
            {"corrected.example:443"},
            0,
        )


def test_what_was_left_open_is_dropped_later_on_a_page_of_its_own(
    page: Page, site: Site, rule: CallbackRule
) -> None:
    correct_and_switch_on(page)
    page.get_by_role("button", name="Switch on and decide later").click()
    page.goto(f"/admin/postbacks/callbackrule/{rule.pk}/change/")
    page.get_by_role("link", name="Send or drop them").click()
    assert_for_everybody(page)

    page.get_by_role("button", name="Drop them").click()

    expect(page.get_by_text("being dropped in the background")).to_be_visible()
    work_on_held()
    page.reload()
    expect(page.get_by_text("The rule holds no postbacks.")).to_be_visible()
    assert_for_everybody(page)
