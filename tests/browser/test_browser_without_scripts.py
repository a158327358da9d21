"""The product in a browser that runs no scripts: everything works, only less quickly."""

from playwright.sync_api import Browser, Page, expect

from tests.browser.steps import find_in_log, go_to, received, report, row_of, sign_in, wait_for
from tests.browser.visit import new_context, open_page
from tests.faults.demo_process import DemoProcess


def test_a_rule_is_made_and_its_postback_resent_without_scripts(
    browser: Browser, demo: DemoProcess
) -> None:
    driving = demo.driving()
    home, partner_url = driving["base_url"], driving["partner_url"]

    with (
        new_context(browser, home, scripts=False) as context,
        open_page(context, home=home) as page,
    ):
        sign_in(page, driving["users"][1])
        make_rule(page, f"{partner_url}/ok/plain?id={{{{idfa}}}}")
        event_id = report(home, driving["sdk_key"], "plain_event", idfa="plain-idfa")
        find_in_log(page, event_id)
        wait_for(page, row_of(page, "Made without scripts").get_by_text("Delivered", exact=True))
        resend_it(page)
        wait_for(page, row_of(page, "Made without").get_by_role("cell", name="2", exact=True))

    tested, *sent = [request.query for request in received(partner_url, "/ok/plain")]
    assert tested.startswith("id=")
    assert sent == ["id=plain-idfa"] * 2


def make_rule(page: Page, url: str) -> None:
    go_to(page, "Callback rules")
    page.get_by_role("link", name="Add callback rule").first.click()
    page.get_by_role("textbox", name="Name (required)").fill("Made without scripts")
    page.get_by_label("Status", exact=True).select_option("Active: sends from now on")
    page.get_by_label("Events", exact=True).fill("plain_event")
    page.get_by_label("URL").fill(url)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("Nothing has been saved yet.")).to_be_visible()
    expect(page.get_by_role("row", name="id {{idfa}}")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="Not tested yet.")).to_be_visible()
    page.get_by_role("button", name="Send a test first").click()
    expect(page.get_by_text("HTTP 200")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Made without scripts")).to_be_visible()


def resend_it(page: Page) -> None:
    """Open the postback's page from its row, and send it again after the question."""
    row_of(page, "Made without scripts").get_by_role("link", name="Details").click()
    expect(page.get_by_role("heading", name="Answer: HTTP 200")).to_be_visible()
    page.get_by_role("link", name="Resend").click()
    page.get_by_role("button", name="Yes, resend it").click()
    expect(page.get_by_text("The postback is on the way.")).to_be_visible()
