"""The pages behind an invitation's link, and the form with which a person joins.

The link redirects at once: its address, which holds the token, must not stay in histories and logs.
"""

from typing import Any

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django import forms
from django.contrib import messages
from django.contrib.auth.password_validation import validate_password
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
from postbacks.web.middleware import ORGANIZATION_IN_SESSION

_IN_SESSION = "invitation"
_GONE = 410


class JoinForm(forms.Form):
    """Asks an invited person for a name and a password."""

    name = forms.CharField(
        label="Your name",
        max_length=120,
        help_text="How colleagues see you, for example Ada Lovelace.",
        widget=forms.TextInput(attrs={"autocomplete": "name", "autofocus": True}),
    )
    password = forms.CharField(
        label="Password",
        strip=False,
        help_text=(
            "At least 10 characters, and nothing that is easily guessed, for example three or "
            "four random words."
        ),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if password := values.get("password"):
            person = User(email=self.email, name=values.get("name", ""))
            try:
                validate_password(password, person)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return values


@never_cache
@require_safe
def follow_link(request: HttpRequest, token: str) -> HttpResponse:
    """Keep the token's hash in the session, and redirect to an address without the token."""
    token_hash = hash_key(token)
    if invitations.find_by_token_hash(token_hash) is not None:
        request.session[_IN_SESSION] = token_hash
    elif _IN_SESSION in request.session:  # nothing is begun: anybody could fill the table
        del request.session[_IN_SESSION]
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
