"""What the audit log keeps of people coming and going, in each organization that they belong to."""

from contextlib import AbstractContextManager

from allauth.mfa.models import Authenticator
from django.http import HttpRequest

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import Actor, ActorKind, Door, acting_as
from apps_registry.audit.audited_model import Changes, log_action
from apps_registry.client_address import client_address
from apps_registry.models import User
from apps_registry.tenancy import tenant


def as_person(
    request: HttpRequest, email: str, *, user_id: int | None = None
) -> AbstractContextManager[None]:
    """Have changes be a person's, who may not be signed in yet."""
    return acting_as(
        Actor(ActorKind.PERSON, email, Door.WEB, user_id=user_id, address=client_address(request))
    )


def note_sign_in(sender: object, request: HttpRequest, user: User, **_: object) -> None:
    """Keep that somebody has signed in."""
    _note(Action.SIGNED_IN, request, user)


def note_sign_out(
    sender: object, request: HttpRequest | None, user: User | None, **_: object
) -> None:
    """Keep that somebody has signed out."""
    if request is not None and user is not None:
        _note(Action.SIGNED_OUT, request, user)


def note_factor_added(
    sender: object, request: HttpRequest, user: User, authenticator: Authenticator, **_: object
) -> None:
    """Keep that somebody has set a second factor up."""
    if name := _FACTORS.get(authenticator.type):
        _note(Action.CHANGED, request, user, {"second_factor": [None, name]})


def note_factor_removed(
    sender: object, request: HttpRequest, user: User, authenticator: Authenticator, **_: object
) -> None:
    """Keep that somebody has taken a second factor away: from then on the account is weaker."""
    if name := _FACTORS.get(authenticator.type):
        _note(Action.CHANGED, request, user, {"second_factor": [name, None]})


# Recovery codes come and go with them.
_FACTORS = {
    Authenticator.Type.TOTP: "Authenticator app",
    Authenticator.Type.WEBAUTHN: "Passkey",
}


def _note(action: Action, request: HttpRequest, user: User, changes: Changes | None = None) -> None:
    with as_person(request, user.email, user_id=user.pk):
        for membership in user.memberships_for_sign_in():
            with tenant(membership.organization_id):
                log_action(action, name=user.email, changes=changes)
