"""Two people in two browsers: an owner invites, an analyst joins and works within the role."""

import pytest
from django.core.cache import cache
from playwright.sync_api import Browser, Page, expect

from apps_registry.models import User
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.models import CallbackRule
from tests import make
from tests.accounts.people import PASSWORD, code_of, link_in_mail
from tests.browser.accounts import (
    confirm,
    judge,
    open_account,
    plug_in_authenticator,
    set_up_app,
    sign_in,
)
from tests.browser.people import browser_of, page_of
from tests.browser.site import Site
from tests.browser.steps import go_to
from tests.browser.visit import new_context, open_page

ADA = "ada@example.com"


@pytest.fixture(autouse=True)
def _no_tries_yet() -> None:
    cache.clear()


def _person(site: Site, role: str = Role.OWNER) -> User:
    return make.make_user(role, organization=site.story.tenant.organization)


def test_an_invited_analyst_joins_looks_and_can_not_change(browser: Browser, site: Site) -> None:
    with (
        page_of(site.owner, browser, site) as owners,
        page_of(None, browser, site) as analysts,
    ):
        _invite(owners)
        _join(analysts)
        open_account(analysts)
        judge(analysts)
        set_up_app(analysts)
        _look_at_the_log(analysts)
        _fail_to_edit_a_rule(analysts, site)
        _see_the_new_member(owners)


def _invite(page: Page) -> None:
    go_to(page, "Members")
    page.get_by_role("link", name="Invite", exact=True).click()
    judge(page)
    page.get_by_label("E-mail address").fill(ADA)
    page.get_by_label("Role").select_option("Analyst")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(f"{ADA} is invited.")).to_be_visible()
    expect(page.get_by_role("region", name="Open invitations")).to_contain_text(ADA)
    judge(page)


def _join(page: Page) -> None:
    page.goto(link_in_mail())
    expect(page.get_by_text("as analyst")).to_be_visible()
    judge(page)
    page.get_by_label("Your name").fill("Ada Lovelace")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Join", exact=True).click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def _look_at_the_log(page: Page) -> None:
    page.get_by_role("link", name="I have kept them").click()
    go_to(page, "Delivery log")
    expect(page.get_by_role("table").first).to_be_visible()


def _fail_to_edit_a_rule(page: Page, site: Site) -> None:
    with tenant(site.story.organization_id):
        rule = CallbackRule.objects.order_by("pk").first()
    assert rule is not None
    address = f"/admin/postbacks/callbackrule/{rule.pk}/change/"
    page.goto(address)
    expect(page.get_by_role("heading", name=rule.name)).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    token = page.locator("[name=csrfmiddlewaretoken]").first.input_value()

    refused = page.request.post(
        site.url + address, form={"csrfmiddlewaretoken": token, "name": "Changed"}
    )

    assert refused.status == 403
    assert "Your role in this organization can't do this." in refused.text()


def _see_the_new_member(page: Page) -> None:
    page.reload()
    row = page.get_by_role("row").filter(has_text=ADA)
    expect(row).to_contain_text("Analyst")
    expect(row).to_contain_text("On")
    expect(page.get_by_role("region", name="Open invitations")).not_to_contain_text(ADA)
    go_to(page, "Audit log")
    accepted = page.get_by_role("row").filter(has_text=ADA).filter(has_text="Member")
    expect(accepted.first).to_contain_text("Created")


def test_a_code_of_the_app_is_asked_for_at_sign_in(browser: Browser, site: Site) -> None:
    person = _person(site)
    secret = make.make_second_factor(person)

    with page_of(None, browser, site) as page:
        judge(page)
        sign_in(page, person.email)
        expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
        judge(page)
        page.get_by_label("Code").fill(code_of(secret))
        page.get_by_role("button", name="Sign in").click()

        expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_a_passkey_is_added_and_signs_in_alone(browser: Browser, site: Site) -> None:
    person = _person(site)
    by_name = site.url.replace("127.0.0.1", "localhost")  # a passkey belongs to a name

    with new_context(browser, by_name) as context, open_page(context, home=by_name) as page:
        plug_in_authenticator(page)
        sign_in(page, person.email)
        page.goto("/accounts/passkeys/")
        judge(page)
        page.get_by_role("link", name="Add a passkey").click()
        confirm(page)
        judge(page)
        page.get_by_label("Name").fill("Work laptop")
        page.get_by_role("button", name="Add passkey").click()
        expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
        page.goto("/accounts/passkeys/")
        expect(page.get_by_text("Work laptop")).to_be_visible()
        expect(page.get_by_text("Signs in alone")).to_be_visible()
        judge(page)

        context.clear_cookies()
        page.goto("/accounts/login/?next=/admin/postbacks/event/")
        page.get_by_role("button", name="Use a passkey").click()

        expect(page.get_by_role("heading", name="Events")).to_be_visible()


def test_where_passkeys_can_not_work_the_page_says_what_helps(browser: Browser, site: Site) -> None:
    with page_of(None, browser, site) as page:
        page.get_by_role("button", name="Use a passkey").click()

        expect(page.get_by_role("alert")).to_contain_text("http://localhost:")


def test_pages_of_ones_own_account_are_for_everybody(browser: Browser, site: Site) -> None:
    person = _person(site)
    pages = {
        "/accounts/password/": "Change password",
        "/accounts/sessions/": "Where you are signed in",
        "/accounts/second-factor/app/remove/": "Turn the authenticator app off?",
        "/accounts/second-factor/recovery-codes/new/": "Make new recovery codes?",
        "/accounts/second-factor/": "Recovery codes",
    }

    with page_of(None, browser, site) as page:
        sign_in(page, person.email)
        page.goto("/accounts/second-factor/")
        set_up_app(page)
        for address, heading in pages.items():
            page.goto(address)
            expect(page.get_by_role("heading", name=heading)).to_be_visible()
            judge(page)
        page.goto("/accounts/second-factor/confirm/?next=/admin/")
        judge(page)


def test_pages_around_a_lost_password_are_for_everybody(browser: Browser, site: Site) -> None:
    with page_of(None, browser, site) as page:
        page.get_by_role("link", name="Lost your password?").click()
        judge(page)
        page.get_by_label("E-mail address").fill(site.analyst.email)
        page.get_by_role("button", name="Mail me a link").click()
        expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()
        judge(page)
        page.goto(link_in_mail())
        judge(page)
        page.get_by_label("New password", exact=True).fill("short")
        page.get_by_label("New password once more").fill("short")
        page.get_by_role("button", name="Change password").click()
        expect(page.get_by_text("at least 10 characters").first).to_be_visible()
        judge(page)
        page.get_by_label("New password", exact=True).fill("a quite different battery")
        page.get_by_label("New password once more").fill("a quite different battery")
        page.get_by_role("button", name="Change password").click()
        expect(page.get_by_role("heading", name="Password changed")).to_be_visible()
        judge(page)


def test_a_required_second_factor_leads_to_its_page(browser: Browser, site: Site) -> None:
    organization = make.make_organization("Strict")
    organization.require_second_factor = True
    organization.save()
    person = make.make_user(organization=organization)

    with browser_of(person, browser, site) as context, open_page(context, home=site.url) as page:
        page.goto("/admin/")

        expect(page.get_by_text("requires a second factor")).to_be_visible()
        judge(page)


def test_invitations_that_lead_nowhere_are_for_everybody(browser: Browser, site: Site) -> None:
    organization = site.story.tenant.organization
    invitation = make.make_invitation(organization, site.newcomer.email)

    with (
        page_of(_person(site, Role.ANALYST), browser, site) as others,
        page_of(None, browser, site) as page,
    ):
        others.goto(link_in_mail())
        expect(others.get_by_text("This is for somebody else")).to_be_visible()
        judge(others)
        page.goto(link_in_mail())
        expect(page.get_by_role("link", name="Sign in to join")).to_be_visible()
        judge(page)
        sign_in(page, site.newcomer.email)
        page.goto(link_in_mail())
        expect(page.get_by_role("button", name="Join Gem Harbor")).to_be_visible()
        judge(page)
    invitation.delete()
