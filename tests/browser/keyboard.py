"""A person without a mouse."""

from playwright.sync_api import Page

_NAME = "document.activeElement.computedName"  # as a screen reader says it; see chromium.py
_IS_SEEN = """
() => ["", "::after"].some((part) => {
  const style = getComputedStyle(document.activeElement, part);
  return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0)
    || style.boxShadow !== "none";
})
"""


def tab_to(page: Page, name: str, *, at_most: int = 120) -> None:
    """Press Tab until what has this name has the focus; each stop on the way must be seen."""
    passed: list[str] = []
    for _ in range(at_most):
        page.keyboard.press("Tab")
        passed.append(page.evaluate(_NAME))
        assert page.evaluate(_IS_SEEN), f"The focus on “{passed[-1]}” can't be seen."
        if name in passed[-1]:
            return
    raise AssertionError(f"Tab does not reach “{name}”, only {passed}")


def type_into(page: Page, name: str, text: str) -> None:
    """Go to a field and fill it."""
    tab_to(page, name)
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(text)


def choose(page: Page, name: str, option: str) -> None:
    """Go to a list of choices and take one by typing its beginning."""
    tab_to(page, name)
    page.keyboard.type(option)
    chosen = page.evaluate("document.activeElement.selectedOptions[0].label")
    assert chosen == option, f"Typing “{option}” has chosen “{chosen}”."
