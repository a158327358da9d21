"""Keys for programs, each shown once: API tokens, and the SDK keys with which apps report.

A token never has more rights than the caller that makes it.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from django.db.models import Q
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.crypto import keys
from apps_registry.models import ApiToken, App, SdkKey
from apps_registry.models.apps import KeyEndedError
from apps_registry.models.tokens import SCOPES
from apps_registry.roles import RIGHTS, Right, Role
from postbacks.api.authentication import Caller
from postbacks.api.base import KeyViewSet, missing_right
from postbacks.api.fields import IdFilter, PublicIdField
from postbacks.api.problems import Conflict
from postbacks.api.query import PageQuery
from postbacks.api.strict import KeySerializer, StrictSerializer

PERSONAL, ORGANIZATION = "personal", "organization"
_MAY_NOT_REVOKE = (
    "This token may revoke only itself. Call with one that has the scope “manage”, or all scopes "
    "of its role and every right of the token to revoke; or revoke it on the page of API tokens."
)


class OwnerField(serializers.ChoiceField):
    """Says who owns a token."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__([PERSONAL, ORGANIZATION], source="*", **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        # Under a name that is no field of the row.
        return {"owned_by": super().to_internal_value(data)}

    def to_representation(self, value: Any) -> str:
        return PERSONAL if value.is_personal else ORGANIZATION


class ApiTokenSerializer(KeySerializer):
    """An API token; `token` itself is in the answer to its creation only."""

    kind_of_key = keys.API_TOKEN

    owner = OwnerField(
        required=False,
        help_text=(
            "personal: yours, never with more rights than you; organization: works on when you "
            "leave, and requires the scope manage. Default: as the token that you call with."
        ),
    )
    role = serializers.ChoiceField(
        Role.choices, required=False, help_text="Limits the token's rights. Default: your role."
    )
    scopes = serializers.ListField(
        child=serializers.ChoiceField([scope for scope, _ in SCOPES]),
        required=False,
        allow_empty=False,
        help_text="The rights within its role. Default: all of them that you have.",
    )

    class Meta:
        model = ApiToken
        fields = (
            *("id", "name", "owner", "role", "scopes", "prefix"),
            *("created_at", "last_used_at", "expires_at", "revoked_at"),
        )
        read_only_fields = ("prefix", "created_at", "last_used_at", "revoked_at")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Fill in the defaults, and refuse rights that the caller does not have."""
        caller: Caller = self.context["request"].user
        parent: ApiToken = self.context["request"].auth
        default_owner = PERSONAL if parent.is_personal else ORGANIZATION
        owner = attrs.pop("owned_by", default_owner)
        attrs["role"] = _role(attrs.get("role", caller.role), caller)
        attrs["scopes"] = _scopes(attrs.get("scopes"), attrs["role"], caller)
        attrs["expires_at"] = _expiry(attrs.get("expires_at"), parent)
        attrs["user"] = _user(owner, caller)
        return attrs


class FreshApiTokenSerializer(ApiTokenSerializer):
    """An API token as its creation answers it."""

    token = serializers.SerializerMethodField(help_text="The secret. It is not shown again.")

    class Meta:
        model = ApiToken
        fields = (*ApiTokenSerializer.Meta.fields, "token")
        read_only_fields = ApiTokenSerializer.Meta.read_only_fields

    def get_token(self, row: ApiToken) -> str:
        return self.secret


class ApiTokenQuery(PageQuery):
    """Filters of API tokens."""

    name = serializers.CharField(required=False)
    role = serializers.ChoiceField(Role.choices, required=False)


class ApiTokenViewSet(KeyViewSet):
    """Tokens with which programs use this API.

    You see your own; with the right to manage also the organization's. An organization's token
    without that right sees itself alone.
    """

    model = ApiToken
    queries = {"list": ApiTokenQuery}
    can_be_exported = False
    rights = {
        **KeyViewSet.rights,
        "create": Right.READ,
        "destroy": Right.READ,
    }

    def get_serializer_class(self) -> type[ApiTokenSerializer]:
        return FreshApiTokenSerializer if self.action == "create" else ApiTokenSerializer

    def get_queryset(self) -> Any:
        manages = self.caller.allows(Right.MANAGE)
        visible = ApiToken.visible_to(self.caller.user, manages=manages)
        own = Q(pk=cast(ApiToken, self.request.auth).pk)
        return super().get_queryset().filter(visible | own)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Revoke a token: it is refused from now on and stays in the list.

        Any token may revoke itself. Another takes the scope manage, or a token with all scopes of
        its role, for one that may do no more.
        """
        token: ApiToken = self.get_object()
        own = cast(ApiToken, request.auth)
        if token.pk != own.pk and not self._may_revoke(token):
            raise exceptions.PermissionDenied(_MAY_NOT_REVOKE)
        token.revoke()
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _may_revoke(self, token: ApiToken) -> bool:
        if self.caller.allows(Right.MANAGE):
            return True
        is_whole = self.caller.rights == RIGHTS[self.caller.role]
        return is_whole and token.rights() <= self.caller.rights


def _user(owner: str, caller: Caller) -> Any:
    if owner == ORGANIZATION:
        if not caller.allows(Right.MANAGE):
            raise exceptions.PermissionDenied(missing_right(caller, Right.MANAGE))
        return None
    if caller.user is None:
        raise serializers.ValidationError(
            {"owner": ["An organization's token has no owner for a personal token."]}
        )
    return caller.user


def _role(role: str, caller: Caller) -> str:
    if role not in ApiToken.roles_within(caller.role):
        raise serializers.ValidationError(
            {"role": [f"You call as {caller.role} and can't make a token for {role}."]}
        )
    return role


def _scopes(scopes: list[str] | None, role: str, caller: Caller) -> list[str]:
    if scopes is None:
        return ApiToken.scopes_of(RIGHTS[role] & caller.rights)
    for scope in scopes:
        if scope not in caller.rights:
            raise serializers.ValidationError(
                {"scopes": [f"You don't have the scope “{scope}”, so you can't grant it."]}
            )
        if scope not in RIGHTS[role]:
            raise serializers.ValidationError(
                {"scopes": [f"The role {role} has no scope “{scope}”."]}
            )
    return ApiToken.scopes_of(frozenset(Right(scope) for scope in scopes))


def _expiry(expires_at: datetime | None, parent: ApiToken) -> datetime | None:
    """Return when a token expires: never after the token that makes it."""
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise serializers.ValidationError({"expires_at": ["Choose a moment in the future."]})
    if parent.expires_at is None:
        return expires_at
    if expires_at is not None and expires_at > parent.expires_at:
        raise serializers.ValidationError(
            {"expires_at": ["The token that you call with ends before that."]}
        )
    return expires_at or parent.expires_at


class SdkKeySerializer(KeySerializer):
    """An SDK key; `key` itself is in the answer to its creation only."""

    kind_of_key = keys.SDK_KEY

    app = PublicIdField(App)

    class Meta:
        model = SdkKey
        fields = (
            *("id", "app", "name", "kind", "prefix"),
            *("created_at", "last_used_at", "expires_at", "revoked_at"),
        )
        read_only_fields = ("prefix",)


class FreshSdkKeySerializer(SdkKeySerializer):
    """An SDK key as its creation answers it."""

    key = serializers.SerializerMethodField(help_text="The secret. It is not shown again.")

    class Meta:
        model = SdkKey
        fields = (*SdkKeySerializer.Meta.fields, "key")
        read_only_fields = SdkKeySerializer.Meta.read_only_fields

    def get_key(self, row: SdkKey) -> str:
        return self.secret


class RotationSerializer(StrictSerializer):
    """How an SDK key is rotated."""

    overlap_hours = serializers.IntegerField(
        min_value=0,
        max_value=int(SdkKey.longest_overlap / timedelta(hours=1)),
        default=24,
        help_text="How long the old key keeps working, so that every app and server can follow.",
    )


class SdkKeyQuery(PageQuery):
    """Filters of SDK keys."""

    app = IdFilter(App)
    kind = serializers.ChoiceField(SdkKey.Kind.choices, required=False)
    name = serializers.CharField(required=False)
    lookups = {"app": "app_id"}


class SdkKeyViewSet(KeyViewSet):
    """Secrets with which apps' SDKs and servers report events."""

    model = SdkKey
    queries = {"list": SdkKeyQuery}
    rights = {**KeyViewSet.rights, "rotate": Right.MANAGE}

    def get_serializer_class(self) -> type[SdkKeySerializer]:
        return FreshSdkKeySerializer if self.action in {"create", "rotate"} else SdkKeySerializer

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("app")

    @extend_schema(
        summary="Rotate an SDK key",
        request=RotationSerializer,
        responses={201: FreshSdkKeySerializer},
    )
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make a key that replaces this one, which keeps working for the hours of overlap."""
        rotation = RotationSerializer(data=request.data)
        rotation.is_valid(raise_exception=True)
        overlap = timedelta(hours=rotation.validated_data["overlap_hours"])
        try:
            successor, secret = self.get_object().rotate(overlap=overlap)
        except KeyEndedError as error:
            raise Conflict(str(error)) from None
        serializer = FreshSdkKeySerializer(successor)
        serializer.secret = secret
        return Response(serializer.data, status=status.HTTP_201_CREATED)
