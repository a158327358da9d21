"""Click signing keys of partners: shown once, then listed by their ids."""

from typing import Any

from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import ClickSigningKey, Partner
from apps_registry.models.click_signing import new_secret
from apps_registry.roles import Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import IdFilter, PublicIdField
from postbacks.api.query import PageQuery
from postbacks.api.strict import RowSerializer


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


class ClickSigningKeyViewSet(OrganizationViewSet, mixins.CreateModelMixin):
    """Secrets with which partners sign the clicks that they send."""

    model = ClickSigningKey
    queries = {"list": ClickSigningKeyQuery}
    rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "create": Right.MANAGE,
        "destroy": Right.MANAGE,
    }

    def get_serializer_class(self) -> type[ClickSigningKeySerializer]:
        if self.action == "create":
            return FreshClickSigningKeySerializer
        return ClickSigningKeySerializer

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("partner")

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Revoke a key: what it signs is invalid from now on."""
        self.get_object().revoke()
        return Response(status=status.HTTP_204_NO_CONTENT)
