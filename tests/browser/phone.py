"""Whether a page fits a phone: nothing to scroll sideways, every control within reach."""

from playwright.sync_api import Page

_TOO_WIDE = """
() => {
  const width = document.scrollingElement.scrollWidth;
  if (width <= innerWidth) return [];
  const out = [...document.body.querySelectorAll("*")].filter(
    (one) => one.getBoundingClientRect().right > innerWidth + 1);
  const inner = out.filter((one) => ![...one.children].some((child) => out.includes(child)));
  return [`the page is ${width} px wide, because of`, ...inner.slice(0, 5).map(
    (one) => `    ${one.outerHTML.slice(0, 160)}`)];
}
"""
_OUT_OF_REACH = """
() => {
  const scrolls = (one) => one && (
    ["auto", "scroll"].includes(getComputedStyle(one).overflowX) || scrolls(one.parentElement));
  return [...document.querySelectorAll("form [type=submit], main a, main button, #content a")]
    .filter((one) => one.checkVisibility({visibilityProperty: true, opacityProperty: true}))
    .filter((one) => { const box = one.getBoundingClientRect();
      return box.width > 1 && (box.left < 0 || box.right > innerWidth + 1); })
    .filter((one) => !scrolls(one.parentElement))
    .map((one) => `out of reach: ${one.outerHTML.slice(0, 160)}`);
}
"""


def misfits(page: Page) -> list[str]:
    """Return what does not fit a page that is as narrow as a phone."""
    findings: list[str] = page.evaluate(_TOO_WIDE) + page.evaluate(_OUT_OF_REACH)
    return findings
