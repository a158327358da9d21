"""Replays: postbacks sent again by a filter or by their ids, with an estimate and progress."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.db.models import Prefetch, Q, QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import App, Partner
from apps_registry.roles import RIGHT_TO, Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import IdFilter, MillisecondDateTimeField, format_time
from postbacks.api.problems import Conflict
from postbacks.api.query import PageQuery
from postbacks.api.strict import StrictSerializer
from postbacks.insights.logs import StatusCodes
from postbacks.models import (
    CallbackRule,
    PostbackStatus,
    Replay,
    ReplayPart,
    ReplayStatus,
)
from postbacks.models.replays import MOST_PER_SECOND, USUAL_PER_SECOND
from postbacks.rulebook import replays
from postbacks.rulebook.replays import (
    MOST_IDS,
    REPLAYABLE,
    ReplayEstimate,
    ReplayFilter,
    ReplayOverError,
    ReplayProgress,
    ReplayRefusedError,
    ReplayRequest,
)

_PENDING = "Pending postbacks are on their way already; replay failed, skipped or delivered ones."


class ReplayFilterSerializer(StrictSerializer):
    """Which postbacks: every filter that is sent must hold. None: all that failed or was skipped.

    Test sends are never replayed.
    """

    status = serializers.ChoiceField(
        PostbackStatus.choices,
        required=False,
        help_text="`failed`, `skipped`, or `delivered`, which takes `include_delivered`.",
    )
    reason = serializers.CharField(
        required=False, max_length=64, help_text="Why it failed or was skipped: `http_503` …"
    )
    rule = serializers.UUIDField(required=False)
    partner = serializers.UUIDField(required=False)
    app = serializers.UUIDField(required=False)
    event_name = serializers.CharField(required=False, max_length=64)
    event_id = serializers.UUIDField(required=False)
    code = serializers.CharField(
        required=False,
        max_length=8,
        help_text="HTTP code of the last answer: `503`, `5xx`, or `none` for no answer.",
    )
    since = MillisecondDateTimeField(
        required=False, help_text="Event received at this time or later."
    )
    until = MillisecondDateTimeField(
        required=False, help_text="Event received before this time; default and latest is now."
    )

    def validate_status(self, value: str) -> str:
        if value not in REPLAYABLE:
            raise serializers.ValidationError(_PENDING)
        return value

    def validate_code(self, value: str) -> str:
        try:
            StatusCodes.parse(value)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None
        return value.lower()

    def validate_rule(self, value: Any) -> Any:
        return self._known(CallbackRule, value)

    def validate_partner(self, value: Any) -> Any:
        return self._known(Partner, value)

    def validate_app(self, value: Any) -> Any:
        return self._known(App, value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        since, until = attrs.get("since"), attrs.get("until")
        if since and until and since >= until:
            raise serializers.ValidationError({"until": "This is not after “since”."})
        return attrs

    @staticmethod
    def _known(model: Any, public_id: Any) -> Any:
        if not model.objects.filter(public_id=public_id).exists():
            name = model._meta.verbose_name
            raise serializers.ValidationError(f"There is no {name} with this ID.")
        return public_id


class ReplayRequestSerializer(StrictSerializer):
    """What to replay: a `filter`, or the `ids` of postbacks."""

    filter = ReplayFilterSerializer(required=False)
    ids = serializers.ListField(
        child=serializers.UUIDField(), required=False, min_length=1, max_length=MOST_IDS
    )
    estimate_only = serializers.BooleanField(
        default=False, help_text="Count only: nothing is sent, and `id` is null."
    )
    as_decided = serializers.BooleanField(
        default=False,
        help_text="By the versions of the rules that decided the postbacks, not the current ones.",
    )
    include_delivered = serializers.BooleanField(
        default=False,
        help_text="Send also what was delivered; it takes `confirm`, the estimate's `count`.",
    )
    confirm = serializers.IntegerField(required=False, min_value=0)
    per_second = serializers.IntegerField(
        default=USUAL_PER_SECOND,
        min_value=1,
        max_value=MOST_PER_SECOND,
        help_text="At most so many postbacks a second; a rule's own limits hold as well.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("filter" in attrs) == ("ids" in attrs):
            raise serializers.ValidationError(
                {"filter": "Send either a filter, {} for all, or the IDs of postbacks."}
            )
        return attrs

    @property
    def wish(self) -> ReplayRequest:
        values: Mapping[str, Any] = self.validated_data
        return ReplayRequest(
            filter=ReplayFilter(**values.get("filter", {})),
            ids=tuple(dict.fromkeys(values.get("ids", ()))),
            as_decided=values["as_decided"],
            include_delivered=values["include_delivered"],
            per_second=values["per_second"],
        )


class ReplayShareSerializer(serializers.Serializer):
    """A rule's share of a replay."""

    rule = serializers.UUIDField(source="rule.public_id")
    name = serializers.CharField(source="rule.name")
    count = serializers.IntegerField()


class RuleEstimateSerializer(ReplayShareSerializer):
    """A rule's share of an estimate, by the postbacks' status."""

    by_status = serializers.DictField(child=serializers.IntegerField())
    seconds = serializers.IntegerField(help_text="How long its own rate limit makes it take.")
    remark = serializers.CharField(help_text="Why they won't be sent now; empty if they will.")


class ReplayProgressSerializer(serializers.Serializer):
    """How far a replay is. `done` are those with which it has nothing left to do."""

    total = serializers.IntegerField()
    done = serializers.IntegerField()
    percent = serializers.IntegerField()
    queued = serializers.IntegerField(help_text="Waiting for their turn.")
    sent = serializers.IntegerField(help_text="The partner took them.")
    failed = serializers.IntegerField(help_text="Given up.")
    retrying = serializers.IntegerField(help_text="Tried, and to be tried again as the rule says.")
    held = serializers.IntegerField(help_text="Held by a suspended rule.")
    skipped = serializers.IntegerField()
    skip_reasons = serializers.DictField(child=serializers.IntegerField())
    taken_back = serializers.IntegerField(help_text="Taken from the queue by a cancel.")


class ReplaySerializer(serializers.Serializer):
    """A replay with its progress."""

    id = serializers.UUIDField(source="public_id")
    status = serializers.ChoiceField(ReplayStatus.choices)
    filter = serializers.DictField(help_text="Empty where postbacks were named by ID.")
    ids = serializers.ListField(child=serializers.UUIDField(), source="postback_ids")
    as_decided = serializers.BooleanField()
    include_delivered = serializers.BooleanField()
    per_second = serializers.IntegerField()
    count = serializers.IntegerField(help_text="How many there were when it was started.")
    asked_by = serializers.CharField()
    created_at = MillisecondDateTimeField()
    finished_at = MillisecondDateTimeField(allow_null=True)
    progress = serializers.SerializerMethodField()
    by_rule = serializers.SerializerMethodField()

    @extend_schema_field(ReplayProgressSerializer)
    def get_progress(self, replay: Replay) -> Any:
        return ReplayProgressSerializer(ReplayProgress.of(replay, _parts(replay))).data

    @extend_schema_field(ReplayShareSerializer(many=True))
    def get_by_rule(self, replay: Replay) -> Any:
        return ReplayShareSerializer(_parts(replay), many=True).data


class ReplayCsvSerializer(ReplaySerializer):
    """A replay as one row of CSV."""

    filter = serializers.SerializerMethodField()  # type: ignore[assignment]  # in JSON an object
    ids = serializers.SerializerMethodField()  # type: ignore[assignment]  # in JSON a list

    def get_filter(self, replay: Replay) -> str:
        stored = replay.filter if isinstance(replay.filter, dict) else {}
        return " ".join(f"{name}={value}" for name, value in stored.items())

    def get_ids(self, replay: Replay) -> int:
        return len(replay.postback_ids)

    def get_progress(self, replay: Replay) -> int:
        return ReplayProgress.of(replay, _parts(replay)).percent

    def get_by_rule(self, replay: Replay) -> int:
        return len(_parts(replay))


class ReplayEstimateSerializer(serializers.Serializer):
    """What a replay would send; nothing was sent."""

    id = serializers.UUIDField(allow_null=True, default=None, read_only=True)
    count = serializers.IntegerField(help_text="How many would be sent.")
    delivered = serializers.IntegerField(help_text="How many of them were delivered before.")
    seconds = serializers.IntegerField(help_text="About how long it takes at the rules' pace.")
    left_out = serializers.DictField(
        child=serializers.IntegerField(), help_text="By status: what can't go as asked for."
    )
    filter = serializers.SerializerMethodField(
        help_text="As sent, with `until`: start with this one, and what comes meanwhile stays out."
    )
    by_rule = RuleEstimateSerializer(many=True, source="rules")
    progress = ReplayProgressSerializer(allow_null=True, default=None, read_only=True)

    @extend_schema_field(ReplayFilterSerializer)
    def get_filter(self, expected: ReplayEstimate) -> dict[str, Any]:
        chosen = expected.request.filter
        values = {name: getattr(chosen, name) for name in chosen.__struct_fields__}
        return {
            name: format_time(value) if isinstance(value, datetime) else str(value)
            for name, value in values.items()
            if value is not None
        }


class ReplayQuery(PageQuery):
    """Filters of replays."""

    status = serializers.ChoiceField(ReplayStatus.choices, required=False)
    rule = IdFilter(CallbackRule)
    lookups = {"rule": "part__rule_id"}

    def narrow(self, rows: QuerySet) -> QuerySet:
        state = self.validated_data.pop("status", None)
        conditions = {
            ReplayStatus.RUNNING: Q(finished_at=None),
            ReplayStatus.FINISHED: Q(cancelled_at=None, finished_at__isnull=False),
            ReplayStatus.CANCELLED: Q(cancelled_at__isnull=False),
        }
        narrowed = super().narrow(rows)
        return narrowed.filter(conditions[ReplayStatus(state)]) if state else narrowed


class ReplayViewSet(OrganizationViewSet):
    """Replays: many postbacks sent again in the background."""

    model = Replay
    serializer_class = ReplaySerializer
    queries = {"list": ReplayQuery}
    long_actions = frozenset({"create"})
    rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "create": RIGHT_TO["replay"],
        "cancel": RIGHT_TO["replay"],
    }

    def get_queryset(self) -> Any:
        parts = ReplayPart.objects.select_related("rule").order_by("pk")
        return super().get_queryset().prefetch_related(Prefetch("parts", queryset=parts))

    def csv_serializer(self, rows: Any = None) -> Any:
        return ReplayCsvSerializer(rows, many=rows is not None)

    @extend_schema(
        request=ReplayRequestSerializer,
        responses={
            200: OpenApiResponse(ReplayEstimateSerializer, description="With `estimate_only`."),
            202: ReplaySerializer,
        },
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Send many postbacks again, in the background, or with `estimate_only` count them.

        Each goes by its rule as it is now and is judged again; skipped ones are decided again. Of
        two requests that are the same one runs. What was delivered goes again only with
        `include_delivered` and `confirm`; without it 409 says the count.
        """
        serializer = ReplayRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        now = datetime.now(UTC)
        try:
            if serializer.validated_data["estimate_only"]:
                expected = replays.estimate(serializer.wish, now=now)
                return Response(ReplayEstimateSerializer(expected).data)
            confirm = serializer.validated_data.get("confirm")
            replay = replays.start(serializer.wish, now=now, confirm=confirm)
        except ReplayRefusedError as refusal:
            raise Conflict(str(refusal)) from None
        return self._answer(replay)

    @extend_schema(request=None, responses={202: ReplaySerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Stop a replay at once; what it has queued and nobody has begun is taken back."""
        try:
            replay = replays.cancel(self.get_object(), now=datetime.now(UTC))
        except ReplayOverError as refusal:
            raise Conflict(str(refusal)) from None
        return self._answer(replay)

    def _answer(self, replay: Replay) -> Response:
        stored = self.get_queryset().get(pk=replay.pk)
        return Response(self.get_serializer(stored).data, status=status.HTTP_202_ACCEPTED)


def _parts(replay: Replay) -> list[ReplayPart]:
    return list(replay.parts.all())
