// Shows an hour's figures beside the pointer. Without this script the browser shows the bars' titles,
// and the table below has all figures.
(function () {
  "use strict";

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

  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll(".ov-chart").forEach(enhance);
  });
})();
