"""What the frame of the pages does at the sizes that people have: a laptop, and a phone."""

import pytest
from playwright.sync_api import Page

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.models import Event, Install
from tests import database
from tests.browser.site import Site

LAPTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


@pytest.mark.parametrize("height", [500, 700, 900])
def test_the_sidebar_shows_the_entry_of_the_page(page: Page, site: Site, height: int) -> None:
    page.set_viewport_size({**LAPTOP, "height": height})

    page.goto(f"/admin/apps_registry/organization/{site.story.organization_id}/change/")

    bottom = page.locator(".pb-nav [aria-current]").bounding_box()
    nav = page.locator(".pb-nav").bounding_box()
    assert bottom is not None
    assert nav is not None
    assert bottom["y"] + bottom["height"] <= nav["y"] + nav["height"]
    assert page.evaluate("window.scrollY") == 0


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ("apps_registry/partner/", {"Select record", "Credentials may go to"}),
        ("apps_registry/sdkkey/", {"Key", "App", "Last used"}),
        ("apps_registry/membership/", {"E-mail address", "Role"}),
    ],
)
def test_a_list_on_a_phone_names_its_columns_as_on_a_desk(
    page: Page, path: str, labels: set[str]
) -> None:
    page.set_viewport_size(PHONE)

    page.goto(f"/admin/{path}")

    cells = page.locator("#result_list [data-label]")
    shown = cells.evaluate_all(
        "cells => cells.map((cell) => [cell.dataset.label,"
        " getComputedStyle(cell, '::before').textTransform])"
    )
    assert labels <= {label for label, _ in shown}
    assert {transform for _, transform in shown} == {"none"}


def test_a_kind_of_install_is_one_word_on_a_phone(page: Page, site: Site) -> None:
    with database.as_role(roles.WORKER), tenant(site.story.organization_id):
        Install.objects.update(kind="reattribution")
    page.set_viewport_size(PHONE)

    page.goto("/admin/postbacks/install/")

    note = page.locator(".pl-time .pl-note").first.bounding_box()
    assert note is not None
    assert note["height"] < 26, "one line"


def test_the_fraud_report_fits_a_phone(page: Page, site: Site) -> None:
    fields = {
        "attribution": {"partner_name": "Northern Lights Performance Marketing"},
        "reject_reason": "engagement_injection",
    }
    with database.as_role(roles.WORKER), tenant(site.story.organization_id):
        Event.objects.update(event_name="rejected_install", source="system", fields=fields)
    page.set_viewport_size(PHONE)

    page.goto("/admin/fraud-report/")

    table = page.get_by_role("region", name="Rejected clicks and impressions")
    assert table.evaluate("region => region.scrollWidth <= region.clientWidth")
    assert page.get_by_role("columnheader", name="Installs earned").is_visible()
    assert not page.get_by_role("columnheader", name="Why").is_visible()
