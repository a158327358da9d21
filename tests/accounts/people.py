"""What people do at the door: sign in, enter codes, follow links in mails."""

import re
from urllib.parse import urlsplit

from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core import mail
from django.http import HttpResponse
from django.test import Client

from apps_registry.models import User

SIGN_IN = "/accounts/login/"
ADD_APP = "/accounts/second-factor/app/add/"
PASSWORD = "correct horse battery"


def sign_in_by_form(person: User, client: Client, password: str = PASSWORD) -> HttpResponse:
    """Fill the sign-in page in."""
    return client.post(SIGN_IN, {"login": person.email, "password": password})


def confirm(client: Client, password: str = PASSWORD) -> None:
    """Say the password once more, before something that protects the account."""
    client.post("/accounts/confirm/", {"password": password})


def code_of(secret: str) -> str:
    """Return what an authenticator app shows now."""
    return format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))


def set_up_app(browser: Client) -> str:
    """Set an authenticator app up by its page; return its key."""
    confirm(browser)
    page = browser.get(ADD_APP).content.decode()
    match = re.search(r'id="totp-secret"[^>]*>(\w+)<', page)
    assert match
    browser.post(ADD_APP, {"code": code_of(match.group(1))})
    return match.group(1)


def link_in_mail() -> str:
    """Return the path that the newest mail leads to."""
    match = re.search(r"https?://\S+", str(mail.outbox[-1].body))
    assert match
    return urlsplit(match.group()).path
