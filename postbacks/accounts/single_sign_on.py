"""Sign-in by the organization's own identity provider (OpenID Connect), where OIDC_* is set.

The operator chose the provider, so an address that it has verified is the person's: it signs an
account with that address in, and makes one for an invited address. It never makes any other.
"""

import logging
from typing import NoReturn

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import AuthError
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from apps_registry.models import Invitation, User
from apps_registry.people import invitations
from apps_registry.people.members import NOT_A_MEMBER
from postbacks.accounts.audit import as_person

_FAILED = "The single sign-on did not work. Try again, or sign in with your password."
_UNPROVEN = "Your identity provider did not confirm your e-mail address, so we don't know you."


logger = logging.getLogger("postbacks.accounts")


class SingleSignOnAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Finds the person behind an identity."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Connect a new identity to its person, or refuse it with a reason."""
        if sociallogin.is_existing:
            return
        email = _verified_address(sociallogin)
        if email is None:
            _refuse(request, _UNPROVEN)
        person = User.objects.filter(email=email).first()
        if person is None:
            with as_person(request, email):
                person = _account_of_invited(email, sociallogin)
        if person is None:
            _refuse(request, NOT_A_MEMBER)
        sociallogin.connect(request, person)

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: object,
        error: object = None,
        exception: Exception | None = None,
        extra_context: object = None,
    ) -> None:
        if error == AuthError.CANCELLED:  # a page of its own answers
            return
        report_failure(request, exception)
        raise ImmediateHttpResponse(HttpResponseRedirect(reverse("account_login")))


def report_failure(request: HttpRequest, error: BaseException | None) -> None:
    """Tell the person that it did not work, and log why."""
    logger.warning("A single sign-on failed: %s", type(error).__name__)
    messages.error(request, _FAILED)


def redirect_by_page(request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    """Return a page that forwards to the provider, in place of a redirect.

    The content security policy lets forms submit to us alone, and browsers apply that to redirects
    after a submit: also to the provider's own, whose targets can't be listed.
    """
    address = answer.headers.get("Location", "")
    if not address.startswith(("https://", "http://")):
        return answer
    return render(request, "accounts/single_sign_on.html", {"address": address})


def _verified_address(sociallogin: SocialLogin) -> str | None:
    return next(
        (entry.email.lower() for entry in sociallogin.email_addresses if entry.verified is True),
        None,
    )


def _account_of_invited(email: str, sociallogin: SocialLogin) -> User | None:
    invitation = invitations.only_open(Invitation.objects.filter(email=email)).first()
    if invitation is None:
        return None
    claims = sociallogin.account.extra_data
    name = str((claims.get("userinfo") or claims.get("id_token") or {}).get("name") or "")[:120]
    return invitations.join(invitation.token_hash, name=name, password=None).user


def _refuse(request: HttpRequest, reason: str) -> NoReturn:
    messages.error(request, reason)
    raise ImmediateHttpResponse(HttpResponseRedirect(reverse("account_login")))
