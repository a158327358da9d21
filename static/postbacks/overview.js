// Shows an hour's figures beside the pointer, and renews a period that ends now each minute. Without
// this script the browser shows the bars' titles, the table below has all figures, and there is
// “Refresh”.
(function () {
  "use strict";

  const RENEWED_EVERY = 60000; // milliseconds
  const STATES = ["delivered", "failed", "pending", "skipped"];

  function fill(tip, hour) {
    const title = document.createElement("strong");
    title.textContent = hour.dataset.hour;
    const lines = STATES.map(function (state) {
      const line = document.createElement("div");
      line.textContent = hour.dataset[state] + " " + state;
      return line;
    });
    tip.replaceChildren(title, ...lines);
  }

  function position(tip, hour, chart) {
    const bar = hour.querySelector(".ov-room").getBoundingClientRect();
    const room = chart.getBoundingClientRect();
    const right = bar.right - room.left + 8;
    const fits = right + tip.offsetWidth <= room.width;
    tip.style.left = Math.max(fits ? right : bar.left - room.left - tip.offsetWidth - 8, 0) + "px";
  }

  function enhance(chart) {
    const tip = document.createElement("div");
    tip.className = "ov-tip";
    tip.hidden = true;
    tip.setAttribute("aria-hidden", "true");
    chart.append(tip);
    chart.querySelectorAll(".ov-hour").forEach(function (hour) {
      hour.querySelector("title").remove();
      hour.addEventListener("pointerenter", function () {
        fill(tip, hour);
        tip.hidden = false;
        position(tip, hour, chart);
      });
      hour.addEventListener("pointerleave", function () {
        tip.hidden = true;
      });
    });
  }

  function isInUse(page) {
    return page.contains(document.activeElement) || page.matches(":hover")
      && page.querySelector(".ov-tip:not([hidden])") !== null || String(window.getSelection()) !== "";
  }

  function openDetails(page) {
    return [...page.querySelectorAll("details")].map(function (part) { return part.open; });
  }

  async function renew() {
    const page = document.getElementById("overview");
    if (document.hidden || isInUse(page)) return;
    try {
      const answer = await fetch(location.href, { redirect: "manual" });
      if (!answer.ok) return;
      const text = await answer.text();
      const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("overview");
      if (!fresh || isInUse(page)) return;
      const open = openDetails(page);
      const parts = [...fresh.querySelectorAll("details")];
      if (parts.length === open.length) parts.forEach((part, place) => { part.open = open[place]; });
      page.replaceWith(fresh);
      fresh.querySelectorAll(".ov-chart").forEach(enhance);
    } catch {
      // The next minute asks again.
    }
  }

  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll(".ov-chart").forEach(enhance);
    if (document.querySelector("#overview[data-renews]")) setInterval(renew, RENEWED_EVERY);
  });
})();
