"""Postbacks with their attempts: the log that answers “was it sent, and what came back?”."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, prefetch_related_objects
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import App
from apps_registry.roles import Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import EmptyAsNullField, IdFilter, MillisecondDateTimeField, PublicIdField
from postbacks.api.problems import Conflict
from postbacks.api.query import PageQuery
from postbacks.delivery.resend import NotResendableError, resend
from postbacks.models import CallbackRule, DeliveryAttempt, Postback, PostbackStatus

_CLOCK_TOLERANCE = timedelta(minutes=1)


class LoggedRequestSerializer(serializers.Serializer):
    """The request that was sent, secrets masked."""

    method = serializers.CharField(default=None, allow_null=True)
    url = serializers.CharField(default=None, allow_null=True)
    headers = serializers.DictField(child=serializers.CharField(), default=dict)
    body = serializers.CharField(default=None, allow_null=True)


class LoggedResponseSerializer(serializers.Serializer):
    """The answer, cut to 4 KiB."""

    headers = serializers.DictField(child=serializers.CharField(), default=dict)
    body = serializers.CharField(default=None, allow_null=True)


class AttemptSerializer(serializers.ModelSerializer):
    """One delivery attempt of a postback."""

    started_at = MillisecondDateTimeField()
    error = EmptyAsNullField(allow_null=True)
    detail = EmptyAsNullField(allow_null=True)
    request = LoggedRequestSerializer()
    response = LoggedResponseSerializer()

    class Meta:
        model = DeliveryAttempt
        fields = (
            *("number", "kind", "started_at", "duration_ms", "outcome", "status_code", "error"),
            *("detail", "request", "response"),
        )


class PostbackSerializer(serializers.ModelSerializer):
    """A postback with its attempts."""

    id = serializers.UUIDField(source="public_id")
    rule = PublicIdField(read_only=True)
    event_id = serializers.UUIDField(source="sdk_event_id")
    reason = EmptyAsNullField(allow_null=True)
    created_at = MillisecondDateTimeField()
    next_attempt_at = MillisecondDateTimeField(allow_null=True)
    delivered_at = MillisecondDateTimeField(allow_null=True)
    attempts = AttemptSerializer(many=True)

    class Meta:
        model = Postback
        fields = (
            *("id", "rule", "rule_version", "event_id", "status", "reason", "test"),
            *("created_at", "next_attempt_at", "delivered_at", "attempts"),
        )
        read_only_fields = fields


class PostbackCsvSerializer(PostbackSerializer):
    """A postback as one row of CSV: `attempts` is their number."""

    attempts = serializers.IntegerField(source="attempts_made")  # type: ignore[assignment]  # in JSON a list


class PostbackQuery(PageQuery):
    """Filters of postbacks; `since` and `until` are about when the event was received."""

    app = IdFilter(App)
    event_id = serializers.UUIDField(required=False)
    rule = IdFilter(CallbackRule)
    status = serializers.ChoiceField(PostbackStatus.choices, required=False)
    test = serializers.ChoiceField(
        [("true", "Only test sends"), ("false", "No test sends")], required=False
    )
    since = MillisecondDateTimeField(
        required=False, help_text="Event received at this time or later."
    )
    until = MillisecondDateTimeField(required=False, help_text="Event received before this time.")
    lookups = {
        "app": "app_id",
        "event_id": "sdk_event_id",
        "rule": "rule_id",
        "since": "event_received_at__gte",
        "until": "event_received_at__lt",
    }

    def validate_test(self, value: str) -> bool:
        return value == "true"


class PostbackViewSet(OrganizationViewSet):
    """Requests to partners, one for each event under each rule, with their delivery attempts."""

    model = Postback
    serializer_class = PostbackSerializer
    queries = {"list": PostbackQuery}
    rights = {"list": Right.READ, "retrieve": Right.READ, "resend": Right.RESEND}
    time_key = "event_received_at"

    def get_queryset(self) -> Any:
        return super().get_queryset().prefetch_related("rule")

    def csv_serializer(self, rows: Any = None) -> Any:
        return PostbackCsvSerializer(rows, many=rows is not None)

    def paginate_queryset(self, queryset: Any) -> Any:
        """Return one page with its attempts, which are read only for the days of the page."""
        page = super().paginate_queryset(queryset) or []
        _read_attempts(page)
        return page

    def get_object(self) -> Any:
        public_id = self.kwargs["id"]
        rows = self.get_queryset().filter(public_id=public_id, **_day_of(public_id))
        postback = get_object_or_404(rows)
        _read_attempts([postback])
        return postback

    @extend_schema(request=None, responses={202: PostbackSerializer})
    @action(detail=True, methods=["post"])
    def resend(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Send the postback again now, with a fresh retry schedule."""
        postback = self.get_object()
        try:
            resend(postback)
        except NotResendableError as error:
            raise Conflict(str(error)) from None
        resent = self.get_serializer(self.get_object()).data
        return Response(resent, status=status.HTTP_202_ACCEPTED)


def _read_attempts(postbacks: Sequence[Postback]) -> None:
    if not postbacks:
        return
    moments = [postback.event_received_at for postback in postbacks]
    attempts = DeliveryAttempt.objects.filter(
        event_received_at__range=(min(moments), max(moments))
    ).order_by("number", "id")
    prefetch_related_objects(postbacks, Prefetch("attempts", queryset=attempts))


def _day_of(public_id: UUID) -> dict[str, object]:
    """Return the condition that lets PostgreSQL read one day only.

    A postback's id is a UUIDv7 of the time at which its event was received.
    """
    if public_id.version != 7:
        return {}
    try:
        moment = datetime.fromtimestamp((public_id.int >> 80) / 1000, UTC)
        return {"event_received_at__range": (moment - _CLOCK_TOLERANCE, moment + _CLOCK_TOLERANCE)}
    except (OverflowError, ValueError):  # a time that no clock of ours shows
        return {}
