"""What a rule holds since it was suspended: how much, and the job that sends or drops it."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from postbacks.api.base import RegistryViewSet
from postbacks.api.fields import MillisecondDateTimeField
from postbacks.api.problems import Conflict
from postbacks.api.strict import StrictSerializer
from postbacks.models import CallbackRule, JobAction, PostbackJob
from postbacks.rulebook import held_postbacks
from postbacks.rulebook.held_postbacks import NotReleasableError


class HeldActionSerializer(StrictSerializer):
    """What to do with everything that the rule holds."""

    action = serializers.ChoiceField(
        JobAction.choices,
        help_text="`send` queues them at the rule's pace; `drop` skips them (`held_dropped`).",
    )


class HeldJobSerializer(serializers.Serializer):
    """A job that sends or drops held postbacks in the background."""

    id = serializers.UUIDField(source="public_id")
    rule = serializers.UUIDField(source="rule.public_id")
    action = serializers.ChoiceField(JobAction.choices)
    status = serializers.SerializerMethodField(help_text="`running` or `finished`.")
    total = serializers.IntegerField(help_text="How many were held when the job was started.")
    done = serializers.IntegerField(help_text="How many were queued or dropped so far.")
    created_at = MillisecondDateTimeField()
    finished_at = MillisecondDateTimeField(allow_null=True)

    def get_status(self, job: PostbackJob) -> str:
        return "running" if job.finished_at is None else "finished"


class HeldSerializer(serializers.Serializer):
    """How many postbacks the rule holds, and the job that was started last."""

    held = serializers.IntegerField()
    job = HeldJobSerializer(allow_null=True)


class HeldViewSet(RegistryViewSet):
    """What a rule holds."""

    @extend_schema(responses={200: HeldSerializer})
    @action(detail=True)
    def held(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer how many postbacks a suspended rule held, and how far sending or dropping is."""
        rule: CallbackRule = self.get_object()
        job = held_postbacks.newest_job(rule)
        content = {"held": held_postbacks.held_count(rule), "job": job}
        return Response(HeldSerializer(content).data)

    @extend_schema(request=HeldActionSerializer, responses={202: HeldJobSerializer})
    @held.mapping.post
    def start_held(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Send or drop everything that the rule holds, in the background.

        A second call starts no second job; with the other action the running job changes to it.
        """
        rule: CallbackRule = self.get_object_in_use()
        serializer = HeldActionSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            job = held_postbacks.start_job(rule, JobAction(serializer.validated_data["action"]))
        except NotReleasableError as refusal:
            raise Conflict(str(refusal)) from None
        return Response(HeldJobSerializer(job).data, status=status.HTTP_202_ACCEPTED)
