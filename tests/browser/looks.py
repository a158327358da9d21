"""How a page is shown: light or dark, on a desk or on a phone."""

from typing import Literal

from playwright.sync_api import Page, ViewportSize

DESK = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=390, height=844)

Scheme = Literal["light", "dark"]

_STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"
# A sheet made by a script: the pages' policy takes no style that is written into a page.
_ADD_SHEET = """
(rules) => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(rules);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}
"""


def show_on_desk(page: Page) -> None:
    """Have what is opened next come as it first does: on a desk, in light colors."""
    page.set_viewport_size(DESK)
    page.emulate_media(color_scheme="light")


def switch_to(page: Page, scheme: Scheme) -> None:
    """Change the colors that the computer asks for, at once and without moving ones."""
    page.evaluate(_ADD_SHEET, _STILL)
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(
        "dark => document.documentElement.classList.contains('dark') === dark",
        arg=scheme == "dark",
    )
