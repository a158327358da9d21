"""Audit entries of sign-ins and second factors, in each organization of the person."""

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
    """Attribute changes to a person who may not be signed in yet."""
    return acting_as(
        Actor(ActorKind.PERSON, email, Door.WEB, user_id=user_id, address=client_address(request))
    )


def record_sign_in(sender: object, request: HttpRequest, user: User, **_: object) -> None:
    _record_everywhere(Action.SIGNED_IN, request, user)


def record_sign_out(
    sender: object, request: HttpRequest | None, user: User | None, **_: object
) -> None:
    if request is not None and user is not None:
        _record_everywhere(Action.SIGNED_OUT, request, user)


def record_factor_added(
    sender: object, request: HttpRequest, user: User, authenticator: Authenticator, **_: object
) -> None:
    if name := _FACTORS.get(authenticator.type):
        _record_everywhere(Action.CHANGED, request, user, {"second_factor": [None, name]})


def record_factor_removed(
    sender: object, request: HttpRequest, user: User, authenticator: Authenticator, **_: object
) -> None:
    if name := _FACTORS.get(authenticator.type):
        _record_everywhere(Action.CHANGED, request, user, {"second_factor": [name, None]})


# Recovery codes are made and removed along with these.
_FACTORS = {
    Authenticator.Type.TOTP: "Authenticator app",
    Authenticator.Type.WEBAUTHN: "Passkey",
}


def _record_everywhere(
    action: Action, request: HttpRequest, user: User, changes: Changes | None = None
) -> None:
    with as_person(request, user.email, user_id=user.pk):
        for membership in user.memberships_for_sign_in():
            with tenant(membership.organization_id):
                log_action(action, name=user.email, changes=changes)
