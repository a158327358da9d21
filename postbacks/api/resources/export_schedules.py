"""Scheduled exports: lists that go to a store or a folder each hour or day."""

from typing import Any, ClassVar

from django.utils.text import slugify
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.roles import RIGHT_TO, Right
from postbacks.api.base import RegistryViewSet
from postbacks.api.problems import Conflict
from postbacks.api.query import PageQuery
from postbacks.api.resources.exports import ExportSerializer
from postbacks.api.strict import RowSerializer
from postbacks.insights import export_schedules, schedule_checks
from postbacks.insights.export_schedules import ExportRefusedError
from postbacks.models import ExportSchedule, ScheduledList

_FIELDS_OF = {"list_name": "list", "filters": "filter", "secret": "secret_access_key"}


class ExportScheduleSerializer(RowSerializer):
    """A scheduled export. Its secret access key can be set, and is never answered."""

    list = serializers.ChoiceField(
        ScheduledList.choices,
        source="list_name",
        help_text="The list whose rows are exported, by its address.",
    )
    filter = serializers.CharField(
        source="filters",
        required=False,
        allow_blank=True,
        max_length=1000,
        help_text="As in the list's address, for example `event_name=purchase`. Empty: all rows.",
    )
    secret_access_key = serializers.CharField(
        write_only=True,
        required=False,
        allow_blank=True,
        max_length=4096,
        help_text="Of the access key. It is stored encrypted and never answered.",
    )
    has_secret = serializers.SerializerMethodField(help_text="Whether a secret is stored.")

    class Meta:
        model = ExportSchedule
        fields = (
            *("id", "name", "list", "filter", "format", "interval", "target", "endpoint", "region"),
            *("bucket", "prefix", "access_key_id", "secret_access_key", "has_secret", "enabled"),
            *("created_by", "created_at", "next_period_at", "due_at", "failing_since"),
        )
        read_only_fields = ("created_by", "created_at", "next_period_at", "due_at", "failing_since")

    def get_has_secret(self, row: ExportSchedule) -> bool:
        return row.has_secret

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        self._secret = attrs.pop("secret_access_key", "")
        row = self.instance or ExportSchedule()
        schedule = ExportSchedule(
            **{field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
        )
        for name, value in attrs.items():
            setattr(schedule, name, value)
        problems = schedule_checks.problems(schedule, secret=self._secret, before=self.instance)
        if problems:
            raise serializers.ValidationError(
                {_FIELDS_OF.get(name, name): [text] for name, text in problems.items()}
            )
        return {**attrs, "folder": slugify(schedule.name)}

    def write(self, row: ExportSchedule) -> None:
        export_schedules.save(row, secret=self._secret)


class ExportScheduleQuery(PageQuery):
    """Filters of scheduled exports."""

    enabled = serializers.BooleanField(required=False)


class ExportScheduleViewSet(RegistryViewSet):
    """Lists that are exported each hour or day, to a store of S3's API or the operator's folder."""

    model = ExportSchedule
    serializer_class = ExportScheduleSerializer
    queries = {"list": ExportScheduleQuery}
    rights: ClassVar[dict[str, Right]] = {
        **RegistryViewSet.rights,
        "run": RIGHT_TO["export_list"],
    }

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete a scheduled export with its history; what a store has stays there."""
        export_schedules.delete(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={202: ExportSerializer})
    @action(detail=True, methods=["post"])
    def run(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Export the latest hour or day that has ended now, in place of its file."""
        try:
            export = export_schedules.run_now(self.get_object())
        except ExportRefusedError as refusal:
            raise Conflict(str(refusal)) from None
        context = self.get_serializer_context()
        return Response(
            ExportSerializer(export, context=context).data, status=status.HTTP_202_ACCEPTED
        )
