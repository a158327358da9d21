"""Second factors: how their secrets are sealed, and the pages that require one."""

from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import urlencode

from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from apps_registry.crypto import encryption
from apps_registry.models import Membership, User
from apps_registry.people.members import has_second_factor, second_factors

_GUARDED = "/admin/"
_UNGUARDED = (
    "login/",
    "logout/",
    "switch-organization/",
    "jsi18n/",
    # An operator's own pages show nothing of the organization, and a visit can always be ended.
    "leave-organization/",
    "installation/",
    "organizations/",
)
_METHOD = "mfa"


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """Seals secrets, and names Postbacks in authenticator apps and passkeys."""

    error_messages: ClassVar[dict[str, Any]] = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": "This code does not fit. Wait for the next one and try again.",
    }

    def encrypt(self, text: str) -> str:
        return encryption.encrypt_second_factor(text)

    def decrypt(self, encrypted_text: str) -> str:
        return encryption.decrypt_second_factor(encrypted_text)

    def generate_authenticator_name(self, user: User, type: str) -> str:  # noqa: A002  # allauth's
        count = Authenticator.objects.filter(user=user, type=type).count()
        return f"Passkey {count + 1}"

    def _get_site_name(self) -> str:
        return "Postbacks"


class RequiredSecondFactor:
    """Middleware: where an organization requires second factors, no admin page opens without one.

    A member is led to set a factor up, or to show it; a session that began before the factor was
    set up elsewhere has not shown it. Runs inside `TenantOfRequest`, which sets the membership.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if _must_show_factor(request):
            return _redirect_to_factor(request)
        return self.get_response(request)


def has_shown_second_factor(request: HttpRequest) -> bool:
    """Tell whether this session proved a second factor, at sign-in or later."""
    if not isinstance(request.user, User):
        return False
    records = get_authentication_records(request, request.user)
    return any(record.get("method") == _METHOD for record in records)


@receiver(authenticator_added)
def count_setup_as_proof(
    request: HttpRequest, user: User, authenticator: Authenticator, **_: object
) -> None:
    """Count setting up a factor as showing it: the person has just used it."""
    if authenticator.type != Authenticator.Type.RECOVERY_CODES:
        record_authentication(
            request, user, _METHOD, id=authenticator.pk, type=str(authenticator.type)
        )


def _must_show_factor(request: HttpRequest) -> bool:
    membership: Membership | None = getattr(request, "membership", None)
    if membership is None or not membership.organization.require_second_factor:
        return False
    # Not `request.path`: a prefix stands before it that some servers let a header name.
    page = request.path_info.removeprefix(_GUARDED)
    is_guarded = page != request.path_info and not page.startswith(_UNGUARDED)
    return is_guarded and not (
        has_shown_second_factor(request) and has_second_factor(membership.user)
    )


def _redirect_to_factor(request: HttpRequest) -> HttpResponseRedirect:
    """Redirect to the page that asks for the person's factor, or to the one that sets it up."""
    kinds = set(second_factors().filter(user=request.user).values_list("type", flat=True))
    if not kinds:
        return HttpResponseRedirect(reverse("mfa_index"))
    page = "mfa_reauthenticate" if "totp" in kinds else "mfa_reauthenticate_webauthn"
    back = request.get_full_path() if request.method == "GET" else reverse("admin:index")
    return HttpResponseRedirect(f"{reverse(page)}?{urlencode({'next': back})}")
