// Marks macros inside the text of a template: known, unknown, with a wrong filter, or odd. The server
// decides which they are; until it answers again, marks move along with the text. They lie on a layer
// behind the input, so that the input's text stays the only one.
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
    const marked = { field, layer, text: field.value, marks: marksOf(field, field.value) };
    field.addEventListener("input", () => follow(marked));
    field.addEventListener("scroll", () => fit(marked));
    new ResizeObserver(() => fit(marked)).observe(field);
    draw(marked);
    return marked;
  }

  // The server counts characters, the browser counts halves of the rarer ones.
  function marksOf(field, text) {
    const attribute = document.querySelector(`#problems-${field.name} [data-marks]`)?.dataset.marks;
    if (!attribute) return [];
    const offsets = [0];
    for (const character of text) offsets.push(offsets[offsets.length - 1] + character.length);
    return attribute.split(" ").map((mark) => {
      const [start, end, kind] = mark.split("-");
      return { start: offsets[start], end: offsets[end], kind };
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

  function follow(marked) {
    marked.marks = moved(marked.marks, marked.text, marked.field.value);
    marked.text = marked.field.value;
    draw(marked);
  }

  function draw(marked) {
    const parts = [];
    let end = 0;
    for (const mark of marked.marks) {
      if (mark.start < end) continue;
      const part = document.createElement("span");
      part.className = `rule-mark rule-mark--${mark.kind}`;
      part.textContent = marked.text.slice(mark.start, mark.end);
      parts.push(marked.text.slice(end, mark.start), part);
      end = mark.end;
    }
    marked.layer.replaceChildren(...parts, marked.text.slice(end), marked.text.endsWith("\n") ? "\n" : "");
    fit(marked);
  }

  function fit({ field, layer }) {
    layer.style.width = `${field.clientWidth}px`; // without the scroll bar
    layer.style.height = `${field.clientHeight}px`;
    layer.scrollTop = field.scrollTop;
    layer.scrollLeft = field.scrollLeft;
  }

  rule.addEventListener("rule:shown", ({ detail: texts }) => {
    for (const marked of layers) {
      const sent = texts.get(marked.field.name);
      marked.text = marked.field.value;
      marked.marks = moved(marksOf(marked.field, sent), sent, marked.text);
      draw(marked);
    }
  });
  rule.addEventListener("toggle", () => layers.forEach(fit), true);
})();
