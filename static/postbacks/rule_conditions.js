// Shows the conditions of a rule, which are lines of text, as rows of inputs that fit their fields.
// The form still sends the lines; lines that can't be read as rows stay text.
"use strict";

(() => {
  const lines = document.getElementById("id_condition_lines");
  const pattern = new RegExp(`^(?:${lines.dataset.line})$`);
  const operators = lines.dataset.operators.split(" ");
  const LABELS = {
    "=": "is", "≠": "is not", in: "is one of", "not-in": "is none of", ">": "is more than", "≥": "is at least",
    "<": "is less than", "≤": "is at most", "starts-with": "starts with", exists: "has a value",
  };
  const EXAMPLES = { country: "for example DE, AT", platform: "for example ios", currency: "for example EUR" };
  const PLAIN_DATE = /^(\d{4}-\d{2}-\d{2})?$/;

  const types = new Map();
  for (const entry of document.querySelectorAll("#macros [data-macro]")) {
    types.set(entry.dataset.macro.slice(2, -2), entry.dataset.type || "");
  }

  const editor = make("div", "rule-conditions");
  const list = make("ul", "rule-condition-list");
  const add = button("Add a condition", () => { list.append(row(["", "=", ""])); number(); list.lastChild.querySelector("input").focus(); });
  const swap = button("Write as text", () => (lines.hidden ? asText(true) : asRows()));
  const names = make("datalist");
  names.id = "condition-fields";
  for (const name of types.keys()) names.append(new Option(name, name));
  const actions = make("p", "rule-condition-actions");
  actions.append(add, swap);
  editor.append(list, names, actions);
  lines.before(editor);
  let isOurs = false; // whether this script is changing the lines

  function make(tag, name = "") {
    const element = document.createElement(tag);
    if (name) element.className = name;
    return element;
  }

  function button(text, press) {
    const element = make("button", "pb-button rule-fix");
    element.type = "button";
    element.textContent = text;
    element.addEventListener("click", press);
    return element;
  }

  function read(text) {
    const matches = text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => pattern.exec(line));
    return matches.every(Boolean) ? matches.map((match) => [match[1], match[2] || match[3], match[4].trim()]) : null;
  }

  function choice(options, value) {
    const select = make("select", "rule-input");
    for (const [each, text] of options) select.append(new Option(text, each, false, each === value));
    return select;
  }

  // The input that a field's type and the operator ask for
  function valueInput(field, operator, value) {
    const type = types.get(field);
    if (operator === "exists") return choice([["", "yes"], ["false", "no"]], value === "false" ? "false" : "");
    const isList = operator === "in" || operator === "not-in";
    if (type === "boolean" && !isList && ["", "true", "false"].includes(value)) return choice([["true", "yes"], ["false", "no"]], value);
    const input = make("input", "rule-input");
    const isDate = type === "time" && !isList && PLAIN_DATE.test(value);
    input.type = isDate ? "date" : "text";
    if ((type === "integer" || type === "decimal") && !isList) input.inputMode = "decimal";
    input.placeholder = EXAMPLES[field] || "";
    input.value = value;
    return input;
  }

  function row([field, operator, value]) {
    const item = make("li", "rule-condition");
    const name = make("input", "rule-input");
    name.setAttribute("list", "condition-fields");
    name.placeholder = "for example country";
    name.value = field;
    const canonical = operators.includes(operator) ? operator : ({ "!=": "≠", ">=": "≥", "<=": "≤" }[operator] ?? operator);
    const how = choice(operators.map((each) => [each, LABELS[each] ?? each]), canonical);
    const refit = () => {
      const old = item.querySelector("[data-value]");
      const fresh = valueInput(name.value.trim(), how.value, old ? old.value : value);
      fresh.dataset.value = `${fresh.tagName} ${fresh.type} ${fresh.options?.[0].value ?? ""}`;
      fresh.autocomplete = "off";
      if (old && old.dataset.value === fresh.dataset.value) {
        // Somebody may be writing in the current input.
        old.placeholder = fresh.placeholder;
        old.inputMode = fresh.inputMode;
        return;
      }
      if (old) old.replaceWith(fresh);
      else item.append(fresh);
      number();
    };
    const remove = button("Remove", () => {
      const next = item.nextElementSibling ?? item.previousElementSibling;
      item.remove();
      number();
      write();
      (next?.querySelector("input") ?? add).focus();
    });
    item.append(name, how);
    refit();
    item.append(remove);
    name.autocomplete = "off";
    name.addEventListener("input", refit);
    how.addEventListener("change", refit);
    item.addEventListener("input", write);
    item.addEventListener("change", write);
    return item;
  }

  function number() {
    [...list.children].forEach((item, index) => {
      const [field, operator, value, remove] = item.children;
      field.setAttribute("aria-label", `Field of condition ${index + 1}`);
      operator.setAttribute("aria-label", `Comparison of condition ${index + 1}`);
      value.setAttribute("aria-label", `Value of condition ${index + 1}`);
      remove?.setAttribute("aria-label", `Remove condition ${index + 1}`);
    });
  }

  function write() {
    const written = [...list.children].map((item) => [...item.children].slice(0, 3).map((each) => each.value.trim()));
    const text = written.filter(([field]) => field).map((parts) => parts.join(" ").trim()).join("\n");
    if (text === lines.value) return;
    isOurs = true;
    lines.value = text;
    lines.dispatchEvent(new Event("input", { bubbles: true }));
    isOurs = false;
  }

  function asRows() {
    const conditions = read(lines.value);
    if (!conditions) return asText(false);
    list.replaceChildren(...conditions.map(row));
    number();
    show(true);
  }

  function asText(isAsked) {
    show(false);
    if (isAsked) lines.focus();
  }

  function show(inRows) {
    lines.hidden = inRows;
    list.hidden = !inRows;
    add.hidden = !inRows;
    swap.textContent = inRows ? "Write as text" : "Write in rows";
  }

  lines.addEventListener("input", () => { if (!isOurs && lines.hidden) asRows(); });
  asRows();
})();
