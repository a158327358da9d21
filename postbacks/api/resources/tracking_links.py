"""Tracking links: the click and impression addresses of a campaign's ads."""

from typing import Any

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps_registry.models import App, Campaign, Partner, TrackingLink
from apps_registry.models.tracking_links import DESTINATION
from postbacks.api.base import RegistryViewSet
from postbacks.api.fields import IdFilter, MillisecondDateTimeField, PublicIdField
from postbacks.api.query import ArchivableQuery
from postbacks.api.strict import RowSerializer
from postbacks.callbacks.partner_templates import click_parameters
from postbacks.insights.left_out_values import left_out_values


class LeftOutValueSerializer(serializers.Serializer):
    """A value that the network sent in place of one, how often, and when last."""

    parameter = serializers.CharField()
    value = serializers.CharField(help_text="As it was sent, such as $$CLICK_ID$$.")
    count = serializers.IntegerField()
    last_at = MillisecondDateTimeField()


class TrackingLinkSerializer(RowSerializer):
    """A tracking link with its two addresses for the network."""

    campaign = PublicIdField(Campaign)
    allowed_destinations = serializers.ListField(
        child=serializers.CharField(max_length=255, validators=[DESTINATION]),
        required=False,
        help_text="Schemes and hosts that deep_link and fallback in the address may lead to.",
    )
    click_url = serializers.CharField(
        read_only=True, help_text="The click address with the network's parameters."
    )
    impression_url = serializers.CharField(read_only=True, help_text="The same for impressions.")

    parameters = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="Parameters that the network fills in, such as click_id={clickid}. A new link "
        "without them has those of its partner's template.",
    )

    left_out = serializers.SerializerMethodField(
        help_text="In the answer about one link: macros that the network did not fill in, and "
        "words in place of IDs, in the link's newest clicks. They are no IDs. Null in lists."
    )

    @extend_schema_field(LeftOutValueSerializer(many=True, allow_null=True))
    def get_left_out(self, link: TrackingLink) -> list[dict[str, object]] | None:
        view = self.context.get("view")
        if getattr(view, "action", None) != "retrieve":
            return None
        return [dict(LeftOutValueSerializer(value).data) for value in left_out_values(link)]

    class Meta:
        model = TrackingLink
        fields = (
            *("id", "name", "campaign", "token", "click_url", "impression_url", "parameters"),
            *("store_url", "fallback_url", "deep_link", "allowed_destinations"),
            *("status", "created_at", "left_out"),
        )
        read_only_fields = ("token", "status")

    def validate_campaign(self, campaign: Campaign) -> Campaign:
        """Refuse another campaign for a stored link: installs are credited to it."""
        if isinstance(self.instance, TrackingLink) and campaign != self.instance.campaign:
            raise serializers.ValidationError("A link's campaign stays as it is; make a new link.")
        return campaign

    def write(self, row: Any) -> None:
        """Check the destinations and store the link; a new one with its template's parameters."""
        if row.pk is None and "parameters" not in self.validated_data:
            row.parameters = click_parameters(row.campaign.partner.template)
        try:
            row.clean()
        except ValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        row.save()


class TrackingLinkQuery(ArchivableQuery):
    """Filters of tracking links."""

    app = IdFilter(App)
    partner = IdFilter(Partner)
    campaign = IdFilter(Campaign)
    name = serializers.CharField(required=False)
    token = serializers.CharField(required=False)
    lookups = {
        "app": "campaign__app_id",
        "partner": "campaign__partner_id",
        "campaign": "campaign_id",
    }


class TrackingLinkViewSet(RegistryViewSet):
    """The click and impression addresses of campaigns."""

    model = TrackingLink
    serializer_class = TrackingLinkSerializer
    queries = {"list": TrackingLinkQuery}

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("campaign")
