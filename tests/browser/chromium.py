"""Chromium as this machine has it: Debian's package, or whatever a developer installed."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_PLACES = (
    "/usr/lib/chromium/chromium-headless-shell",  # spares the drawing of windows
    "/usr/lib/chromium/chromium",  # before the wrapper on PATH, which prints a warning as root
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",  # we stay here
    "--enable-blink-features=ComputedAccessibilityInfo",  # names as a screen reader says them
    "--force-color-profile=srgb",  # pictures come out the same everywhere
    "--font-render-hinting=none",  # letters as wide as with windows
    "--hide-scrollbars",
    "--process-per-site",  # a new page joins an open one: its scripts are compiled already
)


def has_playwright() -> bool:
    """Tell whether Playwright is installed; it has no wheel for every machine."""
    return importlib.util.find_spec("playwright") is not None


def what_is_missing() -> str:
    """Return why no browser can be started here, in words; nothing where one can."""
    if not has_playwright():
        return "Playwright is not installed; make .venv/development"
    return "" if _executable() else "no Chromium on this machine; apt-get install chromium"


@contextmanager
def started() -> "Iterator[Browser]":
    """Start a browser, and end it."""
    from playwright.sync_api import sync_playwright  # tests that need none run without it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_executable(), args=[*_ARGUMENTS])
        yield browser
        browser.close()


def _executable() -> str | None:
    return next((path for name in _PLACES if (path := shutil.which(name))), None)
