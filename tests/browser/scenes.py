"""What the pictures of README.md and docs/ show: each function brings a signed-in page there."""

from playwright.sync_api import Page, expect

from tests.browser.steps import row_of


def overview(page: Page) -> None:
    """Show a week beside the one before, with the hours in which a partner was down."""
    page.goto("/admin/?period=7d")


def delivery_log(page: Page) -> None:
    """Show the log with a purchase opened in place: what was sent, and what came back."""
    page.goto("/admin/postbacks/postback/?status=delivered")
    row = row_of(page, "Purchase to Lumen Ads")
    row.get_by_role("button", name="Details").click()
    expect(page.get_by_role("heading", name="Request").first).to_be_visible()
    row.evaluate("row => scrollTo(0, row.getBoundingClientRect().top + scrollY - 80)")


def event(page: Page) -> None:
    """Show an event: what the app reported, and what followed."""
    page.goto("/admin/postbacks/event/?event=purchase")
    page.get_by_role("main").get_by_role("row").nth(1).get_by_role("link").first.click()


def callback_rule(page: Page) -> None:
    """Show a rule with the preview beside it."""
    page.goto("/admin/postbacks/callbackrule/")
    page.get_by_role("link", name="Install to Lumen Ads").click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text("Parameters of the URL")


def sdk_key(page: Page) -> None:
    """Show a new key, which nobody sees a second time."""
    page.goto("/admin/apps_registry/sdkkey/add/")
    page.get_by_label("App").select_option("Gem Harbor iOS")
    page.get_by_label("Name").fill("Unity build 42")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Copy the new SDK key now")).to_be_visible()


def campaign(page: Page) -> None:
    """Show a campaign: what its links brought, by day."""
    page.goto("/admin/apps_registry/campaign/")
    page.get_by_role("main").get_by_role("link", name="Summer android").click()
    expect(page.get_by_role("heading", name="Tracking links")).to_be_visible()


def install(page: Page) -> None:
    """Show an install's story: which touchpoint won, and why others did not."""
    page.goto("/admin/postbacks/install/?type=click")
    row_of(page, "Summer android").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()
