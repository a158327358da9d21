"""axe-core, and its findings in words."""

from importlib.resources import files

from playwright.sync_api import Page

_WCAG = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
_COLORS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
# No rule that runs reads style sheets, so axe need not load them first.
_RUN = """
([rules, looks]) => {
  const passed = new Set(looks);
  const options = {runOnly: rules, resultTypes: ["violations"], preload: {assets: ["media"]}};
  return axe.run(document, options, passed).then((result) => [
    result.violations.flatMap((rule) => rule.nodes.map((node) => words(rule, node))),
    [...passed].slice(looks.length)]);

  function words(rule, node) {
    return `${rule.id}: ${node.target.flat().join(" ")}\\n    ${node.html.slice(0, 240)}\\n    `
      + [...node.any, ...node.all, ...node.none].map((check) => check.message).join("; ");
  }
}
"""

# Contrast takes most of axe's time, for texts of which most look like one before. A text passes
# unasked if another passed with its color, size and weight, on the same layers of paint, here or on
# a page before. Failures and doubts are never shared. Nothing is assumed about layout: whatever
# paints where a text stands must be an ancestor that surrounds it, or the text is judged alone.
_SHARE_PASSES = """
() => {
  const TRIVIAL = JSON.stringify(["", "none", "1", "normal", "none", "none", "none", "none"]);
  const IMAGES = "img, svg, canvas, video, object, iframe, picture, embed";
  const FIELDS = "input, select, textarea";
  let layers, looks, painted, passed;

  function digest(text) {  // of 53 bits: cyrb53
    let high = 0xdeadbeef, low = 0x41c6ce57;
    for (let place = 0; place < text.length; place++) {
      const code = text.charCodeAt(place);
      high = Math.imul(high ^ code, 2654435761);
      low = Math.imul(low ^ code, 1597334677);
    }
    high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
    low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
    return 4294967296 * (2097151 & low) + (high >>> 0);
  }
  function layersOf(element) {  // from the root on; null where styles alone don't tell
    if (!element) return getComputedStyle(document.documentElement).colorScheme;
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
    return own === TRIVIAL ? below : digest(below + own);
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
    if (!looks.has(element)) looks.set(element, lookAt(element));
    return looks.get(element);
  }
  function lookAt(element) {
    if (!axe.commons.dom.isVisibleOnScreen(element)) return null;  // those pass in any color
    const below = layersOf(element);
    if (below === null || !liesOnItsAncestors(element)) return null;
    const style = getComputedStyle(element);
    return digest(below + JSON.stringify([style.color, style.fontSize, style.fontWeight,
      style.textShadow, style.webkitTextFillColor, style.webkitTextStroke]));
  }

  const rule = axe._audit.rules.find((each) => each.id === "color-contrast"), asks = rule.matches;
  rule.matches = function (element, virtual, ...rest) {
    const hasText = virtual.children.some((child) => child.props.nodeName === "#text");
    if (!hasText && !element.matches(FIELDS)) return false;  // as the rule says itself, later
    return !passed.has(lookOf(element)) && asks.call(this, element, virtual, ...rest);
  };
  const check = axe._audit.checks["color-contrast"], judge = check.evaluate;
  check.evaluate = function (element, ...rest) {
    const look = lookOf(element);
    if (look !== null && passed.has(look)) return true;
    const verdict = judge.call(this, element, ...rest);
    if (look !== null && verdict === true) passed.add(look);
    return verdict;
  };
  const run = axe.run;
  axe.run = (root, options, passedBefore) => {
    layers = new Map();
    looks = new Map();
    painted = paintedBoxes();
    passed = passedBefore;
    return run(root, options);
  };
}
"""
_looks_that_passed: dict[int, None] = {}  # in the order in which they did


def violations(page: Page) -> list[str]:
    """Return where a page breaks WCAG 2 A or AA: rule, place, markup and reason."""
    return _run(page, _WCAG)


def color_violations(page: Page) -> list[str]:
    """Return the same for those rules alone that a change of colors can break."""
    return _run(page, _COLORS)


def _run(page: Page, rules: dict[str, object]) -> list[str]:
    page.wait_for_load_state()  # a click returns when the next page begins, still empty
    if not page.evaluate("'axe' in window"):
        source = files("axe_playwright_python").joinpath("axe.min.js").read_text()
        script = f"{source}\n;({_SHARE_PASSES})();"
        page.evaluate(script)
        page.add_init_script(script)  # compiled once, for what is opened in this page from now on
    findings: list[str]
    findings, looks = page.evaluate(_RUN, [rules, list(_looks_that_passed)])
    _looks_that_passed.update(dict.fromkeys(looks))
    return findings
