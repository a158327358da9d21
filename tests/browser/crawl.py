"""Where a signed-in person gets to by following links: one page of each kind."""

import re
from collections import deque
from collections.abc import Iterator

from playwright.sync_api import Error, Page

_ID = re.compile(r"/(\d+|[0-9a-f]{8}-[0-9a-f-]{27})(?=/)")
_PATHS = """
() => [...document.links].filter((one) => one.origin === location.origin)
  .map((one) => one.pathname).filter((path) => path.startsWith("/admin/"))
"""


def each_kind_of_page(page: Page) -> Iterator[str]:
    """Go from page to page, from the front page on; yield each kind's name while it is open."""
    waiting = deque(["/admin/"])
    seen: set[str] = set()
    while waiting:
        path = waiting.popleft()
        kind = _ID.sub("", path).strip("/").replace("/", "-").replace("_", "-")
        if kind in seen:
            continue
        seen.add(kind)
        if _opens(page, path):
            waiting.extend(page.evaluate(_PATHS))
            yield kind


def _opens(page: Page, path: str) -> bool:
    try:
        answer = page.goto(path)
    except Error:
        return False  # a file to save
    return answer is not None and answer.ok
