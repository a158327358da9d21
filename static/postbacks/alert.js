// The page of an alert: says what the alert will do while a person fills it in, and renews its
// history and notices.
(() => {
  "use strict";

  const WAIT = 400; // ms after the last change
  const RENEW_EVERY = 3000;

  function preview(region) {
    const form = region.closest("form");
    let timer = 0;
    let asked = 0;

    async function ask() {
      asked += 1;
      const turn = asked;
      try {
        const answer = await fetch(region.dataset.preview, {
          method: "POST", body: new FormData(form), redirect: "manual",
        });
        if (answer.ok && turn === asked) region.innerHTML = await answer.text(); // ours, escaped
      } catch {
        // The server is away for the moment: the last sentence stays.
      }
    }

    form.addEventListener("input", () => {
      window.clearTimeout(timer);
      timer = window.setTimeout(ask, WAIT);
    });
  }

  function renew(region) {
    const isInUse = () => region.contains(document.activeElement)
      || String(window.getSelection()) !== "";
    let shown = "";

    window.setInterval(async () => {
      if (document.hidden || isInUse()) return;
      try {
        const answer = await fetch(region.dataset.news, { redirect: "manual" });
        if (!answer.ok) return; // signed out
        const text = await answer.text();
        if (text !== shown && !isInUse()) region.innerHTML = text; // ours, every value escaped
        shown = text;
      } catch {
        // As above.
      }
    }, RENEW_EVERY);
  }

  function start() {
    document.querySelectorAll("[data-preview]").forEach(preview);
    document.querySelectorAll("[data-news]").forEach(renew);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
