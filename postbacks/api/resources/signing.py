"""Signing secrets of postbacks, rotated with an overlap, and partners' click signing keys."""

from datetime import timedelta
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import ClickSigningKey, Partner, SigningSecret
from apps_registry.models.click_signing import new_secret
from apps_registry.models.signing import LONGEST_OVERLAP, OVERLAP, rotate_signing_secret
from apps_registry.roles import Right
from postbacks.api.base import KeyViewSet, OrganizationViewSet
from postbacks.api.fields import IdFilter, PublicIdField
from postbacks.api.query import PageQuery
from postbacks.api.strict import RowSerializer, StrictSerializer

_HOUR = timedelta(hours=1)


class SigningSecretSerializer(RowSerializer):
    """A signing secret; the secret itself is in the answer to its creation only."""

    ending = serializers.CharField(read_only=True, help_text="Its last characters.")
    expires_at = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="Null: the current one."
    )

    class Meta:
        model = SigningSecret
        fields = ("id", "ending", "created_at", "expires_at")


class FreshSigningSecretSerializer(SigningSecretSerializer):
    """A signing secret as its creation answers it."""

    secret = serializers.CharField(
        source="reveal", read_only=True, help_text="`whsec_…`, for the libraries of receivers."
    )

    class Meta:
        model = SigningSecret
        fields = (*SigningSecretSerializer.Meta.fields, "secret")


class SigningRotationSerializer(StrictSerializer):
    """How a signing secret is rotated."""

    overlap_hours = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=LONGEST_OVERLAP // _HOUR,
        default=OVERLAP // _HOUR,
        help_text="How long the previous secret stays valid.",
    )


class SigningSecretViewSet(OrganizationViewSet):
    """The organization's secrets for Standard Webhooks' signatures, two valid at most."""

    model = SigningSecret
    serializer_class = SigningSecretSerializer
    queries = {"list": PageQuery}
    rights = {"list": Right.READ, "retrieve": Right.READ, "rotate": Right.MANAGE}

    @extend_schema(request=SigningRotationSerializer, responses={201: FreshSigningSecretSerializer})
    @action(detail=False, methods=["post"], serializer_class=FreshSigningSecretSerializer)
    def rotate(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make a new secret and answer it; the one before stays valid for the overlap."""
        rotation = SigningRotationSerializer(data=request.data)
        rotation.is_valid(raise_exception=True)
        overlap = timedelta(hours=rotation.validated_data["overlap_hours"])
        fresh = rotate_signing_secret(overlap)
        return Response(self.get_serializer(fresh).data, status=status.HTTP_201_CREATED)


class ClickSigningKeySerializer(RowSerializer):
    """A click signing key; its secret is in the answer to its creation only."""

    partner = PublicIdField(Partner)

    constraint_field = "partner"

    class Meta:
        model = ClickSigningKey
        fields = ("id", "partner", "kid", "created_at", "revoked_at")
        read_only_fields = ("kid", "revoked_at")


class FreshClickSigningKeySerializer(ClickSigningKeySerializer):
    """A click signing key as its creation answers it."""

    secret = serializers.SerializerMethodField(help_text="The secret. It is not shown again.")
    new_secret: str

    class Meta:
        model = ClickSigningKey
        fields = (*ClickSigningKeySerializer.Meta.fields, "secret")
        read_only_fields = ClickSigningKeySerializer.Meta.read_only_fields

    def get_secret(self, row: ClickSigningKey) -> str:
        return self.new_secret

    def write(self, row: Any) -> None:
        self.new_secret = new_secret()
        row.seal(self.new_secret)
        row.save()


class ClickSigningKeyQuery(PageQuery):
    """Filters of click signing keys."""

    partner = IdFilter(Partner)
    kid = serializers.CharField(required=False)
    lookups = {"partner": "partner_id"}


class ClickSigningKeyViewSet(KeyViewSet):
    """Secrets with which partners sign the clicks that they send."""

    model = ClickSigningKey
    queries = {"list": ClickSigningKeyQuery}

    def get_serializer_class(self) -> type[ClickSigningKeySerializer]:
        if self.action == "create":
            return FreshClickSigningKeySerializer
        return ClickSigningKeySerializer

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("partner")
