"""Authenticates callers: an app's SDK by its key, a program by its API token.

Both come as `Authorization: Bearer …`, or as the user name of Basic authentication. A key where a
token belongs, or the other way around, is answered 403: it is known, but not here.
"""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from apps_registry.client_address import client_address
from apps_registry.crypto.keys import API_TOKEN, SDK_KEY, hash_key
from apps_registry.models import ApiToken, User
from apps_registry.models.sealed import is_use_noted
from apps_registry.roles import RIGHTS, Right
from apps_registry.tenancy import tenant
from postbacks.api import throttling
from postbacks.intake.sdk_keys import Reporter, find_key


@dataclass(frozen=True, slots=True)
class Caller:
    """The program behind an API token, with the rights that the token has at this moment."""

    organization_id: int
    role: str
    user: User | None
    rights: frozenset[Right]  # those of the role that the scopes leave

    is_authenticated = True  # REST framework requires it of a user

    def allows(self, right: Right) -> bool:
        return right in self.rights


class _SecretAuthentication(BaseAuthentication):
    """Authenticates by a secret; failures are rate-limited by address."""

    def authenticate(self, request: Request) -> tuple[Any, Any]:
        """Return `request.user` and `request.auth`, or raise 401, 403 or 429."""
        try:
            return self.authenticate_secret(request, self.read_secret(request))
        except (exceptions.NotAuthenticated, exceptions.AuthenticationFailed):
            throttling.throttle_unknown_keys(client_address(request))
            raise

    def read_secret(self, request: Request) -> str:
        """Return the key or token of the request. Raises 401."""
        return credential_in_header(request)

    def authenticate_secret(self, request: Request, secret: str) -> tuple[Any, Any]:
        """Return `request.user` and `request.auth`, or raise 401, 403 or 429."""
        raise NotImplementedError


class SdkKeyAuthentication(_SecretAuthentication):
    """Authenticates an app by its SDK key; `request.auth` is the Reporter."""

    def authenticate_secret(self, request: Request, secret: str) -> tuple[None, Reporter]:
        if secret.startswith(API_TOKEN):
            raise exceptions.PermissionDenied("An API token can't report events; use an SDK key.")
        key = find_key(secret)
        if key is None:
            raise exceptions.AuthenticationFailed("The SDK key is not known.")
        request._request.sdk_key = key  # type: ignore[attr-defined]  # for the log of refusals
        if key.is_revoked:
            raise exceptions.PermissionDenied("The SDK key was revoked; make a new one.")
        if key.has_ended:
            raise exceptions.PermissionDenied(
                "The SDK key was rotated and has ended; use the key that took its place."
            )
        if key.is_of_archived_app:
            raise exceptions.PermissionDenied("The app of this SDK key is archived.")
        key.note_use()
        # A server's own address says nothing about the device.
        address = None if key.is_server else client_address(request._request)
        throttling.throttle_sdk_key(key, address)
        return None, key.reporter(address, request._request.META.get("HTTP_USER_AGENT"))

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="SDK key"'


class TokenAuthentication(_SecretAuthentication):
    """Authenticates a program by its API token; `request.user` is the Caller."""

    def authenticate_secret(self, request: Request, secret: str) -> tuple[Caller, ApiToken]:
        if secret.startswith(SDK_KEY):
            raise exceptions.PermissionDenied(
                "An SDK key can only report events and touchpoints and forget a device. Everything "
                "else takes an API token."
            )
        ids = _find_token(secret)
        if ids is None:
            raise exceptions.AuthenticationFailed("The API token is not known.")
        organization_id, token_id = ids
        with tenant(organization_id):
            token = ApiToken.objects.select_related("user").get(pk=token_id)
            if token.revoked_at is not None:
                raise exceptions.PermissionDenied("The API token was revoked.")
            if token.expires_at is not None and token.expires_at <= datetime.now(UTC):
                raise exceptions.PermissionDenied("The API token has expired.")
            _record_use(token)
            caller = _caller(token)
        throttling.throttle_api_token(organization_id, token_id)
        return caller, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="API token"'


def credential_in_header(request: Request) -> str:
    """Return the credential in `Authorization`: Bearer, or Basic's user name. Raises 401."""
    header: str = request._request.META.get("HTTP_AUTHORIZATION", "")
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0]
        except ValueError:  # not base64, or not UTF-8
            raise exceptions.AuthenticationFailed("The Basic credentials can't be read.") from None
    raise exceptions.NotAuthenticated("Send the key as “Authorization: Bearer …”.")


def _find_token(secret: str) -> tuple[int, int] | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT organization_id, id FROM find_api_token(%s)", [hash_key(secret)])
        row = cursor.fetchone()
    return (row[0], row[1]) if row else None


def _caller(token: ApiToken) -> Caller:
    """Return the caller: a person's token never has more rights than the person has now."""
    if token.user is None:
        return Caller(token.organization_id, token.role, None, token.rights())
    memberships = token.user.memberships_for_sign_in() if token.user.is_active else []
    for membership in memberships:
        if membership.organization_id == token.organization_id:
            roles: list[str] = [token.role, membership.role]
            role = min(roles, key=lambda role: len(RIGHTS[role]))
            return Caller(token.organization_id, role, token.user, token.rights(membership.role))
    raise exceptions.PermissionDenied("The person of this API token is no longer a member.")


def _record_use(token: ApiToken) -> None:
    now = datetime.now(UTC)
    if not is_use_noted(token.last_used_at, now):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
