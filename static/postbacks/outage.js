// Asks whether an outage is over. Then the page that was asked for comes; what was sent goes back to
// its form, so that nobody has to write it again. Without this script there are a link and words.
"use strict";

(() => {
  const ASK_EVERY = 5000; // milliseconds
  const state = document.querySelector("[data-waits]");

  async function ask() {
    try {
      const answer = await fetch("/readyz", { cache: "no-store" });
      if (answer.ok) return goOn();
    } catch {
      // The server itself is away; so the next question may find it.
    }
    window.setTimeout(ask, ASK_EVERY);
  }

  function goOn() {
    if ("reloads" in state.dataset) return location.reload();
    const back = document.createElement("button");
    back.type = "button";
    back.textContent = "Back to what you wrote";
    back.addEventListener("click", () => history.back());
    state.replaceChildren("It works again. ", back);
  }

  state.textContent = "This page goes on by itself as soon as it works again.";
  window.setTimeout(ask, ASK_EVERY);
})();
