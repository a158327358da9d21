"""A page that is watched: what it complains about, and whom it asks, is held against it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    expect,
)

from tests.browser import looks

_PATIENCE = 30_000  # milliseconds
_OPENS_NO_CONNECTION = ("data:", "blob:", "about:")
expect.set_options(timeout=_PATIENCE)


@contextmanager
def new_context(browser: Browser, home: str, *, scripts: bool = True) -> Iterator[BrowserContext]:
    """Open a browser window without a past, on a desk, in light colors."""
    with browser.new_context(
        base_url=home, viewport=looks.DESK, java_script_enabled=scripts
    ) as context:
        context.set_default_timeout(_PATIENCE)
        yield context


@contextmanager
def open_page(context: BrowserContext, *, home: str) -> Iterator[Page]:
    """Open a page of the server at `home`; when it is closed, nothing may have gone wrong."""
    page = context.new_page()
    with watched(page, home=home):
        try:
            yield page
        finally:
            page.close()


@contextmanager
def watched(page: Page, *, home: str) -> Iterator[None]:
    """Watch an open page; at the end, nothing may have gone wrong."""
    complaints: list[str] = []
    stop = _listen(page, home, complaints)
    try:
        yield
    except BaseException as error:
        error.add_note("\n".join(["What the browser said:", *complaints]))
        raise
    finally:
        stop()
    assert not complaints, "\n".join(dict.fromkeys(complaints))


def _listen(page: Page, home: str, complaints: list[str]) -> Callable[[], None]:
    """Collect what a page complains about, until what is returned is called."""

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(f"{page.url}: {message.text} ({message.location['url']})")

    def follow(request: Request) -> None:
        if not request.url.startswith((f"{home}/", *_OPENS_NO_CONNECTION)):
            complaints.append(f"{page.url} asks another server: {request.url}")

    def fail(error: Error) -> None:
        complaints.append(f"{page.url}: a script failed: {error}")

    def stop() -> None:
        if page.is_closed():
            return
        page.remove_listener("console", hear)
        page.remove_listener("pageerror", fail)
        page.remove_listener("request", follow)

    page.on("console", hear)
    page.on("pageerror", fail)
    page.on("request", follow)
    return stop
