"""SDK keys, with which apps report: shown once, then listed by their first characters."""

from datetime import timedelta
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.crypto import keys
from apps_registry.models import App, SdkKey
from apps_registry.models.apps import KeyEndedError
from apps_registry.roles import Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import IdFilter, PublicIdField
from postbacks.api.problems import Conflict
from postbacks.api.query import PageQuery
from postbacks.api.strict import KeySerializer, StrictSerializer


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


class SdkKeyViewSet(OrganizationViewSet, mixins.CreateModelMixin):
    """Secrets with which apps' SDKs and servers report events."""

    model = SdkKey
    queries = {"list": SdkKeyQuery}
    rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "create": Right.MANAGE,
        "destroy": Right.MANAGE,
        "rotate": Right.MANAGE,
    }

    def get_serializer_class(self) -> type[SdkKeySerializer]:
        return FreshSdkKeySerializer if self.action in {"create", "rotate"} else SdkKeySerializer

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("app")

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Revoke a key: it is refused from now on and stays in the list."""
        self.get_object().revoke()
        return Response(status=status.HTTP_204_NO_CONTENT)

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
