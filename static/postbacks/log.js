// Opens rows in place, refreshes those that are about to be sent, and copies texts. Without this
// script the same controls are links to pages.
"use strict";

(() => {
  const FAILED = "The details can't be loaded. ";
  const narrow = window.matchMedia("(max-width: 760px)");
  const PAUSE = 2000; // milliseconds
  const MOST_REFRESHES = 15; // half a minute
  const ASK_EVERY = 3000; // milliseconds
  const MOST_RENEWALS = 5;

  function makeButton(link) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = link.className;
    button.title = link.title;
    button.dataset.page = link.getAttribute("href");
    button.dataset.details = link.dataset.details;
    button.dataset.row = link.dataset.row;
    button.setAttribute("aria-expanded", "false");
    button.append(...link.childNodes);
    link.replaceWith(button);
    button.addEventListener("click", () => toggle(button));
    button.closest("tr").addEventListener("click", (event) => {
      const isText = String(window.getSelection()) !== "";
      if (!isText && !event.target.closest("a, button, input, label, td.pl-check")) toggle(button);
    });
  }

  function toggle(button) {
    const row = button.closest("tr");
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    row.classList.toggle("pl-row--open", open);
    const opened = document.getElementById(`opened-${button.dataset.row}`);
    if (opened) {
      opened.hidden = !open;
      if (open) watch(button, opened.cells[0], MOST_REFRESHES);
    } else if (open) {
      load(button, insertRow(button, row));
    }
  }

  function insertRow(button, row) {
    const opened = document.createElement("tr");
    opened.className = "pl-opened";
    opened.id = `opened-${button.dataset.row}`;
    const cell = opened.insertCell();
    cell.colSpan = visibleCells(row);
    cell.setAttribute("aria-live", "polite");
    cell.textContent = "Loading …";
    row.after(opened);
    button.setAttribute("aria-controls", opened.id);
    return cell;
  }

  // On narrow screens some columns are hidden; to span them too would make new ones.
  function visibleCells(row) {
    return [...row.cells].filter((cell) => getComputedStyle(cell).display !== "none").length;
  }

  function adjustSpans() {
    for (const opened of document.querySelectorAll(".pl-opened")) {
      opened.cells[0].colSpan = visibleCells(opened.previousElementSibling);
    }
  }

  async function load(button, cell) {
    try {
      showDetails(await fetchDetails(button), cell);
      watch(button, cell, MOST_REFRESHES);
    } catch {
      const page = document.createElement("a");
      page.className = "pb-link";
      page.href = button.dataset.page;
      page.textContent = "Open them as a page";
      cell.replaceChildren(FAILED, page);
    }
  }

  async function fetchDetails(button) {
    const back = encodeURIComponent(location.pathname + location.search);
    const response = await fetch(`${button.dataset.details}?next=${back}`, { redirect: "manual" });
    if (response.type === "opaqueredirect") location.reload(); // signed out: sign-in leads back here
    if (!response.ok) throw new Error(String(response.status));
    return response.text();
  }

  function showDetails(details, cell) {
    cell.innerHTML = details; // rendered by our server, every value escaped
    addCopyButtons(cell);
    const row = cell.parentElement.previousElementSibling;
    for (const fresh of cell.querySelectorAll("template[data-cell]")) {
      const stale = row.querySelector(`td[data-cell="${fresh.dataset.cell}"]`);
      if (stale) stale.replaceChildren(fresh.content);
      fresh.remove();
    }
  }

  // Refreshes a postback that is about to be sent, as long as somebody can see it.
  function watch(button, cell, refreshes) {
    if (refreshes === 0 || !cell.querySelector("[data-moving]")) return;
    window.setTimeout(async () => {
      if (cell.parentElement.hidden || document.hidden) return;
      const isInUse = cell.contains(document.activeElement) || String(window.getSelection()) !== "";
      try {
        if (!isInUse) showDetails(await fetchDetails(button), cell);
        watch(button, cell, refreshes - 1);
      } catch {
        // The last details stay; opening the row's page reads them again.
      }
    }, PAUSE);
  }

  // A page that leads back here names the person's row in the address.
  function openRowInAddress() {
    const row = document.getElementById(location.hash.slice(1));
    const button = row?.querySelector("button.pl-toggle");
    if (button?.getAttribute("aria-expanded") === "false") toggle(button);
  }

  function addCopyButtons(within) {
    for (const text of within.querySelectorAll("[data-copies]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "pb-button pl-copy";
      button.textContent = "Copy";
      button.addEventListener("click", () => copy(text, button));
      text.after(button);
    }
  }

  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      window.getSelection().selectAllChildren(text);
      button.textContent = "Selected: copy it with your keyboard";
    }
    window.setTimeout(() => { button.textContent = "Copy"; }, 2500);
  }

  function omitEmptyFields(form) {
    form.addEventListener("formdata", (event) => {
      for (const [name, value] of [...event.formData]) {
        if (value === "") event.formData.delete(name);
      }
    });
  }

  // On narrow screens the list comes first; labels above it name the active filters.
  function foldFilters() {
    if (!narrow.matches) return;
    for (const more of document.querySelectorAll(".pl-more[open]")) {
      more.open = more.querySelector(".pl-field--wrong") !== null;
    }
  }

  // Moves the progress of a replay along; when it has ended, the page is read anew.
  function follow(region) {
    window.setTimeout(async () => {
      try {
        const answer = document.hidden
          ? null : await fetch(region.dataset.progress, { redirect: "manual" });
        if (answer?.ok) region.innerHTML = await answer.text(); // ours, every value escaped
        if (answer && (!answer.ok || !region.querySelector("[data-moving]"))) {
          location.reload(); // ended, or signed out
          return;
        }
      } catch {
        // The server is away for the moment; the last figures stay.
      }
      follow(region);
    }, PAUSE);
  }

  // Renews the newest page of a log when something came that its filters leave. After a few times,
  // or while somebody is in the rows, a button offers it: what moves by itself is hard to read.
  function renewWhenNew(list) {
    const results = document.getElementById("results");
    const state = list.querySelector("[data-renew-state]");
    const button = list.querySelector("[data-renew]");
    let after = list.dataset.after;
    let renewals = 0;

    function isInUse() {
      return results.contains(document.activeElement) || String(window.getSelection()) !== ""
        || results.querySelector('[aria-expanded="true"], .pl-check input:checked') !== null;
    }

    async function renew() {
      const answer = await fetch(location.href, { redirect: "manual" });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      results.replaceChildren(...page.getElementById("results").childNodes);
      prepareRows(results);
      button.hidden = true;
      state.textContent = "Renewed by itself: what is new stands on top.";
    }

    async function ask() {
      try {
        if (!document.hidden && button.hidden) {
          const address = new URL(list.dataset.renews, location.href);
          address.searchParams.set("after", after);
          const answer = await fetch(address, { redirect: "manual" });
          if (!answer.ok) throw new Error(String(answer.status));
          const news = await answer.json();
          if (news.count && (isInUse() || renewals === MOST_RENEWALS)) {
            button.hidden = false;
          } else if (news.count) {
            await renew();
            renewals += 1;
          }
          after = String(news.after);
        }
      } catch {
        // Signed out, or the server is away for the moment: the rows stay as they are.
      }
      window.setTimeout(ask, ASK_EVERY);
    }

    button.addEventListener("click", () => {
      renewals = 0;
      renew().catch(() => location.reload());
    });
    window.setTimeout(ask, ASK_EVERY / 3);
  }

  function prepareRows(within) {
    within.querySelectorAll("[data-opens-in-place] a[data-details]").forEach(makeButton);
    addCopyButtons(within);
  }

  function start() {
    foldFilters();
    document.querySelectorAll("[data-progress]").forEach(follow);
    narrow.addEventListener("change", adjustSpans);
    document.querySelectorAll("form.pl-filters").forEach(omitEmptyFields);
    prepareRows(document);
    document.querySelectorAll("[data-renews]").forEach(renewWhenNew);
    openRowInAddress();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
