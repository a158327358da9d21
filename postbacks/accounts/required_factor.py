"""Holds an organization's rule that every member has a second factor."""

from collections.abc import Callable
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from apps_registry.models import Membership
from apps_registry.people.sign_in import has_second_factor, second_factors
from postbacks.accounts.second_factor import has_shown_second_factor

_GUARDED = "/admin/"
_LEFT_OPEN = (
    "login/",
    "logout/",
    "switch-organization/",
    "jsi18n/",
    # An operator's own pages show nothing of the organization, and a visit can always be ended.
    "leave-organization/",
    "installation/",
    "organizations/",
)


class RequiredSecondFactor:
    """Leads a member to set a second factor up, or to show it, before any page of the admin.

    A session that began before the factor was set up elsewhere has not shown it, so it counts as
    one without. It stands inside `TenantOfRequest`, which knows the organization of the session.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if _must_show_factor(request):
            return _leading_there(request)
        return self.get_response(request)


def _must_show_factor(request: HttpRequest) -> bool:
    membership: Membership | None = getattr(request, "membership", None)
    if membership is None or not membership.organization.require_second_factor:
        return False
    # Not `request.path`: a prefix stands before it that some servers let a header name.
    page = request.path_info.removeprefix(_GUARDED)
    is_guarded = page != request.path_info and not page.startswith(_LEFT_OPEN)
    return is_guarded and not (
        has_shown_second_factor(request) and has_second_factor(membership.user)
    )


def _leading_there(request: HttpRequest) -> HttpResponseRedirect:
    """Lead to the page of the factor that the person has, or to where one is set up."""
    kinds = set(second_factors().filter(user=request.user).values_list("type", flat=True))
    if not kinds:
        return HttpResponseRedirect(reverse("mfa_index"))
    page = "mfa_reauthenticate" if "totp" in kinds else "mfa_reauthenticate_webauthn"
    back = request.get_full_path() if request.method == "GET" else reverse("admin:index")
    return HttpResponseRedirect(f"{reverse(page)}?{urlencode({'next': back})}")
