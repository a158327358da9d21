// Lists the missing answers while a person fills a template's form in. Without this script the form
// lists them when it is sent.
"use strict";

(() => {
  const WAIT = 300; // milliseconds after the last key
  const form = document.getElementById("template_form");
  let timer = 0;
  let pending = null;

  function update() {
    if (pending) pending.abort();
    pending = new AbortController();
    const data = new FormData(form);
    data.set("_live", "1");
    fetch(form.action, { method: "POST", body: data, signal: pending.signal })
      .then((response) => {
        if (!response.ok || response.redirected) throw new Error(String(response.status));
        return response.text();
      })
      .then((text) => {
        const page = new DOMParser().parseFromString(text, "text/html");
        const missing = page.getElementById("template-missing");
        if (missing) document.getElementById("template-missing").replaceWith(missing);
      })
      .catch(() => {}); // the form lists them when it is sent
  }

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(update, WAIT);
  });
})();
