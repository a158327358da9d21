// Shows a test send or a dry run beside the form without leaving it. Without this script the same
// buttons send the form to the same addresses, which answer with the whole page.
"use strict";

(() => {
  const form = document.getElementById("rule").closest("form");
  const PROGRESS = { "test-answer": "Sending…", "dry-run-answer": "Asking…" };
  let isRunning = false;

  async function run(button) {
    const output = document.getElementById(button.dataset.tries);
    const state = document.getElementById(`${output.id}-state`);
    const data = new FormData(form);
    data.set("_live", "1");
    data.set(button.name, button.value);
    isRunning = true;
    state.textContent = PROGRESS[output.id];
    output.replaceChildren();
    try {
      const response = await fetch(button.formAction, { method: "POST", body: data });
      if (!response.ok || response.redirected) throw new Error(String(response.status));
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      output.replaceChildren(...page.body.childNodes);
      state.textContent = "";
      if (output.querySelector("p") && !output.querySelector("[data-unsent]")) state.textContent = "Done.";
    } catch {
      state.textContent = "That did not work. Try again.";
    }
    output.closest("section").scrollIntoView({ block: "nearest" });
    isRunning = false;
  }

  form.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-tries]");
    if (!button) return;
    event.preventDefault();
    if (!isRunning) run(button);
  });

  window.addEventListener("load", () => document.querySelector("#rule-untested, #rule-held-question")?.focus());
})();
