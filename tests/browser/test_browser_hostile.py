"""Texts as strangers write them, in every column of every table, in a real browser."""

from collections.abc import Iterator

import pytest
from django.test import Client
from playwright.sync_api import Dialog, Page

from tests.browser import looks, phone
from tests.browser.admin_pages import address, admin_routes, is_page
from tests.browser.site import Site
from tests.browser.visit import watched
from tests.isolation.routes import Route
from tests.isolation.story import fill_texts

_OVERRIDE = "\N{RIGHT-TO-LEFT OVERRIDE}"
_MARKUP = '"><div x-data="alert(1)" onclick=alert(2)>{{7*7}}<script>alert(3)</script>'
# Short ones first: a column that is too short for the rest keeps them.
HOSTILE = f"{_OVERRIDE}gnp\N{ZERO WIDTH SPACE}{_MARKUP}" + "W" * 10_000

_SPILLS = """
(override) => {
  const spills = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode, parent = text.parentElement;
    if (!text.data.includes(override) || !parent.checkVisibility()) continue;
    if (["TEXTAREA", "SCRIPT", "STYLE", "OPTION"].includes(parent.tagName)) continue;
    const style = getComputedStyle(parent);
    if (style.display === "inline" && style.unicodeBidi === "normal")
      spills.push(`not isolated: ${parent.outerHTML.slice(0, 160)}`);
    const after = (text.data.split(/W{3,}/, 2)[1] || "").replace(/^\\d+/, "");
    if (parent.matches("h1, a, pre")) continue; // one value's own text turns only itself around
    if (parent.closest(".rule-layer")) continue; // lies behind an input, and must read as it does
    if (after.trim() && !/^["\\u201d\\u2019]?[.,:)\\u2026\\u00b7]?$/.test(after.trim()))
      spills.push(`beside it stands “${after.trim()}”: ${parent.outerHTML.slice(0, 90)}`);
  }
  return spills;
}
"""
_RUN_AS_CODE = """
() => [...document.querySelectorAll("*")].flatMap((one) =>
  [...one.attributes]
    .filter((it) => /^(x-|@|:|on|hx-)/.test(it.name) && it.value.includes("alert("))
    .map((it) => `${it.name}=${it.value}`))
"""


@pytest.fixture(scope="module")
def hostile_page(owners_page: Page, site: Site) -> Page:
    fill_texts(site.story, HOSTILE)
    return owners_page


@pytest.fixture
def asked(hostile_page: Page) -> Iterator[list[str]]:
    """Return what the page asks in windows of its own, as a script that was let in would."""
    messages: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        messages.append(dialog.message)
        dialog.dismiss()

    hostile_page.on("dialog", dismiss)
    yield messages
    hostile_page.remove_listener("dialog", dismiss)


@pytest.mark.parametrize("route", admin_routes(), ids=lambda route: route.template)
def test_hostile_texts_are_texts_on_every_page(
    route: Route,
    site: Site,
    hostile_page: Page,
    asked: list[str],
    owners_program: Client,
) -> None:
    path = address(route, site.story)
    answer = owners_program.get(path)
    assert answer.status_code < 500
    if not is_page(answer):
        return

    site.answer_with(path, answer)
    page = hostile_page
    with watched(page, home=site.url):
        looks.show_on_desk(page)
        page.goto(path)
        findings = page.evaluate(_RUN_AS_CODE) + page.evaluate(_SPILLS, _OVERRIDE)
        page.set_viewport_size(looks.PHONE)
        findings += phone.misfits(page)

        assert asked == []
        assert not findings, "\n".join(findings)
