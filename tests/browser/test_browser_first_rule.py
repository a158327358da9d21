"""The first rule of a marketer who has never met the product, and the proof that it works.

From the sign-in page to a postback that arrived, with as few interactions as we promise, by mouse
and by keyboard; nothing on the way is in anybody's way.
"""

import json
import re
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import axe
from tests.browser.interactions import Person, WithKeyboard, WithMouse
from tests.browser.steps import received, report, wait_for
from tests.browser.visit import new_context, open_page
from tests.faults.demo_process import DemoProcess

MOST = 15


@pytest.mark.parametrize(
    ("hands", "app"), [(WithMouse, "First by mouse"), (WithKeyboard, "First by keyboard")]
)
def test_a_new_marketer_sets_up_a_rule_and_sees_its_postback_arrive(
    browser: Browser, demo: DemoProcess, hands: Callable[[Page], Person], app: str
) -> None:
    driving = demo.driving()
    home, partner_url = driving["base_url"], driving["partner_url"]
    path = f"/ok/{app.replace(' ', '-').lower()}"

    with new_context(browser, home) as context, open_page(context, home=home) as page:
        page.goto("/")
        person = hands(page)
        sign_in(person, driving["users"][1])
        add_app(person, app)
        key = key_of_developer(driving, app)
        report(home, key, "purchase", idfa="THE-FIRST-ONE", revenue="4.99", currency="EUR")
        choose_template(person, f"{partner_url}{path}")
        preview_on_real_event(person, app)
        see_it_work_and_switch_on(person)
        event_id = report(home, key, "purchase", idfa="THE-SECOND-ONE")
        wait_for(page, both_delivered(page))

    assert person.count <= MOST
    tested, sent = [request.query for request in received(partner_url, path)]
    assert "advertising_id=THE-FIRST-ONE" in tested
    assert f"event_id={event_id}" in sent


def test_a_url_pasted_from_a_mail_delivers_its_first_purchase_without_a_reload(
    browser: Browser, demo: DemoProcess
) -> None:
    driving = demo.driving()
    home, partner_url = driving["base_url"], driving["partner_url"]
    app, path = "Pasted from a mail", "/ok/pasted"
    key = key_of_new_app(driving, app)
    query = "?id={idfa||gps_adid}&event={event_name}"
    mail = f"Hi, our callback is “{partner_url}{path}{query}”. Best, Tom"

    with new_context(browser, home) as context, open_page(context, home=home) as page:
        page.goto("/")
        person = WithMouse(page)
        sign_in(person, driving["users"][1])
        person.press("Apps")
        person.press(app)
        assert_for_everybody(person, app)
        report(home, key, "purchase", idfa="THE-FIRST-ONE", revenue="4.99", currency="EUR")
        expect(
            page.get_by_role("region", name="Events and postbacks of this app").last
        ).to_contain_text("purchase")
        person.fill("A callback URL", mail)
        person.press("Make a rule from the URL")
        assert_for_everybody(person, "Paste a URL from another tool")
        person.press("Use it in a new rule")
        person.fill("Events", "purchase")
        person.press("Send a test")
        tested = page.get_by_role("region", name="Test send")
        expect(tested.get_by_text("Success", exact=True)).to_be_visible()
        person.press("Switch on")
        assert_for_everybody(person, "Delivery log")
        expect(page.get_by_text("No postback of this rule is here.")).to_be_visible()
        loaded_at = page.evaluate("performance.timeOrigin")
        report(home, key, "purchase", idfa="THE-SECOND-ONE")
        delivered = page.get_by_role("row").filter(has_text="purchase")
        expect(delivered.get_by_text("Delivered", exact=True)).to_be_visible()
        assert page.evaluate("performance.timeOrigin") == loaded_at

    assert person.count <= MOST
    tested_request, sent = [request.query for request in received(partner_url, path)]
    assert "event=purchase" in tested_request
    assert sent == "id=THE-SECOND-ONE&event=purchase"


def key_of_new_app(driving: dict[str, Any], name: str) -> str:
    """Return a key for an app that exists already, as its developer makes both by the API."""
    ask_api(driving, "apps", {"name": name, "platform": "ios"})
    return key_of_developer(driving, name)


def both_delivered(page: Page) -> Locator:
    """Return the older of two delivered rows: the test send stands in the log from the start."""
    delivered = page.get_by_text("Delivered", exact=True)
    return page.get_by_role("row").filter(has_text="purchase").filter(has=delivered).nth(1)


def sign_in(person: Person, marketer: dict[str, str]) -> None:
    assert_for_everybody(person, "Sign in")
    person.fill("E-mail address", marketer["email"])
    person.fill("Password", marketer["password"])
    person.press("Sign in")
    assert_for_everybody(person, "Overview")


def add_app(person: Person, app: str) -> None:
    person.press("Apps")
    assert_for_everybody(person, "Apps")
    person.press("Add app")
    assert_for_everybody(person, "Add app")
    person.fill("Name", app)
    person.pick("Platform", "iOS")
    person.press("Save")
    assert_for_everybody(person, app)


def choose_template(person: Person, address: str) -> None:
    """Our own server has no secret: its address is what the template asks for."""
    person.press("Tell a partner about its events")
    assert_for_everybody(person, "Add a partner from a template")
    person.press("Your server (GET)")
    assert_for_everybody(person, "Add Your server (GET)")
    person.fill("Address", address)
    person.press("Add partner and draft rules")
    assert_for_everybody(person, re.compile("Your server"))


def preview_on_real_event(person: Person, app: str) -> None:
    events = person.page.get_by_role("combobox", name="Filled in from")
    newest = events.get_by_role("option").filter(has_text=f"purchase · {app}").first
    person.pick("Filled in from", newest.inner_text())
    preview = person.page.get_by_role("region", name="Preview")
    expect(preview.get_by_role("row", name="advertising_id")).to_contain_text("THE-FIRST-ONE")


def see_it_work_and_switch_on(person: Person) -> None:
    person.press("Send a test")
    tested = person.page.get_by_role("region", name="Test send")
    expect(tested.get_by_text("Success", exact=True)).to_be_visible()
    assert axe.violations(person.page) == []
    person.press("Switch on")
    assert_for_everybody(person, "Delivery log")


def key_of_developer(driving: dict[str, Any], app: str) -> str:
    """Return a key for the new app, as its developer makes one with the API."""

    (id_,) = [each["id"] for each in ask_api(driving, "apps")["results"] if each["name"] == app]
    return str(ask_api(driving, "sdk-keys", {"app": id_, "kind": "server"})["key"])


def ask_api(
    driving: dict[str, Any], path: str, body: dict[str, str] | None = None
) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{driving['base_url']}/api/v1/{path}",
        data=json.dumps(body).encode() if body else None,
        headers={
            "Authorization": f"Bearer {driving['api_token']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def assert_for_everybody(person: Person, title: str | re.Pattern[str]) -> None:
    """Wait for a page, and hold that everybody can use it."""
    expect(person.page.get_by_role("heading", name=title, level=1)).to_be_visible()
    assert axe.violations(person.page) == []
