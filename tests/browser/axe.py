"""axe-core, and its findings in words."""

from importlib.resources import files

from playwright.sync_api import Page

_WCAG = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
_COLORS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
_RUN = """
rules => axe.run(document, {runOnly: rules, resultTypes: ["violations"]}).then(
  (result) => result.violations.flatMap((rule) => rule.nodes.map(
    (node) => `${rule.id}: ${node.target.flat().join(" ")}\\n    ${node.html.slice(0, 240)}\\n    `
      + [...node.any, ...node.all, ...node.none].map((check) => check.message).join("; "))))
"""


def violations(page: Page) -> list[str]:
    """Return where a page breaks WCAG 2 A or AA: rule, place, markup and reason."""
    return _run(page, _WCAG)


def color_violations(page: Page) -> list[str]:
    """Return the same for those rules alone that a change of colors can break."""
    return _run(page, _COLORS)


def _run(page: Page, rules: dict[str, object]) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
    findings: list[str] = page.evaluate(_RUN, rules)
    return findings
