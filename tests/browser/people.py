"""Whose browser it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Page

from apps_registry.models import User
from tests.browser.site import Site, session_of
from tests.browser.visit import new_context, open_page


@contextmanager
def browser_of(person: User | None, browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """Open a browser of its own in which somebody is signed in, or nobody."""
    with new_context(browser, site.url) as context:
        if person:
            session = {"name": "sessionid", "value": session_of(person), "url": site.url}
            context.add_cookies([session])
        yield context


@contextmanager
def page_of(person: User | None, browser: Browser, site: Site) -> Iterator[Page]:
    """Open a single page in such a browser, on the front page."""
    with (
        browser_of(person, browser, site) as context,
        open_page(context, home=site.url) as page,
    ):
        page.goto("/admin/")
        yield page
