"""Allauth's hooks for sign-in: membership, error messages, client addresses and mails."""

import logging
import smtplib
from typing import Any, ClassVar

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.stagekit import clear_login
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from apps_registry.client_address import client_address
from apps_registry.mail_text import one_line
from apps_registry.models import User
from apps_registry.people.members import NOT_A_MEMBER, may_sign_in
from postbacks.accounts.known_browsers import browser_of

_NOWHERE = "0.0.0.0"  # noqa: S104  # a caller without an address, as behind a Unix socket

logger = logging.getLogger("postbacks.accounts")


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Lets in members and invited people; nobody signs up without an invitation."""

    error_messages: ClassVar[dict[str, Any]] = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": (
            "This address and password do not belong together. Capital letters count."
        ),
        "enter_current_password": "This is not the password you have now.",
        "incorrect_password": "This is not your password. Capital letters count.",
        "too_many_login_attempts": "Too many tries. Wait five minutes, then try again.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False  # an invitation's page makes accounts

    def pre_login(self, request: HttpRequest, user: User, **context: Any) -> HttpResponse | None:
        answer: HttpResponse | None = super().pre_login(request, user, **context)
        if answer is not None or may_sign_in(user):
            return answer
        clear_login(request)
        messages.error(request, NOT_A_MEMBER)
        return HttpResponseRedirect(reverse("account_login"))

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request) or _NOWHERE

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # Without the host, which allauth adds: a caller can vary its port to get more tries.
        email = str(credentials.get("email", "")).lower()
        browser = browser_of(request, email)
        return f"{email} {browser}" if browser else email

    def get_reset_password_from_key_url(self, key: str) -> str:
        # PUBLIC_URL, never the host that a request names: the mail would send its key there.
        link = reverse(
            "account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"}
        ).replace("UID-KEY", key)
        return f"{settings.PUBLIC_URL}{link}"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a mail, or log the failure: no page may break for want of a mail server."""
        browser = one_line(context.get("user_agent", ""))
        try:
            super().send_mail(template_prefix, email, {**context, "user_agent": browser})
        except (OSError, smtplib.SMTPException) as error:
            # Without the message, since some hold a link that is a key.
            logger.error("A mail could not be sent: %s", type(error).__name__)  # noqa: TRY400
