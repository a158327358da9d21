"""What people do at the door and in their accounts, in a browser."""

import re

from playwright.sync_api import CDPSession, Page, expect

from tests.accounts.people import PASSWORD, code_of
from tests.browser.faults import faults


def judge(page: Page) -> None:
    """Assert that a page is for everybody, and leave it as it was."""
    findings = faults(page)
    assert not findings, "\n".join([page.url, *findings])


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """Fill the sign-in page in."""
    page.goto("/accounts/login/")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def open_account(page: Page) -> None:
    """Go to one's own account by the menu of the sidebar."""
    page.locator(".pb-person > summary").click()
    page.get_by_role("link", name="Your account").click()


def confirm(page: Page) -> None:
    """Say the password once more."""
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()


def set_up_app(page: Page) -> str:
    """Set an authenticator app up from the account's page; return its key."""
    page.get_by_role("link", name="Set up the app").click()
    confirm(page)
    judge(page)
    page.get_by_text("Type the key").click()
    secret = page.locator("#totp-secret").inner_text().strip()
    page.get_by_label("Code").fill(code_of(secret))
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    expect(page.locator("#recovery-codes")).to_have_text(re.compile(r"(\d{8}\s*){10}"))
    judge(page)
    return secret


def plug_in_authenticator(page: Page) -> CDPSession:
    """Give the browser a fingerprint reader that always agrees."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    return session
