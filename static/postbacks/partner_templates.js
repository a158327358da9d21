// Says while a person fills a template's form in what is still missing. Without it the form says
// so when it is sent.
"use strict";

(() => {
  const WAIT = 300; // milliseconds after the last key
  const form = document.getElementById("template_form");
  let timer = 0;
  let asked = null;

  function ask() {
    if (asked) asked.abort();
    asked = new AbortController();
    const given = new FormData(form);
    given.set("_live", "1");
    fetch(form.action, { method: "POST", body: given, signal: asked.signal })
      .then((answer) => {
        if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
        return answer.text();
      })
      .then((text) => {
        const page = new DOMParser().parseFromString(text, "text/html");
        const missing = page.getElementById("template-missing");
        if (missing) document.getElementById("template-missing").replaceWith(missing);
      })
      .catch(() => {}); // the form itself says it when it is sent
  }

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT);
  });
})();
