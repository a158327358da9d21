"""Takes the pictures of README.md and docs/ from a demo of its own: `make screenshots`.

`make screenshots ARGS="--all FOLDER"` takes every page instead, in light, in dark and on a phone,
for people to look at before a release.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize

from tests.browser import chromium, looks
from tests.browser.crawl import each_kind_of_page
from tests.browser.demo import running_demo
from tests.browser.scenes import (
    callback_rule,
    campaign,
    delivery_log,
    event,
    install,
    overview,
    sdk_key,
)
from tests.browser.steps import sign_in
from tests.faults.demo_process import ROOT, DemoProcess

PICTURES = ROOT / "static" / "screenshots"
_FRAME = ViewportSize(width=1280, height=760)


@dataclass(frozen=True, slots=True)
class Picture:
    """A file, and how to get to what it shows."""

    name: str
    show: Callable[[Page], None]
    scheme: looks.Scheme = "light"
    is_narrow: bool = False


OF_THE_DOCS = (
    Picture("overview", overview),
    Picture("overview-dark", overview, "dark"),
    Picture("overview-phone", overview, is_narrow=True),
    Picture("delivery-log", delivery_log),
    Picture("delivery-log-dark", delivery_log, "dark"),
    Picture("delivery-log-phone", delivery_log, is_narrow=True),
    Picture("callback-rule", callback_rule),
    Picture("event", event),
    Picture("sdk-key", sdk_key),
    Picture("campaign", campaign),
    Picture("install", install),
)


def main() -> None:
    """Start the demo, take the pictures, and say what was written."""
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="take every page, into FOLDER")
    options = parser.parse_args()
    if missing := chromium.what_is_missing():
        sys.exit(f"No pictures can be taken: {missing}")
    _say("Starting a demo and waiting until its traffic is over …")
    with running_demo(history=True) as demo, chromium.started() as browser:
        taken = take_all(browser, demo, options.all) if options.all else take(browser, demo)
        for path in taken:
            _say(f"{path}  {path.stat().st_size / 1024:.0f} KB")


def take(browser: Browser, demo: DemoProcess) -> Iterator[Path]:
    """Take what README.md and docs/ show."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for picture in OF_THE_DOCS:
        frame = looks.PHONE if picture.is_narrow else _FRAME
        with owners_page(browser, demo, frame, picture.scheme) as page:
            picture.show(page)
            yield _photograph(page, PICTURES / f"{picture.name}.png", whole=False)


def take_all(browser: Browser, demo: DemoProcess, folder: Path) -> Iterator[Path]:
    """Take every kind of page from top to bottom: in light, in dark, and on a phone."""
    folder.mkdir(parents=True, exist_ok=True)
    with owners_page(browser, demo, looks.DESK, "light") as page:
        for kind in each_kind_of_page(page):
            yield _photograph(page, folder / f"{kind}.png", whole=True)
            looks.switch_to(page, "dark")
            yield _photograph(page, folder / f"{kind}-dark.png", whole=True)
            looks.switch_to(page, "light")
            page.set_viewport_size(looks.PHONE)
            yield _photograph(page, folder / f"{kind}-phone.png", whole=True)
            page.set_viewport_size(looks.DESK)


@contextmanager
def owners_page(
    browser: Browser, demo: DemoProcess, frame: ViewportSize, scheme: looks.Scheme
) -> Iterator[Page]:
    """Open a page in which the demo's owner is signed in."""
    driving = demo.driving()
    with browser.new_context(
        base_url=driving["base_url"], viewport=frame, color_scheme=scheme
    ) as context:
        page = context.new_page()
        sign_in(page, driving["users"][0])
        yield page


def _photograph(page: Page, path: Path, *, whole: bool) -> Path:
    page.evaluate("document.fonts.ready")
    page.screenshot(path=path, full_page=whole, animations="disabled", caret="hide")
    return path


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
