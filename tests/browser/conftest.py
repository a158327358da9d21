"""A browser, where the machine has one; without one these tests are left out, with a clear word."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytest_django import DjangoDbBlocker

from tests.browser import chromium
from tests.browser.demo import running_demo
from tests.faults.demo_process import DemoProcess

if TYPE_CHECKING:
    from django.test import Client
    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.browser.site import Site

_HERE = Path(__file__).parent
_MISSING = chromium.what_is_missing()
_left_out = pytest.StashKey[int]()

# Without Playwright they can't even be imported.
collect_ignore_glob = [] if chromium.has_playwright() else ["test_*.py"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a browser, and leave it out where there is none."""
    ours = [item for item in items if item.path.is_relative_to(_HERE)]
    config.stash[_left_out] = len(ours)
    for item in ours:
        item.add_marker(pytest.mark.browser)
        if _MISSING:
            item.add_marker(pytest.mark.skip(reason=_MISSING))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say in one line what was left out, and what would help."""
    if _MISSING:
        count = config.stash.get(_left_out, 0) or "All"
        terminalreporter.write_line(f"{count} browser tests were left out: {_MISSING}", yellow=True)


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """A browser for all tests; each takes a context of its own."""
    with pytest.MonkeyPatch.context() as patch:
        # Playwright keeps a loop running in this thread, which Django takes for an async caller.
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with chromium.started() as browser:
            yield browser


@pytest.fixture(scope="module")
def site(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> "Iterator[Site]":
    """One site for all tests of a file: looking changes nothing, and filling it takes time."""
    from tests.browser.site import served  # not before Django is set up

    with django_db_blocker.unblock(), served() as served_site:
        yield served_site


@pytest.fixture(scope="module")
def owners_browser(browser: "Browser", site: "Site") -> "Iterator[BrowserContext]":
    """The owner's browser, for all tests of a file.

    One page stays open, and with it the process that has our styles and has compiled our scripts:
    a new page costs a third of what the first one does.
    """
    from tests.browser.people import browser_of

    with browser_of(site.owner, browser, site) as context:
        context.new_page().goto("/admin/")
        yield context


@pytest.fixture(scope="module")
def owners_page(owners_browser: "BrowserContext") -> "Page":
    """The page that stays open, for tests that only look at one address after the other."""
    return owners_browser.pages[0]


@pytest.fixture
def page(owners_page: "Page", site: "Site") -> "Iterator[Page]":
    """The same page for a test that goes its own way: on a desk, in light, and watched."""
    from tests.browser import looks
    from tests.browser.visit import watched

    looks.show_on_desk(owners_page)
    with watched(owners_page, home=site.url):
        yield owners_page


@pytest.fixture(scope="module")
def owners_program(site: "Site") -> "Client":
    """A client without a browser, to tell quickly whether an address is a page at all."""
    return site.program_of(site.owner)


@pytest.fixture(scope="session")
def demo() -> Iterator[DemoProcess]:
    """The demo, with a little traffic behind it: everything is as real as a user has it."""
    with running_demo("--devices=20") as demo:
        yield demo
