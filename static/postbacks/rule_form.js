// Makes the form of a callback rule quicker: the preview follows the typing, and a press inserts
// names and macros. Without this script people use the Preview button and type.
"use strict";

(() => {
  const WAIT = 300; // milliseconds after the last key
  const rule = document.getElementById("rule");
  const form = rule.closest("form");
  const state = document.getElementById("rule-state");
  let timer = 0;
  let pending = null;
  let target = document.getElementById("id_url"); // the input that gets a macro

  // The preview

  function preview() {
    clearTimeout(timer);
    if (pending) pending.abort();
    pending = new AbortController();
    const { signal } = pending;
    const data = new FormData(form);
    const texts = currentTexts();
    data.set("_live", "1");
    state.textContent = "Updating…";
    fetch(rule.dataset.previewUrl, { method: "POST", body: data, signal })
      .then((response) => {
        if (response.status === 429) { // colleagues or other tabs are at it too: a moment later
          timer = setTimeout(preview, 1000 * (Number(response.headers.get("Retry-After")) || 2));
          throw new DOMException("", "AbortError");
        }
        if (!response.ok || response.redirected) throw new Error(String(response.status));
        return response.text();
      })
      .then((text) => showPreview(new DOMParser().parseFromString(text, "text/html"), texts))
      .catch((error) => {
        if (error.name !== "AbortError") state.textContent = "The preview could not be updated. Press Preview to try again.";
      });
  }

  // The texts as sent: the server's answer counts positions in them.
  function currentTexts() {
    return new Map([...form.querySelectorAll(".rule-input[name]")].map((each) => [each.name, each.value]));
  }

  function showPreview(page, texts) {
    for (const part of page.querySelectorAll("body > [id]")) replace(part);
    rule.dispatchEvent(new CustomEvent("rule:shown", { detail: texts }));
    markInvalid();
    makeMacrosPressable();
    findMacros();
    const problems = document.querySelectorAll("#rule-preview .rule-list:not(.rule-list--costly) li").length;
    state.textContent = problems === 0 ? "Up to date" : problems === 1 ? "1 problem" : `${problems} problems`;
  }

  function replace(part) {
    const current = document.getElementById(part.id);
    if (!current || current.dataset.shown === part.innerHTML) return;
    // A list from which somebody is choosing by keyboard stays as it is.
    if (document.activeElement.tagName === "SELECT" && current.contains(document.activeElement)) return;
    const focused = current.contains(document.activeElement) ? document.activeElement.id : "";
    const open = [...current.querySelectorAll("details")].map((each) => each.open);
    current.dataset.shown = part.innerHTML;
    current.replaceChildren(...part.childNodes);
    current.querySelectorAll("details").forEach((each, index) => { each.open = Boolean(open[index]); });
    if (focused) document.getElementById(focused)?.focus();
  }

  function markInvalid() {
    for (const region of rule.querySelectorAll(".rule-problems")) {
      const field = document.getElementById(region.id.replace("problems-", "id_"));
      const isWrong = region.querySelector(".rule-problem") !== null;
      if (isWrong) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
  }

  form.addEventListener("input", (event) => {
    if (event.target.id === "find-macro" || event.target.closest(".rule-conditions")) return;
    clearTimeout(timer);
    timer = setTimeout(preview, WAIT);
  });
  form.addEventListener("click", (event) => {
    if (event.target.closest("button[name=_preview]")) {
      event.preventDefault();
      preview();
    }
  });
  form.addEventListener("click", (event) => {
    const link = event.target.closest(".rule-list a, #rule-errors a");
    const field = link && document.getElementById(link.hash.slice(1));
    if (!field) return;
    event.preventDefault();
    for (let fold = field.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    (field.hidden ? field.closest(".rule-field").querySelector("input, button") : field).focus();
  });

  // After the page's own scripts: one of them puts the cursor into a new rule's first input.
  window.addEventListener("load", () => document.getElementById("rule-errors")?.focus());

  // Names of events

  const names = rule.querySelector("[data-names-for]");
  const triggers = names && document.getElementById(names.dataset.namesFor);
  const chosenNames = () => triggers.value.split(",").map((name) => name.trim()).filter(Boolean);

  function toggled(name) {
    const before = chosenNames();
    if (before.includes(name)) return before.filter((each) => each !== name);
    return name === "*" ? ["*"] : [...before.filter((each) => each !== "*"), name];
  }

  function markChosen() {
    for (const button of names.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(chosenNames().includes(button.dataset.name)));
    }
  }

  if (names) {
    for (const label of names.querySelectorAll(".rule-name")) label.replaceWith(pressable(label, label.textContent));
    names.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      triggers.value = toggled(button.dataset.name).join(", ");
      triggers.dispatchEvent(new Event("input", { bubbles: true }));
    });
    triggers.addEventListener("input", markChosen);
    markChosen();
  }

  // Macros

  function pressable(label, text) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = label.className;
    button.textContent = text;
    if (label.dataset.name) button.dataset.name = label.dataset.name;
    return button;
  }

  function makeMacrosPressable() {
    for (const entry of rule.querySelectorAll("[data-macro]")) {
      const name = entry.querySelector("dt");
      if (name.querySelector("button")) continue;
      const button = pressable(name, name.textContent);
      button.className = "rule-macro";
      name.replaceChildren(button);
    }
  }

  const visited = new Set(); // in other fields the caret still stands at the beginning

  function insert(text) {
    const isClosed = !target.closest("details")?.open && target.closest("details") !== null;
    const field = isClosed || target.offsetParent === null ? document.getElementById("id_url") : target;
    if (!visited.has(field)) field.setSelectionRange(field.value.length, field.value.length);
    field.focus();
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  form.addEventListener("focusin", (event) => {
    if (!("template" in event.target.dataset)) return;
    target = event.target;
    visited.add(target);
  });
  rule.addEventListener("click", (event) => {
    const entry = event.target.closest(".rule-macro")?.closest("[data-macro]");
    if (entry) insert(entry.dataset.macro);
  });

  const search = document.getElementById("find-macro");

  function findMacros() {
    const query = search.value.trim().toLowerCase();
    let count = 0;
    for (const group of document.querySelectorAll("#macros [data-macros]")) {
      let inGroup = 0;
      for (const entry of group.querySelectorAll("[data-macro]")) {
        entry.hidden = !entry.textContent.toLowerCase().includes(query);
        if (!entry.hidden) inGroup += 1;
      }
      group.hidden = inGroup === 0;
      if (query) group.open = true;
      count += inGroup;
    }
    document.getElementById("found-macros").textContent = query ? (count === 1 ? "1 macro" : `${count} macros`) : "";
  }

  search.addEventListener("input", () => {
    findMacros();
    if (!search.value.trim()) {
      for (const group of document.querySelectorAll("#macros [data-macros]")) group.open = false;
    }
  });
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const first = document.querySelector("#macros [data-macros]:not([hidden]) [data-macro]:not([hidden])");
    if (first) insert(first.dataset.macro);
  });

  // A body where there can be one

  const bodyKind = document.getElementById("id_body_type");
  const bodyField = rule.querySelector("[data-field=body]");
  const showBody = () => {
    const isWritten = document.getElementById("id_body").value !== "";
    bodyField.hidden = bodyKind.value === "none" && !isWritten;
  };
  bodyKind.addEventListener("change", showBody);

  rule.querySelector(".rule-find").hidden = false;
  makeMacrosPressable();
  showBody();
})();
