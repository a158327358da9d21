// Helps while a callback rule is written: applies fixes in place, inserts a partner's names of events,
// and shows only the inputs of the chosen authentication. Without scripts the server does the same.
"use strict";

(() => {
  const rule = document.getElementById("rule");
  const form = rule.closest("form");
  let sentTexts = new Map(); // the texts in which fixes count positions
  for (const field of form.querySelectorAll(".rule-input[name]")) sentTexts.set(field.name, field.value);

  function changed(field) {
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function reveal(field) {
    for (let fold = field.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    const row = field.closest(".rule-field").querySelector(".rule-condition input"); // where lines are rows
    (field.hidden && row ? row : field).focus();
  }

  // Fixes

  // As if it had been typed, so that it can be undone by the keyboard.
  function type(field, start, end, text) {
    if (field.hidden) {
      field.setRangeText(text, start, end, "end");
      return changed(field);
    }
    const before = field.selectionStart;
    field.setSelectionRange(start, end);
    const isTyped = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
    if (!isTyped) {
      field.setRangeText(text, start, end, "end");
      changed(field);
    }
    const by = text.length - (end - start);
    const caret = before > end ? before + by : start + text.length;
    field.setSelectionRange(caret, caret);
  }

  function offsetOf(text, count) {
    return [...text].slice(0, count).join("").length;
  }

  form.addEventListener("click", (event) => {
    const button = event.target.closest("button[name=_fix]");
    if (!button) return;
    event.preventDefault();
    const [, name, start, end, text] = /^(\w+):(\d+):(\d+):([^]*)$/.exec(button.value);
    const field = form.elements[name];
    reveal(field);
    const sent = sentTexts.get(name) ?? "";
    if (field.tagName === "SELECT") {
      if (field.value === sent) field.value = text;
      return changed(field);
    }
    const from = offsetOf(sent, Number(start));
    const to = offsetOf(sent, Number(end));
    // What was written behind the place since changes nothing; otherwise new fixes are on the way.
    if (field.value.slice(0, to) !== sent.slice(0, to)) return changed(field);
    return type(field, from, to, text);
  });
  rule.addEventListener("rule:shown", ({ detail: texts }) => { sentTexts = texts; });

  // A partner's names of events, one to a line

  function makePressable() {
    for (const label of rule.querySelectorAll("[data-lines-for] span.rule-name")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "rule-name";
      button.dataset.name = label.dataset.name;
      button.textContent = label.textContent;
      label.replaceWith(button);
    }
    markPressed();
  }

  const lines = document.getElementById("id_event_map");
  const written = () => lines.value.split("\n").map((line) => line.trim()).filter(Boolean);
  const ourName = (line) => line.split("=")[0].trim();

  function markPressed() {
    for (const button of rule.querySelectorAll("[data-lines-for] button")) {
      button.setAttribute("aria-pressed", String(written().some((line) => ourName(line) === ourName(button.dataset.name))));
    }
  }

  rule.addEventListener("click", (event) => {
    const button = event.target.closest("[data-lines-for] button");
    if (!button) return;
    const others = written().filter((line) => ourName(line) !== ourName(button.dataset.name));
    const isThere = others.length < written().length;
    lines.value = (isThere ? others : [...others, button.dataset.name]).join("\n");
    changed(lines);
  });
  lines.addEventListener("input", markPressed);
  rule.addEventListener("rule:shown", makePressable);
  makePressable();

  // Authentication

  const INPUTS_BY_TYPE = {
    none: [],
    bearer: ["credential"],
    basic: ["user", "password"],
    header: ["header", "credential"],
    hmac: ["header", "credential", "algorithm", "encoding", "over"],
  };
  const kind = document.getElementById("id_auth_type");

  function showNeededInputs() {
    for (const part of rule.querySelectorAll('[data-field^="auth_"]')) {
      const name = part.dataset.field.replace("auth_", "");
      part.hidden = name !== "type" && !INPUTS_BY_TYPE[kind.value].includes(name);
    }
  }

  kind.addEventListener("change", showNeededInputs);
  showNeededInputs();
})();
