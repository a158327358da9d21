"""The way from the sign-in page to a postback that was sent again, on a real demo."""

import re

from playwright.sync_api import Browser, Page, expect

from tests.browser.steps import find_in_log, go_to, received, report, row_of, sign_in, wait_for
from tests.browser.visit import new_context, open_page
from tests.faults.demo_process import DemoProcess

RULE = "Purchases of the journey"
TEMPLATE = "?id={{advertising_id}}&app={{bundle_id}}&event={{event_name}}&amount={{revenue|cents}}"


def test_an_owner_sets_up_an_app_and_follows_its_first_postback(
    browser: Browser, demo: DemoProcess
) -> None:
    driving = demo.driving()
    home, partner_url = driving["base_url"], driving["partner_url"]

    with new_context(browser, home) as context, open_page(context, home=home) as page:
        sign_in(page, driving["users"][0])
        add_app(page)
        key = make_sdk_key(page)
        make_rule(page, f"{partner_url}/ok/journey{TEMPLATE}")
        event_id = report(
            home,
            key,
            "purchase",
            bundle_id="com.example.journey",
            idfa="6D92078A-8246-4BA4-AE5B-76104861E7DC",
            revenue="4.99",
            currency="EUR",
        )
        see_it_delivered(page, event_id)
        resend_it(page)
        see_both_tries(page)
        see_the_event(page, event_id)

    query = (
        "id=6D92078A-8246-4BA4-AE5B-76104861E7DC&app=com.example.journey&event=purchase&amount=499"
    )
    tested, *sent = [request.query for request in received(partner_url, "/ok/journey")]
    assert "event=purchase" in tested
    assert sent == [query, query]


def add_app(page: Page) -> None:
    go_to(page, "Apps")
    page.get_by_role("link", name="Add app").first.click()
    page.get_by_label("Name").fill("Journey iOS")
    page.get_by_label("Platform").select_option("iOS")
    page.get_by_label("Store ID").fill("1536748292")
    page.get_by_text("Add another Bundle ID").click()
    page.get_by_role("textbox", name="Bundle ID").fill("com.example.journey")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Journey iOS")).to_be_visible()


def make_sdk_key(page: Page) -> str:
    go_to(page, "SDK keys")
    page.get_by_role("link", name="Add SDK key").first.click()
    page.get_by_label("App").select_option("Journey iOS")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Copy the new SDK key now")).to_be_visible()
    return page.get_by_text(re.compile(r"^\s*pbk_\S+\s*$")).inner_text().strip()


def make_rule(page: Page, url: str) -> None:
    go_to(page, "Callback rules")
    page.get_by_role("link", name="Add callback rule").first.click()
    page.get_by_role("textbox", name="Name (required)").fill(RULE)
    page.get_by_label("Status", exact=True).select_option("Active: sends from now on")
    page.get_by_label("App", exact=True).select_option("Journey iOS")
    page.get_by_label("Events", exact=True).fill("purchase")
    page.get_by_label("URL").fill(url)
    preview = page.get_by_role("region", name="Preview")
    filled = preview.get_by_role("row", name="amount {{revenue|cents}}")
    expect(filled.get_by_role("cell").last).to_have_text(re.compile(r"^\d+$"))
    page.get_by_role("button", name="Send a test", exact=True).click()
    tested = page.get_by_role("region", name="Test send")
    expect(tested.get_by_text("Success", exact=True)).to_be_visible()
    expect(tested.get_by_text("HTTP 200")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").filter(has_text=RULE)).to_be_visible()


def see_it_delivered(page: Page, event_id: str) -> None:
    """Open the row in place: what was sent, what came back, how long it took."""
    find_in_log(page, event_id)
    wait_for(page, row_of(page, RULE).get_by_text("Delivered", exact=True))
    row_of(page, RULE).get_by_role("button", name="Details").click()
    sent = page.get_by_role("table", name="Parameters")
    expect(sent).to_contain_text("6D92078A-8246-4BA4-AE5B-76104861E7DC")
    expect(sent).to_contain_text("com.example.journey")
    expect(page.get_by_role("heading", name="Answer: HTTP 200")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^\s*\d+\s+ms\s*$")).last).to_be_visible()


def resend_it(page: Page) -> None:
    page.get_by_role("link", name="Resend").click()
    expect(page.get_by_role("heading", name="Resend this postback?")).to_be_visible()
    page.get_by_role("button", name="Yes, resend it").click()
    expect(page.get_by_text("The postback is on the way.")).to_be_visible()


def see_both_tries(page: Page) -> None:
    wait_for(page, row_of(page, RULE).get_by_role("cell", name="2", exact=True))
    expect(page.get_by_role("group").filter(has_text="#2")).to_contain_text("Resend")
    expect(page.get_by_role("group").filter(has_text="#1")).to_contain_text("Automatic")


def see_the_event(page: Page, event_id: str) -> None:
    """Go on to the event's own page: what the app reported, and what followed."""
    page.get_by_role("link", name="Open as a page").click()
    page.get_by_role("main").get_by_role("link", name="purchase").first.click()
    expect(page.get_by_text(event_id).first).to_be_visible()
    expect(page.get_by_text(RULE).first).to_be_visible()
