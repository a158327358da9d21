"""The form of a scheduled export shows the filters of its list and the fields of its place."""

from pathlib import Path

from playwright.sync_api import Page
from pytest_django import Settings

from tests.browser.faults import faults
from tests.browser.site import Site


def shown(page: Page, selector: str) -> list[str]:
    names: list[str] = page.locator(f":is({selector}):visible").evaluate_all(
        "all => all.map(e => e.name)"
    )
    return names


def assert_for_everybody(page: Page) -> None:
    findings = faults(page)
    assert not findings, "\n".join(findings)


def test_only_what_the_list_and_the_place_need_is_asked_for(
    page: Page, site: Site, settings: Settings, tmp_path: Path
) -> None:
    settings.EXPORT_DIR = tmp_path
    page.goto("/admin/postbacks/exportschedule/add/")
    of_events = shown(page, "[name^=filter_]")
    assert_for_everybody(page)
    page.locator("[name=list_name]").select_option("installs")
    page.locator("[name=target]").select_option("folder")
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    of_installs = shown(page, "[name^=filter_]")
    of_the_folder = shown(page, "[name=endpoint], [name=bucket], [name=secret], [name=prefix]")
    assert_for_everybody(page)

    page.get_by_label("Name").first.fill("Installs of the game")
    page.get_by_label("Type").select_option("organic")
    page.get_by_role("button", name="Save", exact=True).click()

    assert of_events == ["filter_app", "filter_events_event_name"]
    assert {"filter_campaign", "filter_link", "filter_installs_type"} <= set(of_installs)
    assert "filter_events_event_name" not in of_installs
    assert of_the_folder == []
    page.get_by_role("link", name="Installs of the game").first.click()
    assert page.get_by_label("Type").input_value() == "organic"
    assert page.get_by_label("App").first.input_value() == ""
