"""Browsers in which a person has signed in before: a stranger's wrong passwords don't stop them.

Anybody may try passwords at an address, so tries at it are few, from wherever they come. A browser
that shows by a signed cookie that its person signed in there has as many of its own.
"""

from collections.abc import Callable
from typing import Final
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.core import signing
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase

from apps_registry.models import User

COOKIE: Final = "postbacks-browser"
_SALT: Final = "postbacks.accounts.known_browsers"
_SECONDS: Final = 400 * 86_400  # browsers keep no cookie longer
_SIGNED_IN: Final = "postbacks_signed_in"


class KnownBrowsers:
    """Middleware: gives the browser a cookie in whose answer a person was signed in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        user: User | None = getattr(request, _SIGNED_IN, None)
        if user is not None and not browser_of(request, user.email):
            response.set_cookie(
                _cookie_name(),
                signing.dumps({"email": user.email, "browser": uuid4().hex}, salt=_SALT),
                max_age=_SECONDS,
                httponly=True,
                samesite="Lax",
                secure=settings.SESSION_COOKIE_SECURE,
            )
        return response


def browser_of(request: HttpRequest, email: str) -> str:
    """Return the id of a browser in which the person of an address signed in; else ""."""
    try:
        known = signing.loads(request.COOKIES.get(_cookie_name(), ""), salt=_SALT, max_age=_SECONDS)
    except signing.BadSignature:
        return ""
    return str(known["browser"]) if known["email"].lower() == email.lower() else ""


@receiver(user_logged_in)
def _note(sender: object, request: HttpRequest | None, user: User, **_: object) -> None:
    if request is not None:
        setattr(request, _SIGNED_IN, user)


def _cookie_name() -> str:
    return f"__Host-{COOKIE}" if settings.SESSION_COOKIE_SECURE else COOKIE
