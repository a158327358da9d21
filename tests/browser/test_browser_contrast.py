"""Contrast is judged once for texts that look alike; one that looks otherwise is still found."""

import pytest
from playwright.sync_api import Browser

from tests.browser import axe, looks
from tests.browser.visit import new_context

_ROW = "<tr><td>First</td><td><p>Second</p></td><td><b>Third</b></td></tr>"
_LIST = f"""
<!doctype html><html lang="en"><title>A list</title><style>
  body {{ background: #fff; color: #595959; }} td {{ position: relative; padding: 1em }}
  CHANGE
</style><main><table>{_ROW * 9}<tr id="last">{_ROW[4:]}</table></main>
<script>matchMedia("(prefers-color-scheme: dark)").onchange = (change) =>
  document.documentElement.classList.toggle("dark", change.matches)</script>
"""
_CHANGES = {  # the rules for the last row, and the element in it that they make hard to read
    "nothing": ("", ""),
    "a color": ("#last p { color: #999 }", "p"),
    "a color that hidden texts have too": (
        "tr p { color: #999; visibility: hidden } #last p { visibility: visible }",
        "p",
    ),
    "an ancestor's background": ("#last { background: #888 }", "p"),
    "an ancestor's opacity": ("#last { opacity: .6 }", "p"),
    "the parent's background": ("#last td:has(p) { background: #888 }", "p"),
    "a background of its own": ("#last p { background: #888 }", "p"),
    "a smaller size": ("p { font-size: 24px; color: #8a8a8a } #last p { font-size: 14px }", "p"),
    "a lighter weight": ("b { font-size: 19px; color: #8a8a8a } #last b { font-weight: 400 }", "b"),
    "a sheet pushed under it": (
        "#last td:first-child { position: absolute; background: #888; color: #000;"
        " width: 40em; height: 9em }",
        "p",
    ),
    "a place on something else": (
        "main { background: #888; padding-bottom: 9em } table { background: #fff }"
        " #last p { position: absolute; top: 5em }",
        "p",
    ),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_one_text_that_looks_otherwise_is_found_in_a_long_list(
    browser: Browser, scheme: looks.Scheme
) -> None:
    with new_context(browser, "http://localhost") as context, context.new_page() as page:
        for change, (rules, element) in _CHANGES.items():
            looks.show_on_desk(page)
            media = f"@media (prefers-color-scheme: {scheme}) {{ {rules} }}"
            page.set_content(_LIST.replace("CHANGE", media))
            if scheme == "dark":
                assert axe.color_violations(page) == [], change
                looks.switch_to(page, "dark")

            places = [finding.splitlines()[0] for finding in axe.color_violations(page)]

            assert all("#last" in place for place in places), (change, places)
            assert [place for place in places if place.endswith(f" {element}")] or not element
            assert element or not places
