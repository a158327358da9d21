"""Trying a rule before it goes live: a test send, and a dry run over past events."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.shortcuts import get_list_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from postbacks.api.base import RegistryViewSet
from postbacks.api.fields import MillisecondDateTimeField
from postbacks.api.problems import Conflict, NoWorker
from postbacks.api.query import Query
from postbacks.api.resources.postbacks import AttemptSerializer
from postbacks.api.resources.rules.previews import answer_event_errors, find_app, find_event
from postbacks.api.strict import StrictSerializer
from postbacks.api.throttling import TooFast
from postbacks.callbacks.rules import versions
from postbacks.models import (
    AttemptKind,
    CallbackRule,
    DeliveryAttempt,
    DryRunJob,
    DryRunStatus,
    PostbackStatus,
)
from postbacks.rulebook import dry_run as past
from postbacks.rulebook import test_send as sending
from postbacks.rulebook.test_send import (
    NotTestableError,
    NoWorkerError,
    PreparedTest,
    TooManyTestsError,
    WouldBeSkippedError,
)

_LONGEST_HOURS = 24 * 90
_DEFAULT_HOURS = 24
_INSIST = 'Send {"even_if_skipped": true} to test it all the same.'


class TestSendSerializer(StrictSerializer):
    """The event to send; without one a sample."""

    event = serializers.DictField(required=False, help_text="An event as an SDK sends it.")
    event_id = serializers.UUIDField(required=False, help_text="An event that was received.")
    even_if_skipped = serializers.BooleanField(
        required=False,
        help_text="Send it although the rule would skip the event; the attempt says so.",
    )

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if "event" in values and "event_id" in values:
            raise serializers.ValidationError(
                {"event_id": ["Send “event” or “event_id”, not both."]}
            )
        return values


class JudgementSerializer(serializers.Serializer):
    """Whether the partner accepted it; `reason` says what would count."""

    ok = serializers.BooleanField()
    reason = serializers.CharField()


class SkipSerializer(serializers.Serializer):
    """One reason why the rule would skip the event; programs may rely on `code`."""

    code = serializers.CharField()
    detail = serializers.CharField()


class TestSendAnswerSerializer(AttemptSerializer):
    """The one attempt, secrets masked; `postback` is its id in the log, marked as a test.

    `would_be_skipped` is empty unless the rule would not send such an event.
    """

    postback = serializers.UUIDField(source="postback.public_id")
    success = JudgementSerializer()
    would_be_skipped = SkipSerializer(many=True)

    class Meta:
        model = DeliveryAttempt
        fields = ("postback", *AttemptSerializer.Meta.fields, "success", "would_be_skipped")


class TestWaitsSerializer(serializers.Serializer):
    """A test that the worker has not ended yet; `postback` will show its attempt."""

    postback = serializers.UUIDField()
    status = serializers.CharField()


class DryRunSerializer(StrictSerializer):
    """The time from which events are tried; by default the last 24 hours."""

    since = MillisecondDateTimeField(
        required=False, help_text="Events received at this time or later."
    )
    hours = serializers.IntegerField(
        required=False, min_value=1, max_value=_LONGEST_HOURS, help_text="Instead of `since`."
    )

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the time, at most 90 days ago."""
        if len(values) > 1:
            raise serializers.ValidationError({"hours": ["Send “since” or “hours”, not both."]})
        now = datetime.now(UTC)
        since = values.get("since") or now - timedelta(hours=values.get("hours", _DEFAULT_HOURS))
        if not now - timedelta(hours=_LONGEST_HOURS) <= since <= now:
            raise serializers.ValidationError({"since": ["Send a time of the last 90 days."]})
        return {"since": since}


class DryRunQuery(Query):
    """The run to follow or to cancel."""

    id = serializers.UUIDField(required=False, help_text="By default the rule's newest run.")


class ExampleSerializer(serializers.Serializer):
    """One request as it would have been sent, credentials masked."""

    event_id = serializers.UUIDField()
    event_name = serializers.CharField()
    received_at = MillisecondDateTimeField()
    method = serializers.CharField()
    url = serializers.CharField()
    headers = serializers.DictField(child=serializers.CharField())
    body = serializers.CharField(allow_null=True)
    error = serializers.CharField(
        allow_blank=True, help_text="Why the request could not be made, or empty."
    )


class DryRunAnswerSerializer(serializers.Serializer):
    """What the rule would have done with the events; counts are by the code of the reason."""

    since = MillisecondDateTimeField()
    events = serializers.IntegerField(help_text="How many events were tried, at most 10,000.")
    is_complete = serializers.BooleanField(help_text="False: the older ones were left out.")
    owed = serializers.IntegerField(
        source="would_send", help_text="How many postbacks would have been sent."
    )
    skipped = serializers.DictField(child=serializers.IntegerField())
    not_matched = serializers.DictField(child=serializers.IntegerField())
    examples = ExampleSerializer(many=True)


class DryRunJobSerializer(DryRunAnswerSerializer):
    """A dry run in the background: how far it is, and what it has found so far."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(
        DryRunStatus.choices,
        help_text="`given_up`: two workers ended before they had done it; ask for less.",
    )
    done = serializers.IntegerField(help_text="How many events were tried so far.")
    total = serializers.IntegerField(help_text="How many are to be tried; 0: not begun.")
    percent = serializers.IntegerField()


class RuleTrialsViewSet(RegistryViewSet):
    """Test sends and dry runs of a rule."""

    @extend_schema(
        request=TestSendSerializer,
        responses={200: TestSendAnswerSerializer, 202: TestWaitsSerializer},
    )
    @action(detail=True, methods=["post"], url_path="test-send")
    def test_send(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make one real request and answer with what came back; it counts nowhere.

        A worker sends it. Without an answer within 20 seconds this is answered 202 with the id
        of the postback, and 503 if no worker lives. At most 3 tests of an organization wait at
        once. An event that the rule would skip is answered 409, unless `even_if_skipped` is true.
        """
        rule = self.get_object_in_use()
        serializer = TestSendSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with _answer_refusals(), answer_event_errors():
            prepared = _prepared_test(rule, **serializer.validated_data)
            test = sending.start(prepared, rule)
        with self.outside_transaction(request):
            result = sending.wait_for(test)
        if result is None:
            waiting = {"postback": test.public_id, "status": PostbackStatus.PENDING}
            return Response(TestWaitsSerializer(waiting).data, status=status.HTTP_202_ACCEPTED)
        attempt = DeliveryAttempt.objects.select_related("postback").get(
            postback__public_id=test.public_id,
            event_received_at=test.made_at,
            kind=AttemptKind.TEST,
        )
        attempt.success = sending.judge_test(test, result)  # type: ignore[attr-defined]  # serialized
        attempt.would_be_skipped = prepared.skips  # type: ignore[attr-defined]  # serialized
        return Response(TestSendAnswerSerializer(attempt).data)

    @extend_schema(
        request=DryRunSerializer,
        responses={200: DryRunAnswerSerializer, 202: DryRunJobSerializer},
    )
    @action(detail=True, methods=["post"], url_path="dry-run")
    def dry_run(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer what the rule would have sent since a time; sends nothing.

        More than 100 events, or what takes more than a second, are tried in the background: this
        is answered 202, GET says how far such a run is, DELETE cancels it. It has 45 seconds, and
        an organization two runs at once. What it found is kept for an hour.
        """
        rule = self.get_object_in_use()
        serializer = DryRunSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        definition = versions.definition_from(rule)
        since = serializer.validated_data["since"]
        try:
            run = past.try_or_start(definition, since, rule_id=rule.pk)
        except past.TooManyDryRunsError as refusal:
            raise TooFast(refusal.what, refusal.wait) from None
        if isinstance(run, DryRunJob):
            return _job_answer(run, status.HTTP_202_ACCEPTED)
        return Response(DryRunAnswerSerializer(run).data)

    @extend_schema(responses={200: DryRunJobSerializer})
    @dry_run.mapping.get
    def dry_run_state(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer how far a dry run in the background is, and what it found; by default the newest.

        A rule that had none within the last hour is answered 404.
        """
        return _job_answer(self._dry_run(), status.HTTP_200_OK)

    @extend_schema(responses={200: DryRunJobSerializer})
    @dry_run.mapping.delete
    def cancel_dry_run(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Cancel a dry run in the background, by default the newest; one that ended stays."""
        job = self._dry_run()
        if past.cancel(job):
            job.refresh_from_db()
        return _job_answer(job, status.HTTP_200_OK)

    def _dry_run(self) -> DryRunJob:
        """Return the run of the query, else the rule's newest. Raises Http404 if there is none."""
        jobs = DryRunJob.objects.filter(rule_id=self.get_object().pk)
        if public_id := self.query.validated_data.get("id"):
            jobs = jobs.filter(public_id=public_id)
        return get_list_or_404(jobs.order_by("-id")[:1])[0]


def _job_answer(job: DryRunJob, code: int) -> Response:
    outcome = DryRunAnswerSerializer(past.outcome_of(job)).data
    state = {
        "id": job.public_id,
        "status": job.status,
        "done": job.done,
        "total": job.total,
        "percent": job.percent,
    }
    return Response({**state, **outcome}, status=code)


def _prepared_test(
    rule: CallbackRule, *, event: Any = None, event_id: Any = None, even_if_skipped: bool = False
) -> PreparedTest:
    return sending.prepare_test(
        versions.definition_from(rule),
        event=find_event(event_id, rule.app) if event_id else None,
        sdk_event=event,
        app=find_app(rule.app, event),
        even_if_skipped=even_if_skipped,
    )


@contextmanager
def _answer_refusals() -> Iterator[None]:
    try:
        yield
    except NotTestableError as refusal:
        raise Conflict(str(refusal)) from None
    except WouldBeSkippedError as refusal:
        raise Conflict(f"{refusal} {_INSIST}") from None
    except TooManyTestsError as refusal:
        raise TooFast(refusal.what, refusal.wait) from None
    except NoWorkerError as refusal:
        raise NoWorker(str(refusal)) from None
