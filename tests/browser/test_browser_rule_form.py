"""What scripts add to the form of a callback rule: the way to a mistake, names by a press."""

import pytest
from playwright.sync_api import Page, expect

ADD = "/admin/postbacks/callbackrule/add/"


@pytest.fixture
def page(page: Page) -> Page:
    """An empty form in front of the owner."""
    page.goto(ADD)
    return page


def test_a_mistake_is_one_press_away_also_where_it_was_folded(page: Page) -> None:
    page.get_by_role("textbox", name="Name (required)").fill("A rule")
    page.get_by_text("Headers and body", exact=True).click()
    page.get_by_label("Headers").fill("no colon")
    page.get_by_role("button", name="Save", exact=True).click()
    banner = page.get_by_role("alert").filter(has_text="Nothing was saved.")
    expect(banner).to_be_focused()
    page.get_by_text("Headers and body", exact=True).click()
    expect(page.get_by_label("Headers")).to_be_hidden()

    banner.get_by_role("link", name="Headers").click()

    expect(page.get_by_label("Headers")).to_be_focused()


def test_a_name_takes_the_place_of_any_event(page: Page) -> None:
    events = page.get_by_label("Events", exact=True)
    expect(events).to_have_value("")

    page.get_by_role("button", name="any event").click()
    expect(events).to_have_value("*")
    page.get_by_role("button", name="purchase").click()
    page.get_by_role("button", name="registration").click()

    expect(events).to_have_value("purchase, registration")
