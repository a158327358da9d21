"""Clicks and impressions, each with its outcome. Servers and apps report to the same address."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps_registry.csv_format import ColumnType
from apps_registry.models import App, Campaign, Partner, TrackingLink
from apps_registry.roles import Right
from postbacks.api.base import ReportedViewSet
from postbacks.api.fields import IdFilter, MillisecondDateTimeField, PublicIdField
from postbacks.api.list_files import type_of_field
from postbacks.api.query import PageQuery
from postbacks.api.sdk.touchpoints import TouchpointsView
from postbacks.insights.logs import kinds_of_touchpoints
from postbacks.insights.searched_id import SearchedId, touchpoints_of
from postbacks.insights.touchpoint_outcomes import (
    TouchpointOutcome,
    TouchpointStatus,
    outcomes_of,
)
from postbacks.models import Touchpoint, TouchpointKind, TouchpointSource
from postbacks.values.touchpoints import LEFT_OUT, LONGEST_CLICK_ID


class OutcomeSerializer(serializers.Serializer):
    """What a touchpoint has come to."""

    status = serializers.ChoiceField(TouchpointStatus.choices)
    reason = serializers.SerializerMethodField(
        help_text="`won`, or why it earned nothing, for example `out_of_window`; null without an "
        "install that it was considered for."
    )
    sentence = serializers.CharField(help_text="The reason in words.")
    install = PublicIdField(
        read_only=True, allow_null=True, help_text="The install that it was considered for."
    )

    def get_reason(self, outcome: TouchpointOutcome) -> str | None:
        return outcome.reason or None


class TouchpointListSerializer(serializers.ListSerializer):
    """Finds the outcomes of all rows of a page at once."""

    child: "TouchpointSerializer"

    def to_representation(self, data: Any) -> list[Any]:
        self.child.outcomes = outcomes_of(data)
        rows: list[Any] = super().to_representation(data)
        return rows


class TouchpointSerializer(serializers.ModelSerializer):
    """A click or an impression."""

    id = serializers.UUIDField(source="public_id")
    app = PublicIdField(read_only=True)
    partner = PublicIdField(read_only=True)
    campaign = PublicIdField(read_only=True, allow_null=True)
    link = PublicIdField(read_only=True, allow_null=True)
    kind = serializers.ChoiceField(TouchpointKind.choices)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a field's own attribute
        TouchpointSource.choices, help_text="Who reported it."
    )
    occurred_at = MillisecondDateTimeField()
    received_at = MillisecondDateTimeField()
    params = serializers.SerializerMethodField(help_text="What the network filled in.")
    outcome = serializers.SerializerMethodField()

    outcomes: Mapping[Any, TouchpointOutcome] | None = None  # of a whole page, by public ID

    class Meta:
        model = Touchpoint
        list_serializer_class = TouchpointListSerializer
        fields = (
            *("id", "app", "partner", "campaign", "link", "kind", "source"),
            *("occurred_at", "received_at", "click_id", "site_id"),
            *("ip_address", "user_agent", "os_name", "os_version", "device_model", "language"),
            *("country", "params", "outcome"),
        )
        read_only_fields = fields

    @extend_schema_field({"type": "object", "additionalProperties": {}})
    def get_params(self, touchpoint: Touchpoint) -> dict[str, object]:
        return {name: value for name, value in touchpoint.params.items() if name != LEFT_OUT}

    @extend_schema_field(OutcomeSerializer)
    def get_outcome(self, touchpoint: Touchpoint) -> dict[str, object]:
        """Return whether it earned an install, and if not, why."""
        outcomes = self.outcomes or outcomes_of([touchpoint])
        return dict(OutcomeSerializer(outcomes[touchpoint.public_id]).data)


class TouchpointQuery(PageQuery):
    """Filters of touchpoints; `since` and `until` are about when they were received."""

    app = IdFilter(App)
    partner = IdFilter(Partner)
    campaign = IdFilter(Campaign)
    link = IdFilter(TrackingLink)
    kind = serializers.ChoiceField(TouchpointKind.choices, required=False)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a field's own attribute
        TouchpointSource.choices, required=False
    )
    id = serializers.CharField(
        required=False,
        max_length=LONGEST_CLICK_ID,
        help_text="The network's click ID as the network sent it, an ID of the device in any "
        "spelling, or the touchpoint's own; whole. Encode a `+` as `%2B`.",
    )
    since = MillisecondDateTimeField(required=False, help_text="Received at this time or later.")
    until = MillisecondDateTimeField(required=False, help_text="Received before this time.")
    lookups = {
        "app": "app_id",
        "partner": "partner_id",
        "campaign": "campaign_id",
        "link": "link_id",
        "since": "received_at__gte",
        "until": "received_at__lt",
    }

    def narrow(self, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        with_id = self.validated_data.pop("id", "")
        return super().narrow(rows.filter(SearchedId(with_id).touchpoints) if with_id else rows)


class TouchpointViewSet(ReportedViewSet):
    """Clicks and impressions that tracking links recorded and servers reported."""

    model = Touchpoint
    serializer_class = TouchpointSerializer
    queries = {"list": TouchpointQuery}
    rights = {"list": Right.READ, "retrieve": Right.READ}
    time_key = "received_at"

    report_view = TouchpointsView
    create = TouchpointsView.post

    @property
    def kinds(self) -> Sequence[Q]:
        """Return the conditions of the kinds that are listed, each in the order of an index."""
        return kinds_of_touchpoints(self.query.validated_data.get("kind", ""))

    def get_queryset(self) -> Any:
        rows = super().get_queryset()
        if public_id := self.kwargs.get("id"):  # the moment in it says in which days to look
            rows = touchpoints_of([public_id])
        return rows.prefetch_related("app", "partner", "campaign", "link")

    def csv_columns(self) -> Sequence[str]:
        names = (name for name in TouchpointSerializer.Meta.fields if name != "outcome")
        return (*names, *(f"outcome_{name}" for name in OutcomeSerializer().fields))

    def column_types(self) -> Mapping[str, ColumnType]:
        outcome = {f"outcome_{name}": field for name, field in OutcomeSerializer().fields.items()}
        fields = {**TouchpointSerializer().fields, **outcome}
        return {name: type_of_field(fields[name]) for name in self.csv_columns()}

    def csv_rows(self, rows: Sequence[Touchpoint]) -> Iterator[Mapping[str, object]]:
        """Return touchpoints by column, with their outcomes in columns of their own."""
        for row in TouchpointSerializer(rows, many=True).data:
            outcome = row.pop("outcome")
            yield {**row, **{f"outcome_{name}": value for name, value in outcome.items()}}
