"""What a person, and the app of a person, do on more than one way through the product."""

import json
import time
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page, expect


@dataclass(frozen=True, slots=True)
class Received:
    """A request as the stand-in ad network got it."""

    path: str
    query: str


def sign_in(page: Page, person: Mapping[str, str]) -> None:
    """Sign in by the form, from the front page."""
    page.goto("/")
    page.get_by_label("E-mail address").fill(person["email"])
    page.get_by_label("Password").fill(person["password"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def go_to(page: Page, title: str) -> None:
    """Go to a page by the sidebar."""
    page.get_by_role("navigation", name="Main").get_by_role("link", name=title, exact=True).click()
    expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()


def find_in_log(page: Page, event_id: str) -> None:
    """Look an event's postbacks up in the delivery log."""
    go_to(page, "Delivery log")
    page.get_by_label("Id of a postback or event").fill(event_id)
    page.get_by_role("button", name="Apply").click()


def row_of(page: Page, text: str) -> Locator:
    """Return the first row of a list that holds a text."""
    return page.get_by_role("row").filter(has_text=text).first


def report(home: str, key: str, event_name: str, **fields: object) -> str:
    """Report an event as an SDK does; return its id."""
    event_id = str(uuid.uuid4())
    event = {"event_id": event_id, "event_name": event_name, "install_id": "a-device", **fields}
    request = urllib.request.Request(
        f"{home}/api/v1/events",
        data=json.dumps(event).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        receipt = json.loads(answer.read())
    assert receipt["accepted"] == 1, receipt
    return event_id


def received(partner_url: str, path: str) -> list[Received]:
    """Return what the stand-in ad network got under a path."""
    with urllib.request.urlopen(f"{partner_url}/received?limit=1000", timeout=10) as answer:
        listing: dict[str, Any] = json.loads(answer.read())
    return [
        Received(request["path"], request["query"])
        for request in listing["requests"]
        if request["path"] == path
    ]


def wait_for(page: Page, target: Locator, *, seconds: float = 60) -> None:
    """Reload a page, as an impatient person does, until it shows something."""
    deadline = time.monotonic() + seconds
    while not target.is_visible():
        assert time.monotonic() < deadline, f"{page.url} does not show {target}"
        page.wait_for_timeout(300)
        page.reload()
