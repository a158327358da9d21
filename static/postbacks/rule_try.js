// Shows a test send and a dry run beside the form without leaving it. Without this script the same
// buttons send the form to the same addresses, which answer with the whole page.
"use strict";

(() => {
  const form = document.getElementById("rule").closest("form");
  const words = { "test-answer": "Sending…", "dry-run-answer": "Asking…" };
  let asked = false;

  async function ask(button) {
    const place = document.getElementById(button.dataset.tries);
    const state = document.getElementById(`${place.id}-state`);
    const given = new FormData(form);
    given.set("_live", "1");
    asked = true;
    state.textContent = words[place.id];
    place.replaceChildren();
    try {
      const answer = await fetch(button.formAction, { method: "POST", body: given });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      place.replaceChildren(...page.body.childNodes);
      state.textContent = "";
      const said = place.querySelector("p");
      if (said) state.textContent = "Done.";
    } catch {
      state.textContent = "That did not work. Try again.";
    }
    place.closest("section").scrollIntoView({ block: "nearest" });
    asked = false;
  }

  form.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-tries]");
    if (!button) return;
    event.preventDefault();
    if (!asked) ask(button);
  });

  window.addEventListener("load", () => document.getElementById("rule-untested")?.focus());
})();
