"""Failed, corrected, resent; skipped, corrected, decided again: played on the demo."""

import json
import urllib.request
from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.browser.steps import find_in_log, received, report, row_of, sign_in, wait_for
from tests.browser.visit import new_context, open_page
from tests.faults.demo_process import DemoProcess

RULE = "Corrected purchases"
CLOSED = "http://127.0.0.1:9/gone?e={{partner_event_name}}"


def test_an_owner_corrects_a_rule_and_everything_arrives(
    browser: Browser, demo: DemoProcess
) -> None:
    driving = demo.driving()
    home, partner_url = driving["base_url"], driving["partner_url"]
    corrected = f"{partner_url}/ok/corrected?e={{{{partner_event_name}}}}"
    rule_id = call(
        driving,
        "POST",
        "callback-rules",
        name=RULE,
        status="active",
        triggers=["correction"],
        url=CLOSED,
        retry_delays=[],
    )["id"]

    with new_context(browser, home) as context, open_page(context, home=home) as page:
        sign_in(page, driving["users"][0])

        failed = report(home, driving["sdk_key"], "correction", bundle_id=driving["bundle_id"])
        open_row(page, failed, "Failed")
        correct_url(page, corrected)
        open_row(page, failed, "Failed")
        page.get_by_role("link", name="Resend").click()
        expect(page.get_by_text("a corrected URL is used")).to_be_visible()
        expect(page.get_by_label("Send as decided")).to_be_visible()
        page.get_by_role("button", name="Yes, resend it").click()
        open_row(page, failed, "Delivered")
        tried_again = page.get_by_role("group").filter(has_text="#2")
        expect(tried_again).to_contain_text("rule version 2")
        expect(tried_again.get_by_role("region", name="Differences of try 2")).to_contain_text(
            "Address"
        )

        call(driving, "PATCH", f"callback-rules/{rule_id}", event_map={"install": "i"})
        skipped = report(home, driving["sdk_key"], "correction", bundle_id=driving["bundle_id"])
        open_row(page, skipped, "Skipped")
        call(driving, "PATCH", f"callback-rules/{rule_id}", event_map={"correction": "c"})
        page.get_by_role("link", name="Decide again").click()
        expect(
            page.get_by_role("heading", name="Have this postback decided again?")
        ).to_be_visible()
        page.get_by_role("button", name="Yes, decide again").click()
        open_row(page, skipped, "Delivered")

    assert [request.query for request in received(partner_url, "/ok/corrected")] == [
        "e=correction",
        "e=c",
    ]


def open_row(page: Page, event_id: str, status: str) -> None:
    find_in_log(page, event_id)
    wait_for(page, row_of(page, RULE).get_by_text(status, exact=True))
    row_of(page, RULE).get_by_role("button", name="Details").click()


def correct_url(page: Page, url: str) -> None:
    page.get_by_role("link", name=RULE).first.click()
    page.get_by_label("URL").fill(url)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").filter(has_text=RULE)).to_be_visible()


def call(driving: Mapping[str, Any], method: str, path: str, **body: object) -> dict[str, Any]:
    """Call the management API, as a program of the same owner does."""
    request = urllib.request.Request(
        f"{driving['base_url']}/api/v1/{path}",
        method=method,
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {driving['api_token']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        content: dict[str, Any] = json.loads(answer.read())
    return content
