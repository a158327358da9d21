// Keeps the light and the figures of an app's or a partner's page as new as what happens
// below them: when a row came, they are asked for again, at once and then every half a minute.
"use strict";

(() => {
  const PAUSE = 30000; // milliseconds
  let timer = 0;
  let askedAt = 0;

  async function renew() {
    timer = 0;
    askedAt = Date.now();
    try {
      const answer = await fetch(location.href, { redirect: "manual" });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-hub-part]")) {
        const newer = fresh.querySelector(`[data-hub-part="${part.dataset.hubPart}"]`);
        if (newer && !part.contains(document.activeElement)) part.replaceWith(newer);
      }
    } catch {
      // The next row asks again.
    }
  }

  document.addEventListener("live:rows", () => {
    if (!timer) timer = window.setTimeout(renew, Math.max(PAUSE - (Date.now() - askedAt), 500));
  });
})();
