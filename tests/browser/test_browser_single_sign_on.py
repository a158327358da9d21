"""Single sign-on in a real browser, whose pages may send forms to us alone."""

import re

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from pytest_django import Settings

from apps_registry.roles import Role
from tests import make
from tests.accounts.identity_provider import identity_provider, settings_of
from tests.browser.accounts import judge
from tests.browser.site import Site
from tests.browser.visit import new_context, open_page

BEGIN = "/accounts/oidc/sso/login/"


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_member_signs_in_by_the_identity_provider(
    scripts: bool, browser: Browser, site: Site, settings: Settings
) -> None:
    person = make.make_user(Role.ANALYST, organization=site.story.tenant.organization)
    claims = {"sub": str(person.pk), "email": person.email, "email_verified": True}
    complaints: list[str] = []

    with (
        identity_provider(claims) as address,
        new_context(browser, site.url, scripts=scripts) as context,
    ):
        settings.SOCIALACCOUNT_PROVIDERS = settings_of(address)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.goto("/accounts/login/?next=/admin/postbacks/event/")
        page.get_by_role("button", name="Continue with Example SSO").click()

        expect(page.get_by_role("heading", name="Events")).to_be_visible()
        assert page.url == f"{site.url}/admin/postbacks/event/"
    assert complaints == []


def test_the_page_on_the_way_to_the_provider_is_for_everybody(
    browser: Browser, site: Site, settings: Settings
) -> None:
    with (
        identity_provider({}) as address,
        new_context(browser, site.url) as context,
        open_page(context, home=site.url) as page,
    ):
        settings.SOCIALACCOUNT_PROVIDERS = settings_of(address)
        _stay_on_the_way(page)
        page.goto("/accounts/login/")
        page.get_by_role("button", name="Continue with Example SSO").click()

        way = page.get_by_role("link", name="Go on by hand")
        expect(way).to_have_attribute("href", re.compile(f"^{address}/authorize"))
        judge(page)


def _stay_on_the_way(page: Page) -> None:
    """Have the page not go on by itself, for as long as it is looked at."""

    def without_refresh(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=re.sub(r"<meta http-equiv=.+?>", "", answer.text()))

    page.route(f"**{BEGIN}*", without_refresh)
