"""Partner templates and pasted URLs in a browser: for everybody, and as quick as they promise."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.faults import faults

_GALLERY = "/admin/postbacks/callbackrule/templates/"


@pytest.mark.parametrize("name", ["tiktok", "adjust", "bi-tool"])
def test_a_template_s_form_is_for_everybody_also_after_a_mistake(page: Page, name: str) -> None:
    page.goto(f"{_GALLERY}{name}/")
    findings = faults(page)
    page.get_by_role("button", name="Add partner").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was added.")
    findings += faults(page)

    assert not findings, "\n".join(findings)


def test_what_is_missing_follows_what_is_typed(page: Page) -> None:
    page.goto(f"{_GALLERY}meta/")
    missing = page.locator("#template-missing")
    expect(missing).to_contain_text("Dataset ID")

    page.get_by_label("Dataset ID").fill("1029384756")
    page.get_by_label("Access token").fill("EAAB")

    expect(missing).to_contain_text("Nothing is missing")


def test_a_translated_url_is_for_everybody_and_fills_a_new_rule_in(page: Page) -> None:
    page.goto("/admin/postbacks/callbackrule/translate/")
    page.get_by_label("URL from another tool").fill("https://a.example.com/?i={gps_adid}&l={label}")
    page.get_by_role("button", name="Translate", exact=True).click()
    expect(page.get_by_role("heading", name="Translated from Adjust")).to_be_visible()
    findings = faults(page)
    page.get_by_role("button", name="Use it in a new rule").click()

    assert not findings, "\n".join(findings)
    expect(page.get_by_label("URL (required)")).to_have_value(
        "https://a.example.com/?i={{gaid}}&l="
    )
    expect(page.locator("#rule-preview")).to_contain_text("https://a.example.com/?i=")
