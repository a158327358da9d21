"""What the SDK's doors refused in the last seven days, and how much of it there was."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import App, SdkKey
from apps_registry.roles import Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import EmptyAsNullField, IdFilter, MillisecondDateTimeField, PublicIdField
from postbacks.api.query import PageQuery, Query
from postbacks.insights.logs import refusal_counts
from postbacks.insights.searched_id import SearchedId
from postbacks.models import RefusalDoor, RefusalReason, RefusedEvent
from postbacks.models.refused_events import LONGEST_POINTER, LONGEST_VERSION
from postbacks.values.touchpoints import LONGEST_CLICK_ID


class RefusedEventSerializer(serializers.ModelSerializer):
    """One item, or one whole request, that was refused; `errors` are what the caller read."""

    id = serializers.UUIDField(source="public_id")
    received_at = MillisecondDateTimeField()
    app = PublicIdField(read_only=True)
    sdk_key = PublicIdField(read_only=True)
    door = serializers.ChoiceField(RefusalDoor.choices)
    reason = serializers.ChoiceField(RefusalReason.choices)
    pointer = serializers.CharField(
        help_text="The JSON pointer to the first field that is wrong; empty for all of it."
    )
    event_name = EmptyAsNullField(allow_null=True)
    sdk_version = EmptyAsNullField(allow_null=True)
    errors = serializers.ListField(  # type: ignore[assignment]  # a field's own attribute
        child=serializers.DictField(child=serializers.CharField()),
        help_text="`pointer` and `detail` of each fault, at most ten.",
    )
    content = EmptyAsNullField(
        allow_null=True,
        help_text="What arrived. Of values that may be personal only the form is kept: x for each "
        "letter, 9 for each digit.",
    )
    is_cut = serializers.BooleanField(help_text="More arrived than `content` has.")

    class Meta:
        model = RefusedEvent
        fields = (
            *("id", "received_at", "app", "sdk_key", "door", "status_code", "index", "reason"),
            *("pointer", "event_name", "sdk_version", "errors", "content", "is_cut"),
        )
        read_only_fields = fields


class RefusalCountSerializer(serializers.Serializer):
    """How many were refused in the last seven days for one reason, of one SDK version."""

    app = serializers.UUIDField()
    reason = serializers.ChoiceField(RefusalReason.choices)
    pointer = serializers.CharField()
    sdk_version = EmptyAsNullField(allow_null=True)
    refused = serializers.IntegerField()
    kept = serializers.IntegerField(help_text="How many of them are in the list.")


@extend_schema_serializer(many=False)
class RefusalCountsSerializer(serializers.Serializer):
    """The counts, the largest first."""

    results = RefusalCountSerializer(many=True)


class RefusedEventQuery(PageQuery):
    """Filters of refused events; `since` is included, `until` is not."""

    app = IdFilter(App)
    sdk_key = IdFilter(SdkKey)
    door = serializers.ChoiceField(RefusalDoor.choices, required=False)
    reason = serializers.ChoiceField(RefusalReason.choices, required=False)
    pointer = serializers.CharField(required=False, max_length=LONGEST_POINTER)
    sdk_version = serializers.CharField(required=False, max_length=LONGEST_VERSION)
    status_code = serializers.IntegerField(required=False, min_value=100, max_value=599)
    id = serializers.CharField(
        required=False,
        max_length=LONGEST_CLICK_ID,
        help_text="Any ID that was in it: of the event, a device in any spelling or hashed, a "
        "click, a transaction, your own user; whole. Encode a `+` as `%2B`.",
    )
    since = MillisecondDateTimeField(required=False, help_text="Received at this time or later.")
    until = MillisecondDateTimeField(required=False, help_text="Received before this time.")
    lookups = {
        "app": "app_id",
        "sdk_key": "sdk_key_id",
        "since": "received_at__gte",
        "until": "received_at__lt",
    }

    def narrow(self, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        with_id = self.validated_data.pop("id", "")
        return super().narrow(rows.filter(SearchedId(with_id).refused_events) if with_id else rows)


class CountsQuery(Query):
    """Filters of the counters."""

    app = IdFilter(App)


class RefusedEventViewSet(OrganizationViewSet):
    """What apps and servers sent and was refused, kept for seven days."""

    model = RefusedEvent
    serializer_class = RefusedEventSerializer
    queries = {"list": RefusedEventQuery, "counts": CountsQuery}
    rights = {"list": Right.READ, "retrieve": Right.READ, "counts": Right.READ}
    time_key = "received_at"

    def get_queryset(self) -> Any:
        return super().get_queryset().prefetch_related("app", "sdk_key")

    @extend_schema(summary="Count refused events", responses=RefusalCountsSerializer)
    @action(detail=False, pagination_class=None)
    def counts(self, request: Request) -> Response:
        """Answer how many were refused in seven days by app, reason, field and SDK version.

        These go on where an organization has too many refused events to keep each: `kept` are in
        the list. After 500 different ones in a day a pointer and a version are `…`, for the rest.
        """
        counts = refusal_counts(self.query.validated_data.get("app"))
        return Response(RefusalCountsSerializer({"results": counts}).data)
