"""Postbacks with their attempts: the log that answers “was it sent, and what came back?”."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet, prefetch_related_objects
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import App, Campaign, Partner
from apps_registry.roles import RIGHT_TO, Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import EmptyAsNullField, IdFilter, MillisecondDateTimeField, PublicIdField
from postbacks.api.problems import Conflict
from postbacks.api.query import PageQuery
from postbacks.api.strict import StrictSerializer
from postbacks.delivery.outcome import Outcome
from postbacks.insights.logs import (
    COSTLY_FILTERS,
    TEXT_SECONDS,
    AttemptCounts,
    PostbackSearch,
    StatusCodes,
    TimeRange,
)
from postbacks.insights.request_differences import request_differences
from postbacks.models import (
    AttemptKind,
    CallbackRule,
    DeliveryAttempt,
    Postback,
    PostbackStatus,
)
from postbacks.rulebook.breakers import mark_waiting
from postbacks.rulebook.resending import NotResendableError, resend

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


class DifferenceSerializer(serializers.Serializer):
    """A part of the request that differs from the attempt before; null where one lacks it."""

    field = serializers.CharField(
        help_text="`method`, `url` without its query, `query.id`, `headers.X-Key`, `body.id` …"
    )
    before = serializers.CharField(allow_null=True)
    after = serializers.CharField(allow_null=True)


class TimingsSerializer(serializers.Serializer):
    """Milliseconds of a request's parts, null of one that there was not.

    `first_byte_ms` counts from the beginning, `duration_ms` of the attempt is the whole.
    """

    dns_ms = serializers.IntegerField(allow_null=True)
    connect_ms = serializers.IntegerField(allow_null=True)
    tls_ms = serializers.IntegerField(allow_null=True)
    first_byte_ms = serializers.IntegerField(allow_null=True)
    reused = serializers.BooleanField(
        source="is_reused", help_text="The connection was kept from a request before."
    )


class AttemptListSerializer(serializers.ListSerializer):
    """The attempts of one postback in their order, each with its differences."""

    def to_representation(self, data: Any) -> Any:
        before, rows = None, []
        for attempt in data.all():
            row = self.child.to_representation(attempt)  # type: ignore[union-attr]  # it has one
            differences = request_differences(before, attempt.request)
            row["differences"] = DifferenceSerializer(differences, many=True).data
            rows.append(row)
            before = attempt.request
        return rows


class AttemptSerializer(serializers.ModelSerializer):
    """One delivery attempt of a postback.

    `rule_version` is the version of the rule that it used; null in a test of an unsaved rule.
    `differences` are those of its request from the attempt before, the signature's time aside.
    """

    differences = serializers.SerializerMethodField()
    started_at = MillisecondDateTimeField()
    error = EmptyAsNullField(allow_null=True)
    detail = EmptyAsNullField(allow_null=True)
    timings = TimingsSerializer(allow_null=True, read_only=True)
    request = LoggedRequestSerializer()
    response = LoggedResponseSerializer()

    class Meta:
        model = DeliveryAttempt
        list_serializer_class = AttemptListSerializer
        fields = (
            *("number", "rule_version", "kind", "started_at", "duration_ms", "timings"),
            *("outcome", "status_code", "error", "detail", "request", "response", "differences"),
        )

    @extend_schema_field(DifferenceSerializer(many=True))
    def get_differences(self, _attempt: DeliveryAttempt) -> Any:
        return []  # of a single one; `AttemptListSerializer` knows the attempt before


class PostbackSerializer(serializers.ModelSerializer):
    """A postback with its attempts."""

    id = serializers.UUIDField(source="public_id")
    rule = PublicIdField(read_only=True)
    event_id = serializers.UUIDField(source="sdk_event_id")
    reason = EmptyAsNullField(
        allow_null=True,
        help_text="Why it was skipped, failed or waits; `breaker_open`: its partner's host fails.",
    )
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


class ResendSerializer(StrictSerializer):
    """How to send a postback again."""

    as_decided = serializers.BooleanField(
        default=False,
        help_text="By the version of the rule that decided the postback, not by the current one.",
    )


class PostbackCsvSerializer(PostbackSerializer):
    """A postback as one row of CSV: `attempts` is their number."""

    attempts = serializers.IntegerField(source="attempts_made")  # type: ignore[assignment]  # in JSON a list


# Filters whose matches may be rare and have no index: a page looks at so many rows at once.
_SEARCHED = frozenset(
    {
        *("app", "rule", "partner", "campaign", "event_name", "version", "status", "test"),
        *("reason", "code", "attempts", "outcome", "error", "kind", "country", "text"),
    }
)


class PostbackQuery(PageQuery):
    """Filters of postbacks; `since` and `until` are about when the event was received.

    A page of rare matches may be short: `Searched-Until` says how far it looked, “next” goes on.
    """

    app = IdFilter(App)
    partner = IdFilter(Partner)
    event_id = serializers.UUIDField(required=False)
    event_name = serializers.CharField(required=False, max_length=64)
    rule = IdFilter(CallbackRule)
    version = serializers.IntegerField(
        required=False, min_value=1, max_value=2**31 - 1, help_text="Of the rule, that decided it."
    )
    status = serializers.ChoiceField(PostbackStatus.choices, required=False)
    reason = serializers.CharField(
        required=False, max_length=64, help_text="Why it failed or was skipped: `http_503` …"
    )
    code = serializers.CharField(
        required=False,
        max_length=8,
        help_text="HTTP code of the last answer: `503`, `5xx`, or `none` for no answer.",
    )
    attempts = serializers.CharField(
        required=False, max_length=16, help_text="How many: `3`, `3+` or `2-5`."
    )
    outcome = serializers.ChoiceField(
        [outcome.value for outcome in Outcome], required=False, help_text="Of the last attempt."
    )
    error = serializers.CharField(
        required=False, max_length=64, help_text="Of the last attempt: `timeout`, `http_503`, …"
    )
    kind = serializers.ChoiceField(
        AttemptKind.choices, required=False, help_text="Of one of its attempts."
    )
    campaign = IdFilter(Campaign)
    country = serializers.RegexField("^[A-Za-z]{2}$", required=False)
    text = serializers.CharField(
        required=False,
        min_length=3,
        max_length=256,
        help_text="In the URL, headers, body or answer of an attempt; takes `since`. Looked for at "
        "most 2 s at once, newest first: the header `Searched-Until` says how far it got, and "
        "“next” goes on from there.",
    )
    test = serializers.ChoiceField(
        [("true", "Only test sends"), ("false", "No test sends")], required=False
    )
    since = MillisecondDateTimeField(
        required=False, help_text="Event received at this time or later."
    )
    until = MillisecondDateTimeField(required=False, help_text="Event received before this time.")

    def validate_test(self, value: str) -> bool:
        return value == "true"

    def validate_code(self, value: str) -> StatusCodes:
        try:
            return StatusCodes.parse(value)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None

    def validate_attempts(self, value: str) -> AttemptCounts:
        try:
            return AttemptCounts.parse(value)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("text") and not attrs.get("since"):
            raise serializers.ValidationError({"text": "“text” takes “since”: no index finds it."})
        return attrs

    def narrow(self, rows: QuerySet) -> QuerySet:
        values = self.validated_data
        # An unknown row's id is 0, which matches nothing and is no missing filter.
        names = ("app", "rule", "partner", "campaign")
        ids = {name: (values[name] or -1) if name in values else None for name in names}
        search = PostbackSearch(
            app_id=ids["app"],
            rule_id=ids["rule"],
            partner_id=ids["partner"],
            campaign_id=ids["campaign"],
            status=values.get("status", ""),
            event_name=values.get("event_name", ""),
            codes=values.get("code"),
            test=values.get("test"),
            reason=values.get("reason", ""),
            outcome=values.get("outcome", ""),
            error=values.get("error", ""),
            attempts=values.get("attempts"),
            kind=values.get("kind", ""),
            country=values.get("country", ""),
            version=values.get("version"),
            text=values.get("text", ""),
        )
        if event_id := values.get("event_id"):
            rows = rows.filter(sdk_event_id=event_id)
        return self.in_time(rows).filter(*search.conditions)

    def in_time(self, rows: QuerySet) -> QuerySet:
        """Return the rows of the time that is asked for."""
        values = self.validated_data
        span = TimeRange(values.get("since"), values.get("until"))
        return span.within(rows, "event_received_at")


class PostbackViewSet(OrganizationViewSet):
    """Requests to partners, one for each event under each rule, with their delivery attempts."""

    model = Postback
    serializer_class = PostbackSerializer
    queries = {"list": PostbackQuery}
    rights = {"list": Right.READ, "retrieve": Right.READ, "resend": RIGHT_TO["resend"]}
    time_key = "event_received_at"

    @property
    def searched(self) -> QuerySet | None:
        query = self.query
        if not isinstance(query, PostbackQuery) or "event_id" in query.validated_data:
            return None  # the index of events finds the few that there are
        if not query.validated_data.keys() & _SEARCHED:
            return None
        return query.in_time(super().get_queryset())

    @property
    def is_costly_search(self) -> bool:
        return not self.query.validated_data.keys().isdisjoint(COSTLY_FILTERS)

    @property
    def search_seconds(self) -> float | None:
        return TEXT_SECONDS if "text" in self.query.validated_data else None

    def get_queryset(self) -> Any:
        return super().get_queryset().prefetch_related("rule")

    def csv_serializer(self, rows: Any = None) -> Any:
        return PostbackCsvSerializer(rows, many=rows is not None)

    def read_related(self, rows: Sequence[Any]) -> None:
        """Read the rows' attempts, only for their days."""
        _read_attempts(rows)

    def read_related_of_csv(self, rows: Sequence[Any]) -> None:
        mark_waiting(rows)

    def get_object(self) -> Any:
        public_id = self.kwargs["id"]
        rows = self.get_queryset().filter(public_id=public_id, **_day_of(public_id))
        postback = get_object_or_404(rows)
        _read_attempts([postback])
        return postback

    @extend_schema(request=ResendSerializer, responses={202: PostbackSerializer})
    @action(detail=True, methods=["post"])
    def resend(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Send the postback again now, by the current version of its rule.

        It gets a fresh retry schedule. A skipped postback is decided again by the rule of now; 409
        says why it stays skipped.
        """
        postback = self.get_object()
        wish = ResendSerializer(data={} if request.data is None else request.data)
        wish.is_valid(raise_exception=True)
        try:
            resend(postback, as_decided=wish.validated_data["as_decided"])
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
    mark_waiting(postbacks)
    for postback in postbacks:
        for attempt in postback.attempts.all():
            attempt.rule_version = attempt.rule_version or postback.rule_version


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
