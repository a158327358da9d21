"""The product without a mouse: every stop is seen, and nothing needs a click."""

from playwright.sync_api import Browser, Page, expect

from tests.browser.keyboard import choose, tab_to, type_into
from tests.browser.steps import go_to, sign_in
from tests.browser.visit import new_context, open_page
from tests.faults.demo_process import DemoProcess


def test_a_marketer_signs_in_and_reads_the_log_by_keyboard(
    browser: Browser, demo: DemoProcess
) -> None:
    home, marketer = demo.driving()["base_url"], demo.driving()["users"][1]

    with new_context(browser, home) as context, open_page(context, home=home) as page:
        page.goto("/admin/")
        page.keyboard.type(marketer["email"])  # the form has put the cursor there
        type_into(page, "Password", marketer["password"])
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
        tab_to(page, "Delivery log")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Delivery log", level=1)).to_be_visible()
        open_and_close_a_row(page)


def open_and_close_a_row(page: Page) -> None:
    tab_to(page, "Details of the postback")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Request").first).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Request")).to_be_hidden()


def test_a_marketer_writes_a_rule_by_keyboard(browser: Browser, demo: DemoProcess) -> None:
    home, marketer = demo.driving()["base_url"], demo.driving()["users"][1]

    with new_context(browser, home) as context, open_page(context, home=home) as page:
        sign_in(page, marketer)
        go_to(page, "Callback rules")
        tab_to(page, "Add callback rule")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Add callback rule")).to_be_visible()
        expect(page.get_by_role("textbox", name="Name")).to_be_focused()
        page.keyboard.type("Written by keyboard")
        choose(page, "App", "Gem Harbor iOS")
        type_into(page, "Events", "registration")
        type_into(page, "URL", "https://ads.example.com/postback?id={{idfa}}")
        expect(page.get_by_role("region", name="Preview")).to_contain_text("ads.example.com")
        tab_to(page, "Save")
        page.keyboard.press("Enter")

        expect(page.get_by_role("status").filter(has_text="Written by keyboard")).to_be_visible()
