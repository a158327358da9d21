"""Pages that no address alone leads to: after a mistake, a question, or a click."""

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import looks
from tests.browser.admin_pages import admin_routes
from tests.browser.faults import faults, faults_in_light
from tests.browser.people import page_of
from tests.browser.site import Site
from tests.browser.steps import go_to

_ASKS_NOTHING = "/admin/apps_registry/signingsecret/add/"  # sent empty, it makes a secret
_CHOICES = {"/admin/postbacks/alert/add/": "?kind=success_rate"}  # asked before the form
_FORMS = [
    route.template + _CHOICES.get(route.template, "")
    for route in admin_routes()
    if route.template.endswith("/add/") and route.template != _ASKS_NOTHING
]


def assert_for_everybody(page: Page) -> None:
    findings = faults(page)
    assert not findings, "\n".join(findings)


def test_the_sign_in_page_is_for_everybody(browser: Browser, site: Site) -> None:
    with page_of(None, browser, site) as page:
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert_for_everybody(page)


def test_a_refused_sign_in_is_for_everybody(browser: Browser, site: Site) -> None:
    with page_of(None, browser, site) as page:
        page.get_by_label("E-mail address").fill("nobody@example.com")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()

        expect(page.get_by_role("alert")).to_be_visible()
        assert_for_everybody(page)


def test_the_page_after_signing_out_is_for_everybody(browser: Browser, site: Site) -> None:
    with page_of(site.analyst, browser, site) as page:
        page.get_by_text(site.analyst.email).first.click()
        page.get_by_role("button", name="Sign out").click()

        expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
        assert_for_everybody(page)


@pytest.mark.parametrize("path", _FORMS)
def test_a_form_that_is_sent_empty_is_for_everybody(path: str, page: Page) -> None:
    answer = page.request.get(path)
    if answer.status == 403:
        return  # nobody adds to a log
    page.goto(path)

    page.evaluate("for (const form of document.forms) form.noValidate = true")
    page.evaluate("for (const it of document.getElementsByName('name')) it.value = ''")  # defaults
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator("[aria-invalid=true]").first).to_be_visible()
    assert_for_everybody(page)


def test_an_opened_row_of_the_log_is_for_everybody(page: Page) -> None:
    page.goto("/admin/")
    go_to(page, "Delivery log")
    for button in page.get_by_role("button", name="Details of").all():
        button.click()

    expect(page.get_by_text("As a curl command").first).to_be_visible()
    assert_for_everybody(page)


def test_a_log_in_which_nothing_is_found_is_for_everybody(page: Page) -> None:
    page.goto("/admin/postbacks/postback/?status=failed&event=nothing")

    expect(page.get_by_text("Nothing found")).to_be_visible()
    assert_for_everybody(page)


def test_filters_that_cannot_be_read_are_for_everybody(page: Page) -> None:
    page.goto("/admin/postbacks/postback/?q=not-an-id&code=never&since=tomorrow")

    expect(page.get_by_text("Nothing is shown yet")).to_be_visible()
    assert_for_everybody(page)


def test_the_question_before_archiving_is_for_everybody(page: Page) -> None:
    page.goto("/admin/")
    go_to(page, "Apps")
    page.get_by_role("checkbox", name="Select record").first.check()
    page.get_by_role("combobox", name="action").select_option(label="Archive selected apps")
    page.get_by_role("button", name="Go").click()

    expect(page.get_by_role("button", name="Yes")).to_be_visible()
    assert_for_everybody(page)


def test_the_page_that_shows_a_key_once_is_for_everybody(page: Page) -> None:
    page.goto("/admin/")
    go_to(page, "SDK keys")
    page.get_by_role("link", name="Add SDK key").first.click()
    page.get_by_label("App").select_option(index=1)
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_role("heading", name="Copy the new SDK key now")).to_be_visible()
    assert_for_everybody(page)


def test_a_rule_with_a_mistyped_macro_is_for_everybody(page: Page) -> None:
    page.goto("/admin/postbacks/callbackrule/add/")
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    page.get_by_label("URL").fill("https://ads.example.com/postback?id={{idfaa}}&event={event}")

    expect(page.get_by_text("{{idfaa}}").last).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="problem")).to_be_visible()
    assert_for_everybody(page)


def test_an_address_that_leads_nowhere_is_for_everybody(owners_browser: BrowserContext) -> None:
    with owners_browser.new_page() as page:  # not watched: the console tells of the 404 itself
        page.goto("/admin/nowhere/")

        assert not faults_in_light(page)


def test_the_menu_on_a_phone_is_for_everybody(page: Page) -> None:
    page.goto("/admin/")
    page.set_viewport_size(looks.PHONE)
    page.get_by_role("button", name="Menu", exact=True).click()

    expect(page.get_by_role("link", name="Delivery log")).to_be_in_viewport()
    assert_for_everybody(page)


def test_the_colors_that_somebody_chose_stay(browser: Browser, site: Site) -> None:
    with page_of(site.owner, browser, site) as page:
        page.get_by_text(site.owner.email).first.click()
        page.get_by_role("button", name="Dark").click()
        page.reload()

        assert page.evaluate("document.documentElement.classList.contains('dark')")
