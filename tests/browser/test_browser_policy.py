"""The policy of our pages in a real browser: it is kept, and what breaks it would not go unseen."""

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.site import Site
from tests.browser.visit import open_page

_BAD_PAGE = """<!DOCTYPE html>
<title>Bad</title>
<link rel="icon" href="data:,">
<body style="color: red" onload="document.title = 'ran'">
  <script>document.title = "ran"</script>
</body>
"""


def _bad_page(context: BrowserContext, site: Site, path: str) -> str:
    """Open an address at which we would answer with markup of a stranger; return its title."""
    policy = context.request.get(path).headers["content-security-policy"]
    headers = {"Content-Type": "text/html", "Content-Security-Policy": policy}
    with open_page(context, home=site.url) as page:
        page.route(
            f"{site.url}{path}", lambda route: route.fulfill(body=_BAD_PAGE, headers=headers)
        )
        page.goto(path)
        return page.title()


@pytest.mark.parametrize("path", ["/admin/", "/api/docs/", "/nowhere"])
def test_what_a_stranger_wrote_into_a_page_fails_every_test_of_that_page(
    path: str, owners_browser: BrowserContext, site: Site
) -> None:
    with pytest.raises(AssertionError) as caught:
        _bad_page(owners_browser, site, path)

    complaints = str(caught.value)
    for directive in ("script-src", "style-src"):
        assert f"directive '{directive}" in complaints, directive
    assert "a script failed" not in complaints


def test_the_pages_of_the_api_work_within_their_policy(
    owners_browser: BrowserContext, site: Site
) -> None:
    with open_page(owners_browser, home=site.url) as page:
        page.goto("/api/docs/#/callback-rules")
        page.get_by_text("/api/v1/callback-rules/preview").first.click()
        page.get_by_role("button", name="Try it out").click()

        expect(page.get_by_role("button", name="Execute")).to_be_visible()
