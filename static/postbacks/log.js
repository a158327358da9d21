// Opens rows in place, watches those that are about to be sent, and copies texts. Without it, the same controls are links to pages.
"use strict";

(() => {
  const failed = "The details can't be loaded. ";
  const narrow = window.matchMedia("(max-width: 760px)");
  const pause = 2000;
  const mostLooks = 15; // half a minute

  function openable(link) {
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
      if (open) watch(button, opened.cells[0], mostLooks);
    } else if (open) {
      load(button, insertRow(button, row));
    }
  }

  function insertRow(button, row) {
    const opened = document.createElement("tr");
    opened.className = "pl-opened";
    opened.id = `opened-${button.dataset.row}`;
    const cell = opened.insertCell();
    cell.colSpan = shownCells(row);
    cell.setAttribute("aria-live", "polite");
    cell.textContent = "Loading …";
    row.after(opened);
    button.setAttribute("aria-controls", opened.id);
    return cell;
  }

  // Where there is little room some columns are gone; spanning them too would make new ones.
  function shownCells(row) {
    return [...row.cells].filter((cell) => getComputedStyle(cell).display !== "none").length;
  }

  function spanAnew() {
    for (const opened of document.querySelectorAll(".pl-opened")) {
      opened.cells[0].colSpan = shownCells(opened.previousElementSibling);
    }
  }

  async function load(button, cell) {
    try {
      show(await fetched(button), cell);
      watch(button, cell, mostLooks);
    } catch {
      const page = document.createElement("a");
      page.className = "pb-link";
      page.href = button.dataset.page;
      page.textContent = "Open them as a page";
      cell.replaceChildren(failed, page);
    }
  }

  async function fetched(button) {
    const back = encodeURIComponent(location.pathname + location.search);
    const answer = await fetch(`${button.dataset.details}?next=${back}`, { redirect: "manual" });
    if (answer.type === "opaqueredirect") location.reload(); // signed out: sign-in leads back here
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.text();
  }

  function show(details, cell) {
    cell.innerHTML = details; // rendered by our server, every value escaped
    copyable(cell);
    const row = cell.parentElement.previousElementSibling;
    for (const fresh of cell.querySelectorAll("template[data-cell]")) {
      const stale = row.querySelector(`td[data-cell="${fresh.dataset.cell}"]`);
      if (stale) stale.replaceChildren(fresh.content);
      fresh.remove();
    }
  }

  // Looks again and again at a postback that is about to be sent, as long as somebody can see it.
  function watch(button, cell, looks) {
    if (looks === 0 || !cell.querySelector("[data-moving]")) return;
    window.setTimeout(async () => {
      if (cell.parentElement.hidden || document.hidden) return;
      const isInUse = cell.contains(document.activeElement) || String(window.getSelection()) !== "";
      try {
        if (!isInUse) show(await fetched(button), cell);
        watch(button, cell, looks - 1);
      } catch {
        // What was shown last stays; the next click on the row's page reads it anew.
      }
    }, pause);
  }

  // A page that led back here names the row from which a person came.
  function openNamed() {
    const named = document.getElementById(location.hash.slice(1));
    const button = named?.querySelector("button.pl-toggle");
    if (button?.getAttribute("aria-expanded") === "false") toggle(button);
  }

  function copyable(within) {
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

  function leaveOutEmpty(form) {
    form.addEventListener("formdata", (event) => {
      for (const [name, value] of [...event.formData]) {
        if (value === "") event.formData.delete(name);
      }
    });
  }

  // Where there is little room, the list comes first; what is on stands in the labels above it.
  function foldFilters() {
    if (!narrow.matches) return;
    for (const more of document.querySelectorAll(".pl-more[open]")) {
      more.open = more.querySelector(".pl-field--wrong") !== null;
    }
  }

  function start() {
    foldFilters();
    narrow.addEventListener("change", spanAnew);
    document.querySelectorAll("[data-opens-in-place] a[data-details]").forEach(openable);
    document.querySelectorAll("form.pl-filters").forEach(leaveOutEmpty);
    copyable(document);
    openNamed();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
