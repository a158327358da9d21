"""What is wrong with a page as it stands: in light, in dark, on a phone."""

from playwright.sync_api import Page

from tests.browser import axe, looks, phone


def faults(page: Page) -> list[str]:
    """Return every finding, and leave the page as it was, in light."""
    size = page.viewport_size or looks.DESK
    findings = faults_in_light(page)
    looks.switch_to(page, "dark")
    findings += [f"in dark: {finding}" for finding in axe.color_violations(page)]
    page.set_viewport_size(looks.PHONE)
    findings += [f"at 390 px: {finding}" for finding in phone.misfits(page)]
    page.set_viewport_size(size)
    looks.switch_to(page, "light")
    return findings


def faults_in_light(page: Page) -> list[str]:
    """Return what axe finds on a page as it first comes."""
    return [f"in light: {finding}" for finding in axe.violations(page)]
