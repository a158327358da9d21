"""A test send and a dry run in a browser: in place, for everybody, and also after a question."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from postbacks.delivery.http.destinations import parse_networks
from tests.browser.faults import faults
from tests.delivery.partner_server import Partners

ADD = "/admin/postbacks/callbackrule/add/"
OK = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: 0198c1f0-5b7e-7c3a\r\n"
    b'Content-Length: 31\r\n\r\n{"status": "ok", "taken": true}'
)


@pytest.fixture
def partners(settings: Any) -> Iterator[Partners]:
    settings.ALLOW_PRIVATE_DESTINATIONS = parse_networks("127.0.0.0/8")
    started = Partners()
    yield started
    started.stop()


@pytest.fixture
def page(page: Page) -> Page:
    """An empty form in front of the owner."""
    page.goto(ADD)
    return page


def write_rule(page: Page, url: str) -> None:
    page.get_by_role("textbox", name="Name (required)").fill("A rule to try")
    page.get_by_label("Events", exact=True).fill("purchase")
    page.get_by_label("URL").fill(url)


def assert_for_everybody(page: Page) -> None:
    findings = faults(page)
    assert not findings, "\n".join(findings)


def test_a_test_and_a_dry_run_are_shown_in_place(page: Page, partners: Partners) -> None:
    partner = partners.answering(OK)
    write_rule(page, partner.url("/postback?event={{event_name}}&" + "long=1&" * 12))
    tested = page.get_by_role("region", name="Test send")
    dry = page.get_by_role("region", name="Dry run")

    tested.get_by_role("button", name="Send a test").click()
    expect(tested.get_by_text("HTTP 200")).to_be_visible()
    dry.get_by_role("button", name="Try on past events").click()
    expect(dry.get_by_text(re.compile("1 postback for 1 event"))).to_be_visible()
    tested.get_by_text("What was sent").click()
    dry.get_by_text(re.compile("^purchase, ")).click()

    assert len(partner.requests) == 1
    expect(page).to_have_url(re.compile(f"{ADD}$"))
    assert_for_everybody(page)


def test_the_question_before_switching_on_can_be_answered_by_a_test(
    page: Page, partners: Partners
) -> None:
    partner = partners.answering(OK)
    write_rule(page, partner.url("/"))
    page.get_by_label("Status", exact=True).select_option("Active: sends from now on")
    page.get_by_role("button", name="Save", exact=True).click()
    question = page.get_by_role("alert").filter(has_text="Not tested yet.")
    expect(question).to_be_focused()
    assert_for_everybody(page)

    question.get_by_role("button", name="Send a test first").click()
    expect(page.get_by_role("region", name="Test send").get_by_text("Success")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_role("status").filter(has_text="A rule to try")).to_be_visible()


def test_what_would_be_skipped_and_what_nobody_would_notice_come_with_their_buttons(
    page: Page, partners: Partners
) -> None:
    partner = partners.answering(OK)
    write_rule(page, partner.url("/p?g={{gaid!}}&clickid={{click_id}}"))
    page.get_by_role("textbox", name="Name (required)").fill("Another rule to try")
    page.get_by_label("Events", exact=True).fill("purchse")
    preview = page.get_by_role("region", name="Preview")
    tested = page.get_by_role("region", name="Test send")
    expect(preview.get_by_text("This event would be skipped:")).to_be_visible()
    expect(preview.get_by_role("status")).to_have_text("Up to date")  # it can be saved

    tested.get_by_role("button", name="Send a test").click()
    expect(tested.get_by_text("Nothing was sent.")).to_be_visible()
    assert_for_everybody(page)
    assert partner.requests == []
    tested.get_by_role("button", name="Send it all the same").click()
    expect(tested.get_by_text("Would be skipped", exact=True)).to_be_visible()
    assert len(partner.requests) == 1

    preview.get_by_role("button", name="Use purchase").click()
    expect(page.get_by_label("Events", exact=True)).to_have_value("purchase")
    preview.get_by_role("button", name="Use Installs that any partner earned").click()
    expect(preview.get_by_text("Nobody would notice:")).to_have_count(0)
    assert_for_everybody(page)
