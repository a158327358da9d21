"""Copies of Apple's postbacks, verified and decoded on arrival."""

from typing import Any, ClassVar

from rest_framework import serializers

from apps_registry.models import App, Partner
from apps_registry.roles import Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import EmptyAsNullField, IdFilter, MillisecondDateTimeField, PublicIdField
from postbacks.api.query import PageQuery
from postbacks.models import SignatureState, SkanPostback, SkanProtocol

_YES_OR_NO = [("true", "Yes"), ("false", "No")]


class SkanPostbackSerializer(serializers.ModelSerializer):
    """A copy; `event_name` and revenue are the meaning of its conversion value on arrival."""

    id = serializers.UUIDField(source="public_id")
    app = PublicIdField(read_only=True)
    partner = PublicIdField(read_only=True, allow_null=True)
    version = EmptyAsNullField(allow_null=True)
    campaign_id = EmptyAsNullField(allow_null=True)
    source_identifier = EmptyAsNullField(allow_null=True)
    source_app_id = EmptyAsNullField(allow_null=True)
    source_domain = EmptyAsNullField(allow_null=True)
    conversion_type = EmptyAsNullField(allow_null=True)
    ad_type = EmptyAsNullField(allow_null=True)
    coarse_value = EmptyAsNullField(allow_null=True)
    country = EmptyAsNullField(allow_null=True)
    event_name = EmptyAsNullField(allow_null=True)
    currency = EmptyAsNullField(allow_null=True)
    signature_remark = EmptyAsNullField(source="remark", allow_null=True)
    received_at = MillisecondDateTimeField()

    class Meta:
        model = SkanPostback
        fields = (
            *("id", "app", "partner", "protocol", "version", "network_id", "transaction_id"),
            *("sequence", "signature_state", "signature_remark", "duplicate_of", "received_at"),
            *("campaign_id", "source_identifier", "source_app_id", "source_domain"),
            *("conversion_type", "ad_type", "redownload", "did_win"),
            *("conversion_value", "coarse_value", "country"),
            *("event_name", "least_revenue", "most_revenue", "currency", "body"),
        )
        read_only_fields = fields
        extra_kwargs: ClassVar[dict[str, Any]] = {
            name: {"normalize_output": True} for name in ("least_revenue", "most_revenue")
        }


class SkanPostbackQuery(PageQuery):
    """Filters of copies; `since` is included, `until` is not."""

    app = IdFilter(App)
    partner = IdFilter(Partner)
    protocol = serializers.ChoiceField(SkanProtocol.choices, required=False)
    version = serializers.CharField(required=False)
    network_id = serializers.CharField(required=False)
    transaction_id = serializers.CharField(required=False)
    source_identifier = serializers.CharField(required=False)
    sequence = serializers.IntegerField(required=False, min_value=0, max_value=2)
    signature_state = serializers.ChoiceField(SignatureState.choices, required=False)
    did_win = serializers.ChoiceField(_YES_OR_NO, required=False)
    duplicate = serializers.ChoiceField(
        _YES_OR_NO, required=False, help_text="Whether another copy of the transaction came before."
    )
    since = MillisecondDateTimeField(required=False, help_text="Received at this time or later.")
    until = MillisecondDateTimeField(required=False, help_text="Received before this time.")
    lookups = {
        "app": "app_id",
        "partner": "partner_id",
        "duplicate": "duplicate_of__isnull",
        "since": "received_at__gte",
        "until": "received_at__lt",
    }

    def validate_did_win(self, value: str) -> bool:
        return value == "true"

    def validate_duplicate(self, value: str) -> bool:
        return value == "false"


class SkanPostbackViewSet(OrganizationViewSet):
    """Copies, sent by devices, of the postbacks that Apple sends to ad networks."""

    model = SkanPostback
    serializer_class = SkanPostbackSerializer
    queries = {"list": SkanPostbackQuery}
    rights = {"list": Right.READ, "retrieve": Right.READ}
    time_key = "received_at"

    def get_queryset(self) -> Any:
        return super().get_queryset().prefetch_related("app", "partner")
