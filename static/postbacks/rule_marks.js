// Marks macros inside the text of a template: known, unknown, with a wrong filter, or not ours.
// The server says what they are; until it has answered again, marks move along with the text. They
// lie on a layer behind the input, so that the input's text stays the only one.
"use strict";

(() => {
  const rule = document.getElementById("rule");
  const layers = [...rule.querySelectorAll(".rule-written textarea")].map(layerBehind);

  function layerBehind(field) {
    const layer = document.createElement("div");
    layer.className = "rule-layer";
    layer.setAttribute("aria-hidden", "true");
    field.before(layer);
    field.parentElement.classList.add("rule-written--marked");
    const known = { field, layer, text: field.value, marks: marksOf(field, field.value) };
    field.addEventListener("input", () => follow(known));
    field.addEventListener("scroll", () => fit(known));
    new ResizeObserver(() => fit(known)).observe(field);
    draw(known);
    return known;
  }

  // The server counts characters, the browser counts halves of the rarer ones.
  function marksOf(field, text) {
    const words = document.querySelector(`#problems-${field.name} [data-marks]`)?.dataset.marks;
    if (!words) return [];
    const places = [0];
    for (const character of text) places.push(places[places.length - 1] + character.length);
    return words.split(" ").map((word) => {
      const [start, end, kind] = word.split("-");
      return { start: places[start], end: places[end], kind };
    }).filter((mark) => mark.start < mark.end);
  }

  // Marks before the change stay, marks after it move, marks that it touches go.
  function moved(marks, before, after) {
    if (before === after) return marks;
    const most = Math.min(before.length, after.length);
    let head = 0;
    while (head < most && before[head] === after[head]) head += 1;
    let tail = 0;
    while (tail < most - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1;
    const by = after.length - before.length;
    return marks.flatMap((mark) => {
      if (mark.end <= head) return [mark];
      if (mark.start < before.length - tail) return [];
      return [{ ...mark, start: mark.start + by, end: mark.end + by }];
    });
  }

  function follow(known) {
    known.marks = moved(known.marks, known.text, known.field.value);
    known.text = known.field.value;
    draw(known);
  }

  function draw(known) {
    const parts = [];
    let end = 0;
    for (const mark of known.marks) {
      if (mark.start < end) continue;
      const part = document.createElement("span");
      part.className = `rule-mark rule-mark--${mark.kind}`;
      part.textContent = known.text.slice(mark.start, mark.end);
      parts.push(known.text.slice(end, mark.start), part);
      end = mark.end;
    }
    known.layer.replaceChildren(...parts, known.text.slice(end), known.text.endsWith("\n") ? "\n" : "");
    fit(known);
  }

  function fit({ field, layer }) {
    layer.style.width = `${field.clientWidth}px`; // without the scroll bar
    layer.style.height = `${field.clientHeight}px`;
    layer.scrollTop = field.scrollTop;
    layer.scrollLeft = field.scrollLeft;
  }

  rule.addEventListener("rule:shown", ({ detail: texts }) => {
    for (const known of layers) {
      const seen = texts.get(known.field.name);
      known.text = known.field.value;
      known.marks = moved(marksOf(known.field, seen), seen, known.text);
      draw(known);
    }
  });
  rule.addEventListener("toggle", () => layers.forEach(fit), true);
})();
