"""The pages behind an invitation's link.

The link redirects at once: its address, which holds the token, must not stay in histories and logs.
"""

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from apps_registry.crypto.keys import hash_key
from apps_registry.models import Invitation, Membership, User
from apps_registry.models.invitations import InvitationState
from apps_registry.people import invitations
from apps_registry.people.invitations import InvitationClosedError
from postbacks.accounts.audit import as_person
from postbacks.accounts.forms import JoinForm
from postbacks.web.middleware import ORGANIZATION_IN_SESSION

_IN_SESSION = "invitation"
_GONE = 410


@never_cache
@require_safe
def follow_link(request: HttpRequest, token: str) -> HttpResponse:
    """Keep the token's hash in the session, and redirect to an address without the token."""
    request.session[_IN_SESSION] = hash_key(token)
    return HttpResponseRedirect(reverse("invitation"))


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest) -> HttpResponse:
    """Show an invitation, and accept it on POST."""
    row = invitations.find_by_token_hash(request.session.get(_IN_SESSION, ""))
    if row is None:
        return render(request, "accounts/invitation_unknown.html", status=404)
    if row.state is not InvitationState.OPEN:
        return _closed(request, row)
    try:
        with as_person(request, row.email):
            return _answer(request, row)
    except InvitationClosedError:  # accepted meanwhile, in another window
        row.refresh_from_db()
        return _closed(request, row)


def _answer(request: HttpRequest, row: Invitation) -> HttpResponse:
    if isinstance(request.user, User):
        return _signed_in(request, row, request.user)
    if User.objects.filter(email=row.email).exists():
        return render(request, "accounts/invitation_sign_in.html", {"invitation": row})
    return _newcomer(request, row)


def _signed_in(request: HttpRequest, row: Invitation, person: User) -> HttpResponse:
    if person.email != row.email:
        return render(request, "accounts/invitation_other.html", {"invitation": row})
    if request.method != "POST":
        return render(request, "accounts/invitation.html", {"invitation": row})
    return _welcome(request, invitations.accept(row.token_hash, person))


def _newcomer(request: HttpRequest, row: Invitation) -> HttpResponse:
    form = JoinForm(request.POST or None, email=row.email)
    if form.is_valid():
        name, password = form.cleaned_data["name"], form.cleaned_data["password"]
        try:
            membership = invitations.join(row.token_hash, name=name, password=password)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            login = Login(user=membership.user, email=row.email)
            perform_password_login(request, {"email": row.email}, login)
            return _welcome(request, membership)
    return render(request, "accounts/invitation_join.html", {"invitation": row, "form": form})


def _welcome(request: HttpRequest, membership: Membership) -> HttpResponse:
    """Open the organization that the person has just joined."""
    organization = membership.organization
    request.session.pop(_IN_SESSION, None)
    request.session[ORGANIZATION_IN_SESSION] = str(organization.public_id)
    messages.success(request, f"Welcome to {organization}.")
    return HttpResponseRedirect(reverse("admin:index"))


def _closed(request: HttpRequest, row: Invitation) -> HttpResponse:
    context = {"invitation": row, "state": str(row.state)}
    return render(request, "accounts/invitation_closed.html", context, status=_GONE)
