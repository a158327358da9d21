// Shows events and postbacks as they happen: asks every three seconds for what is newer. Nothing is
// asked for while the page is hidden or paused, or while somebody has chosen something in the rows.
// Without this script the page shows what there was when it was loaded.
"use strict";

(() => {
  const PAUSE = 3000; // milliseconds
  const LONGEST_PAUSE = 30000;
  const MOST_ROWS = 100;
  const MOST_KEYS = 2000;
  const NEWS_EVERY = 15000; // a screen reader is told in sums, not of each row

  class Panel {
    constructor(region) {
      this.region = region;
      this.body = region.querySelector("[data-live-rows]");
      this.after = region.dataset.after;
      this.seen = new Set([...this.body.rows].map((row) => row.dataset.key));
      this.paused = false;
      this.most = Number(region.dataset.liveMost) || MOST_ROWS;
      this.wait = PAUSE;
      this.news = 0;
      this.toldAt = 0;
      this.makePauseButton();
      document.addEventListener("visibilitychange", () => {
        if (!document.hidden) this.ask();
      });
      this.show("Live");
      this.next(0);
    }

    part(name) {
      return this.region.querySelector(`[data-live-${name}]`);
    }

    makePauseButton() {
      const link = this.part("pause");
      const button = document.createElement("button");
      button.type = "button";
      button.className = link.className;
      button.textContent = "Pause";
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => {
        this.paused = !this.paused;
        button.setAttribute("aria-pressed", String(this.paused));
        button.textContent = this.paused ? "Go on" : "Pause";
        if (this.paused) this.show("Paused", "off");
        else this.ask();
      });
      link.replaceWith(button);
    }

    next(wait) {
      window.clearTimeout(this.timer);
      this.timer = window.setTimeout(() => this.ask(), wait);
    }

    isInUse() {
      return this.body.contains(document.activeElement)
        || (String(window.getSelection()) !== ""
          && this.body.contains(window.getSelection().anchorNode));
    }

    async ask() {
      if (this.paused || document.hidden || this.asking) return;
      if (this.region.closest("details:not([open])")) {
        this.next(PAUSE / 3);
        return;
      }
      if (this.isInUse()) {
        this.show("Held while you are in the rows", "off");
        this.next(PAUSE);
        return;
      }
      this.asking = true;
      try {
        const address = new URL(this.region.dataset.live, location.href);
        address.searchParams.set("after", this.after);
        const answer = await fetch(address, { redirect: "manual" });
        if (answer.type === "opaqueredirect" || answer.status === 403) {
          location.reload(); // signed out: sign-in leads back here
          return;
        }
        if (!answer.ok) throw new Error(String(answer.status));
        this.add(await answer.json());
        this.wait = PAUSE;
      } catch {
        this.wait = Math.min(this.wait * 2, LONGEST_PAUSE);
        this.show(`No connection. Tried again in ${this.wait / 1000} s`, "off");
      } finally {
        this.asking = false;
      }
      this.next(this.wait);
    }

    add(answer) {
      this.after = String(answer.after);
      const fresh = this.fresh(answer.rows);
      for (const row of fresh) row.classList.add("lv-row--new");
      this.body.prepend(...fresh);
      while (this.body.rows.length > this.most) this.body.rows[this.most].remove();
      const isEmpty = this.body.rows.length === 0;
      this.part("empty").hidden = !isEmpty;
      this.part("frame").hidden = isEmpty;
      this.part("more").hidden = !answer.more || this.most < MOST_ROWS;
      this.show("Live");
      this.tell(fresh.length);
      if (fresh.length) this.region.dispatchEvent(new CustomEvent("live:rows", { bubbles: true }));
    }

    fresh(html) {
      const holder = document.createElement("template");
      holder.innerHTML = html; // rendered by our server, every value escaped
      const rows = [...holder.content.children].filter((row) => !this.seen.has(row.dataset.key));
      for (const row of rows) this.seen.add(row.dataset.key);
      if (this.seen.size > MOST_KEYS) this.seen = new Set([...this.seen].slice(-MOST_KEYS / 2));
      return rows;
    }

    tell(count) {
      this.news += count;
      if (!this.news || Date.now() - this.toldAt < NEWS_EVERY) return;
      this.part("news").textContent = this.news === 1 ? "1 new row" : `${this.news} new rows`;
      this.news = 0;
      this.toldAt = Date.now();
    }

    show(text, state = "on") {
      this.region.classList.toggle("lv--on", state === "on");
      this.region.classList.toggle("lv--off", state !== "on");
      if (this.part("state").textContent !== text) this.part("state").textContent = text;
    }
  }

  function start() {
    document.querySelectorAll("section[data-live]").forEach((region) => new Panel(region));
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
