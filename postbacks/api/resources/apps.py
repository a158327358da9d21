"""Apps and their bundle IDs."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema_field
from rest_framework import mixins, serializers, status
from rest_framework.fields import SkipField, empty
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import App, BundleId, ClaimState, ConversionMeaning, StoreClaim
from apps_registry.models.apps import BUNDLE_ID
from apps_registry.models.conversions import replace_meanings
from apps_registry.models.referrer_keys import REFERRER_KEY, set_referrer_key
from apps_registry.roles import Right
from postbacks.api.base import OrganizationViewSet, RegistryViewSet
from postbacks.api.fields import IdFilter, PublicIdField
from postbacks.api.query import ArchivableQuery, PageQuery
from postbacks.api.strict import RowSerializer, StrictSerializer
from postbacks.models import UnclaimedCopy

_UNPROVEN = "unproven"
CLAIM_STATES = (_UNPROVEN, ClaimState.WAITING.value, ClaimState.REFUSED.value)
_CLAIMED = "This bundle ID already belongs to one of your apps."


class BundleIdListField(serializers.ListField):
    """The bundle IDs of an app as identifiers, in alphabetical order."""

    child = serializers.CharField(max_length=255, validators=[BUNDLE_ID])

    def to_representation(self, data: Any) -> list[str]:
        return sorted(bundle_id.identifier for bundle_id in data.all())


@extend_schema_field({"type": "string", "maxLength": 64})
class ReferrerKeyField(serializers.CharField):
    """A key that is written in full and read masked; its mask may be sent back unchanged."""

    def get_attribute(self, instance: App) -> str | None:
        key = next(iter(instance.referrer_keys.all()), None)
        return key.masked if key else None

    def to_internal_value(self, data: Any) -> str:
        """Return the key. Its form is checked here, as a validator would describe masks too."""
        key: str = super().to_internal_value(data)
        if not re.fullmatch(REFERRER_KEY.regex, key):
            raise serializers.ValidationError(str(REFERRER_KEY.message))
        return key

    def run_validation(self, data: Any = empty) -> Any:
        """Skip a mask that is sent back."""
        parent: Any = self.parent
        is_saved = isinstance(parent.instance, App)
        if isinstance(data, str) and is_saved and data == self.get_attribute(parent.instance):
            raise SkipField
        return super().run_validation(data)


class ConversionSerializer(StrictSerializer, serializers.ModelSerializer):
    """What a range of fine conversion values means, or a coarse value."""

    class Meta:
        model = ConversionMeaning
        fields = (
            *("first_value", "last_value", "coarse_value", "sequence"),
            *("event_name", "least_revenue", "most_revenue", "currency"),
        )
        # `replace_meanings` checks the constraints of all rows together, before it writes any.
        validators: ClassVar[list[Any]] = []
        extra_kwargs: ClassVar[dict[str, Any]] = {
            **{name: {"required": False} for name in ("first_value", "last_value")},
            **{name: {"normalize_output": True} for name in ("least_revenue", "most_revenue")},
        }


class AppSerializer(RowSerializer):
    """An app."""

    bundle_ids = BundleIdListField(
        required=False, help_text="The app's identifiers in stores, for example com.example.game."
    )
    store_share = serializers.DecimalField(
        max_digits=5,
        decimal_places=4,
        min_value=0,
        max_value=1,
        required=False,
        normalize_output=True,
        help_text="The store's share of a purchase: 0.3 for 30 %.",
    )
    conversion_values = ConversionSerializer(
        source="conversion_meanings",
        many=True,
        required=False,
        help_text="The meaning of the app's conversion values; replaces all of them at once.",
    )
    meta_decryption_key = ReferrerKeyField(
        source="referrer_keys",
        required=False,
        allow_null=True,
        help_text="Meta's install referrer key: 64 characters, shown masked; null removes it.",
    )

    store_id_claim = serializers.SerializerMethodField(
        help_text="Where copies of Apple's postbacks with the `store_id` do not come to the app: "
        "`unproven`, they wait until an event of the app has arrived, or the operator agrees, who "
        "alone decides while another organization names the same `store_id`; "
        "`waiting`, another organization has it; `refused` by the operator."
    )

    class Meta:
        model = App
        fields = (
            *("id", "name", "platform", "store_id", "bundle_ids", "conversion_values"),
            *("meta_decryption_key", "time_zone", "store_share", "status", "created_at"),
            "store_id_claim",
        )
        read_only_fields = ("status",)

    @extend_schema_field({"type": "string", "enum": list(CLAIM_STATES)})
    def get_store_id_claim(self, app: App) -> str | None:
        if getattr(app, "has_waiting_copies", False):
            return _UNPROVEN
        claim = next(iter(app.store_claims.all()), None)
        return claim.state if claim and claim.state in CLAIM_STATES else None

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Leave the claim out where copies come to the app, or would."""
        content = super().to_representation(instance)
        if content["store_id_claim"] is None:
            del content["store_id_claim"]
        return content

    def _repeats(self, name: str, value: object) -> bool:
        # An event that arrives may change it: a row that was just read can be written back.
        return name == "store_id_claim" or super()._repeats(name, value)

    def save(self, **kwargs: object) -> Any:
        """Write the app and, where they were sent, its bundle IDs and conversion values."""
        identifiers = self.validated_data.pop("bundle_ids", None)
        conversions = self.validated_data.pop("conversion_meanings", None)
        sends_key = "referrer_keys" in self.validated_data
        key = self.validated_data.pop("referrer_keys", None)
        app = super().save(**kwargs)
        if sends_key:
            set_referrer_key(app, key)
        if conversions is not None:
            _replace_meanings(app, conversions)
        if identifiers is not None:
            app.bundle_ids.exclude(identifier__in=identifiers).delete()
            for index, identifier in enumerate(dict.fromkeys(identifiers)):
                if not app.claim(identifier):
                    raise serializers.ValidationError({"bundle_ids": {str(index): [_CLAIMED]}})
        return app


class AppExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]  # untyped there
    """Describes that only some answers have the state of the claim to a store id."""

    target_class = AppSerializer

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        """Return the schema; read-only fields are otherwise required in answers."""
        schema: dict[str, Any] = auto_schema._map_serializer(  # type: ignore[no-untyped-call]
            self.target, direction, bypass_extensions=True
        )
        if "required" in schema:  # not in a PATCH's body
            schema["required"] = [name for name in schema["required"] if name != "store_id_claim"]
        return schema


def _replace_meanings(app: App, conversions: Sequence[Mapping[str, Any]]) -> None:
    try:
        replace_meanings(app, [ConversionMeaning(**conversion) for conversion in conversions])
    except ValidationError as error:
        raise serializers.ValidationError({"conversion_values": error.messages}) from None


class AppQuery(ArchivableQuery):
    """Filters of apps."""

    name = serializers.CharField(required=False)
    platform = serializers.CharField(required=False)
    store_id = serializers.CharField(required=False)


class AppViewSet(RegistryViewSet):
    """Mobile apps that report events."""

    model = App
    serializer_class = AppSerializer
    queries = {"list": AppQuery}

    def get_queryset(self) -> Any:
        unproven = StoreClaim.objects.filter(
            app=OuterRef("pk"),
            state=ClaimState.ACCEPTED,
            proven_at=None,
            store_id__in=UnclaimedCopy.objects.values("store_id"),
        )
        return (
            super()
            .get_queryset()
            .annotate(has_waiting_copies=Exists(unproven))
            .prefetch_related("bundle_ids", "conversion_meanings", "referrer_keys", "store_claims")
        )

    def csv_columns(self) -> Sequence[str]:
        return [name for name in super().csv_columns() if name != "store_id_claim"]


class BundleIdSerializer(RowSerializer):
    """A bundle ID of an app."""

    app = PublicIdField(App)

    class Meta:
        model = BundleId
        fields = ("id", "app", "identifier", "created_at")

    def save(self, **_: object) -> Any:
        self.instance = self.validated_data["app"].claim(self.validated_data["identifier"])
        if self.instance is None:
            raise serializers.ValidationError({"identifier": [_CLAIMED]})
        return self.instance


class BundleIdQuery(PageQuery):
    """Filters of bundle IDs."""

    app = IdFilter(App)
    identifier = serializers.CharField(required=False)
    lookups = {"app": "app_id"}


class BundleIdViewSet(OrganizationViewSet, mixins.CreateModelMixin):
    """Store identifiers of apps: iOS bundle IDs and Android package names."""

    model = BundleId
    serializer_class = BundleIdSerializer
    queries = {"list": BundleIdQuery}
    rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "create": Right.SET_UP,
        "destroy": Right.SET_UP,
    }

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("app")

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Take a bundle ID away from its app; what it reported stays."""
        self.get_object().delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
