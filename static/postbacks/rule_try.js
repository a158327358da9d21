// Shows a test send or a dry run beside the form without leaving it, and follows what takes longer.
// Without this script the same buttons send the form to the same addresses, which answer with the
// whole page.
"use strict";

(() => {
  const form = document.getElementById("rule").closest("form");
  const PROGRESS = { "test-answer": "Sending…", "dry-run-answer": "Asking…" };
  const FAILED = "That did not work. Try again.";
  const PAUSE = 1000; // milliseconds
  const MOST_FAILURES = 5; // in a row, while an answer is followed
  const turns = {}; // by output: a new press ends what an earlier one follows
  let isRunning = false;

  async function pieceOf(request) {
    const response = await request;
    if (!response.ok || response.redirected) throw new Error(String(response.status));
    return new DOMParser().parseFromString(await response.text(), "text/html").body;
  }

  function show(piece, output, state) {
    const focused = output.contains(document.activeElement) && document.activeElement.name;
    output.replaceChildren(...piece.childNodes);
    if (focused) output.querySelector(`[name="${focused}"]`)?.focus();
    const followed = output.querySelector("[data-follow]");
    const isDone = output.querySelector("p") && !output.querySelector("[data-unsent]");
    const sentence = followed ? followed.dataset.waitsFor : isDone ? "Done." : "";
    if (state.textContent !== sentence) state.textContent = sentence;
    return followed ? followed.dataset.follow : "";
  }

  async function follow(address, output, state, turn) {
    let failures = 0;
    while (address) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      if (turns[output.id] !== turn) return;
      try {
        const piece = await pieceOf(fetch(address));
        if (turns[output.id] !== turn) return;
        address = show(piece, output, state);
        failures = 0;
      } catch {
        failures += 1;
        if (failures === MOST_FAILURES) {
          state.textContent = FAILED;
          return;
        }
      }
    }
  }

  async function run(button) {
    const output = document.getElementById(button.dataset.tries);
    const state = document.getElementById(`${output.id}-state`);
    const data = new FormData(form);
    data.set("_live", "1");
    data.set(button.name, button.value);
    const turn = (turns[output.id] || 0) + 1;
    turns[output.id] = turn;
    isRunning = true;
    state.textContent = PROGRESS[output.id];
    output.replaceChildren();
    try {
      const piece = await pieceOf(fetch(button.formAction, { method: "POST", body: data }));
      follow(show(piece, output, state), output, state, turn);
    } catch {
      state.textContent = FAILED;
    }
    const live = document.getElementById("rule-live");
    if (live && button.name === "_test") live.open = true;
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
