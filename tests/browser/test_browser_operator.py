"""The operator's pages, and an organization's with the banner of a visit, are for everybody."""

from datetime import UTC, datetime

from playwright.sync_api import Browser

from apps_registry.models import App, User
from apps_registry.tenancy import tenant
from postbacks.models import UnclaimedCopy
from tests import make
from tests.browser.faults import faults
from tests.browser.people import page_of
from tests.browser.site import Site


def test_an_operator_looks_around_visits_and_leaves(browser: Browser, site: Site) -> None:
    operator = User.objects.create_superuser("operator@example.com", "correct horse battery")
    organization = site.story.tenant.organization

    with page_of(operator, browser, site) as page:
        assert page.url.endswith("/admin/installation/")
        findings = faults(page)
        page.goto("/admin/organizations/")
        page.get_by_role("link", name=f"Enter… {organization.name}").click()
        page.get_by_label("Reason").fill("Ticket 4711")
        page.get_by_role("button", name="Enter").click()
        findings += faults(page)
        banner = page.get_by_text("You are visiting")
        assert organization.name in banner.inner_text()
        page.get_by_role("button", name="Leave").click()
        findings += faults(page)
        page.goto(f"/admin/organizations/{organization.public_id}/enter/")
        findings += faults(page)
        _dispute(site)
        page.goto("/admin/store-ids/")
        findings += faults(page)
        page.get_by_role("button", name="Approve").click()
        findings += faults(page)
        page.goto("/admin/organizations/")

        assert page.url.endswith("/admin/organizations/")
        assert not findings, "\n".join(findings)


def _dispute(site: Site) -> None:
    """Have a second organization claim an app, and a copy come of an app that nobody has."""
    other = make.make_organization("Second To Claim")
    with tenant(other.pk):
        number = site.story.tenant.app.store_id
        App.objects.create(name="The same game", platform="ios", store_id=number)
    UnclaimedCopy.objects.create(store_id="99", received_at=datetime.now(UTC), body="{}")
