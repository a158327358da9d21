"""Every page, for everybody: WCAG 2 A and AA in light and in dark, and on a phone."""

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page

from tests.browser import looks
from tests.browser.admin_pages import address, admin_routes, is_page, shows_rows
from tests.browser.faults import faults, faults_in_light
from tests.browser.people import page_of
from tests.browser.site import Site
from tests.browser.visit import watched
from tests.isolation.routes import Route

_ROUTES = admin_routes()


@pytest.mark.parametrize("route", _ROUTES, ids=lambda route: route.template)
def test_a_page_is_for_everybody(
    route: Route, site: Site, owners_page: Page, owners_program: Client
) -> None:
    path = address(route, site.story)
    answer = owners_program.get(path)
    if not is_page(answer):
        assert answer.status_code < 500
        assert not shows_rows(route), f"{path} answered {answer.status_code}"
        return

    site.answer_with(path, answer)
    with watched(owners_page, home=site.url):
        looks.show_on_desk(owners_page)
        owners_page.goto(path)
        findings = faults(owners_page)

        assert not findings, "\n".join(findings)


@pytest.mark.parametrize("kind", ["app", "partner"])
def test_a_set_up_tab_is_for_everybody(kind: str, site: Site, owners_page: Page) -> None:
    (route,) = (
        each for each in _ROUTES if each.template.endswith(f"/{kind}/%(object_id)s/change/")
    )
    with watched(owners_page, home=site.url):
        looks.show_on_desk(owners_page)
        owners_page.goto(f"{address(route, site.story)}?tab=setup")

        assert faults(owners_page) == []


def test_what_an_analyst_can_only_read_is_for_everybody(browser: Browser, site: Site) -> None:
    forms = [address(route, site.story) for route in _ROUTES if route.template.endswith("/change/")]
    findings = []

    with page_of(site.analyst, browser, site) as page:
        for path in forms:
            page.goto(path)
            findings += [f"{path} {fault}" for fault in faults_in_light(page)]

        assert not findings, "\n".join(findings)


def test_lists_in_which_nothing_is_yet_are_for_everybody(browser: Browser, site: Site) -> None:
    lists = [route.template for route in _ROUTES if shows_rows(route) and not route.parameters]
    findings = []

    with page_of(site.newcomer, browser, site) as page:
        for path in ["/admin/", *lists]:
            page.goto(path)
            findings += [f"{path} {fault}" for fault in faults_in_light(page)]

        assert len(lists) > 10
        assert not findings, "\n".join(findings)
