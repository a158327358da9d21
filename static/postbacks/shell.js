/* The frame around every page: colors, the menu on small screens, menus that close, copying.
   It runs in the head, before the page is drawn, so that a dark page never flashes light. */

(() => {
  const root = document.documentElement;
  const STORAGE_KEY = "_x_adminTheme"; // the theme's own, with a value in JSON
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");

  const chosenTheme = () => {
    try {
      return JSON.parse(localStorage.getItem(STORAGE_KEY)) || "auto";
    } catch {
      return "auto";
    }
  };

  const showColors = () => {
    const dark = chosenTheme() === "dark" || (chosenTheme() === "auto" && prefersDark.matches);
    root.classList.toggle("dark", dark);
    for (const button of document.querySelectorAll("[data-theme]")) {
      button.setAttribute("aria-pressed", String(button.dataset.theme === chosenTheme()));
    }
  };

  const chooseColors = (theme) => {
    localStorage.setItem(STORAGE_KEY, JSON.stringify(theme));
    showColors();
  };

  const isNarrow = () => window.matchMedia("(max-width: 1023px)").matches;

  const showSidebar = () => {
    const open = isNarrow()
      ? root.dataset.sidebar === "open"
      : localStorage.getItem("sidebar") !== "closed";
    if (!isNarrow()) root.dataset.sidebar = open ? "" : "closed";
    document.querySelector("[data-sidebar=toggle]")?.setAttribute("aria-expanded", String(open));
  };

  const toggleSidebar = () => {
    if (isNarrow()) {
      root.dataset.sidebar = root.dataset.sidebar === "open" ? "" : "open";
      if (root.dataset.sidebar) document.querySelector("#nav-sidebar a")?.focus();
    } else {
      const closed = localStorage.getItem("sidebar") === "closed";
      localStorage.setItem("sidebar", closed ? "open" : "closed");
    }
    showSidebar();
  };

  const closeSidebar = () => {
    if (root.dataset.sidebar !== "open") return;
    root.dataset.sidebar = "";
    showSidebar();
    document.querySelector("[data-sidebar=toggle]")?.focus();
  };

  const closeMenus = (except) => {
    for (const menu of document.querySelectorAll("details.pb-menu[open]")) {
      if (menu.contains(except)) continue;
      menu.open = false;
    }
  };

  const showCurrentEntry = () => {
    const nav = document.querySelector(".pb-nav");
    const entry = nav?.querySelector("[aria-current]");
    if (!entry) return;
    const below = entry.getBoundingClientRect().bottom - nav.getBoundingClientRect().bottom;
    if (below > 0) nav.scrollTop += below + 16;
  };

  // On phones a list's cells show their column's name, which the theme takes as the model has it.
  const capitalizeLabels = () => {
    for (const cell of document.querySelectorAll("#result_list [data-label]")) {
      const label = cell.dataset.label;
      cell.dataset.label = label.charAt(0).toUpperCase() + label.slice(1);
    }
  };

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    const notice = button.parentElement.querySelector("[aria-live]");
    try {
      await navigator.clipboard.writeText(source.textContent);
      notice.textContent = "Copied";
    } catch {
      window.getSelection().selectAllChildren(source); // without https browsers refuse
      notice.textContent = document.execCommand("copy") ? "Copied" : "Selected: copy it now";
    }
    window.setTimeout(() => { notice.textContent = ""; }, 4000);
  };

  document.addEventListener("click", (event) => {
    closeMenus(event.target);
    const control = event.target.closest("[data-theme], [data-sidebar], [data-copy]");
    if (!control || control === root) return;
    if (control.dataset.theme) chooseColors(control.dataset.theme);
    if (control.dataset.sidebar === "toggle") toggleSidebar();
    if (control.dataset.sidebar === "close") closeSidebar();
    if (control.dataset.copy) copy(control);
  });

  const isWriting = (target) => target.isContentEditable || target.matches?.("input, textarea, select");

  document.addEventListener("keydown", (event) => {
    const find = document.querySelector("[data-find]");
    if (event.key === "/" && find && !isWriting(event.target) && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      find.focus();
      find.select();
      return;
    }
    if (event.key !== "Escape") return;
    const menu = event.target.closest?.("details.pb-menu[open]");
    closeMenus(null);
    menu?.querySelector("summary").focus();
    closeSidebar();
  });

  window.addEventListener("storage", showColors);
  window.addEventListener("resize", showSidebar);
  prefersDark.addEventListener("change", showColors);
  document.addEventListener("DOMContentLoaded", () => {
    showColors();
    showSidebar();
    showCurrentEntry();
    capitalizeLabels();
  });
  showColors();
  showSidebar();
})();
