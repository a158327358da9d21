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

# Contrast takes most of axe's time, for texts of which most look like one before. A text passes
# unasked if another passed with its color, size and weight, on the same layers of paint. Failures
# and doubts are never shared. Nothing is assumed about layout: whatever paints where a text stands
# must be an ancestor that surrounds it, or the text is judged alone.
_SHARE_PASSES = """
() => {
  const TRIVIAL = JSON.stringify(["", "none", "1", "normal", "none", "none", "none", "none"]);
  const IMAGES = "img, svg, canvas, video, object, iframe, picture, embed";
  const FIELDS = "input, select, textarea";
  let layers, painted, passed;

  function layersOf(element) {  // from the root on; null where styles alone don't tell
    if (!element) return "";
    if (!layers.has(element)) layers.set(element, add(layersOf(element.parentElement), element));
    return layers.get(element);
  }
  function add(below, element) {
    const style = getComputedStyle(element);
    if (below === null || style.backgroundImage !== "none" || parseInt(style.zIndex) < 0
      || element.matches(IMAGES)) return null;
    const own = JSON.stringify([isClear(style) ? "" : style.backgroundColor,
      style.backgroundClip === "border-box" || isClear(style) ? "none" : style.backgroundClip,
      style.opacity, style.mixBlendMode, style.filter, style.backdropFilter, style.maskImage,
      style.clipPath]);
    return own === TRIVIAL ? below : below + own;
  }
  function isClear(style) {
    return style.backgroundColor === "rgba(0, 0, 0, 0)";
  }
  function paintedBoxes() {
    return [...document.querySelectorAll("*")].filter((element) => {
      const style = getComputedStyle(element);
      return !isClear(style) || style.backgroundImage !== "none" || element.matches(IMAGES);
    }).map((element) => [element, [...element.getClientRects()]])
      .filter(([, boxes]) => boxes.length);
  }
  function placesOfText(element) {
    if (element.matches(FIELDS)) return [...element.getClientRects()];
    const range = document.createRange();
    return [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE)
      .flatMap((node) => { range.selectNode(node); return [...range.getClientRects()]; });
  }
  function touches(box, text) {
    return box.left < text.right && text.left < box.right
      && box.top < text.bottom && text.top < box.bottom;
  }
  function surrounds(box, text) {
    return box.left < text.left + 1 && text.right - 1 < box.right
      && box.top < text.top + 1 && text.bottom - 1 < box.bottom;
  }
  function liesOnItsAncestors(element) {
    const places = placesOfText(element);
    return places.length > 0 && painted.every(([other, boxes]) => other.contains(element)
      ? places.every((text) => boxes.some((box) => surrounds(box, text)))
      : !places.some((text) => boxes.some((box) => touches(box, text))));
  }
  function lookOf(element) {
    if (!axe.commons.dom.isVisibleOnScreen(element)) return null;  // those pass in any color
    const below = layersOf(element);
    if (below === null || !liesOnItsAncestors(element)) return null;
    const style = getComputedStyle(element);
    return below + JSON.stringify([style.color, style.fontSize, style.fontWeight,
      style.textShadow, style.webkitTextFillColor, style.webkitTextStroke]);
  }

  const check = axe._audit.checks["color-contrast"], judge = check.evaluate;
  check.evaluate = function (element, ...rest) {
    const look = lookOf(element);
    if (look !== null && passed.has(look)) return true;
    const verdict = judge.call(this, element, ...rest);
    if (look !== null && verdict === true) passed.add(look);
    return verdict;
  };
  const run = axe.run;
  axe.run = (...given) => {
    layers = new Map();
    painted = paintedBoxes();
    passed = new Set();
    return run(...given);
  };
}
"""


def violations(page: Page) -> list[str]:
    """Return where a page breaks WCAG 2 A or AA: rule, place, markup and reason."""
    return _run(page, _WCAG)


def color_violations(page: Page) -> list[str]:
    """Return the same for those rules alone that a change of colors can break."""
    return _run(page, _COLORS)


def _run(page: Page, rules: dict[str, object]) -> list[str]:
    if not page.evaluate("'axe' in window"):
        source = files("axe_playwright_python").joinpath("axe.min.js").read_text()
        script = f"{source}\n;({_SHARE_PASSES})();"
        page.evaluate(script)
        page.add_init_script(script)  # compiled once, for what is opened in this page from now on
    findings: list[str] = page.evaluate(_RUN, rules)
    return findings
