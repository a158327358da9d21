"""Exports: lists of any size as files that workers write in the background."""

from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from django.http import FileResponse, Http404
from django.urls import Resolver404, resolve, reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.csv_format import FileFormat
from apps_registry.roles import RIGHT_TO, Right
from postbacks.api.base import OrganizationViewSet, missing_right
from postbacks.api.fields import IdFilter, MillisecondDateTimeField
from postbacks.api.list_files import CsvRenderer, JsonLinesRenderer, NdjsonRenderer
from postbacks.api.problems import Conflict, InvalidRequest, pointer
from postbacks.api.query import InvalidParameters, PageQuery
from postbacks.api.strict import StrictSerializer
from postbacks.insights import exports
from postbacks.insights.export_schedules import ExportRefusedError
from postbacks.insights.exports import ExportRequest
from postbacks.models import Export, ExportDoor, ExportSchedule, JobStatus

_PAGING = ("cursor", "limit")  # an export has all rows


class ExportRequestSerializer(StrictSerializer):
    """What to export: a list of this API under its filters, as CSV, JSON Lines or Parquet."""

    list = serializers.CharField(
        max_length=64, help_text="As in its address: `events`, `postbacks`, `touchpoints` …"
    )
    format = serializers.ChoiceField(
        FileFormat.choices,
        default=FileFormat.CSV,
        help_text="`parquet` has the columns of CSV with types: times in UTC, amounts as decimals.",
    )
    filter = serializers.DictField(
        required=False,
        default=dict,
        help_text='Parameters of the list: `{"status": "failed", "since": "2026-05-01T00:00Z"}`. '
        "None: all rows.",
    )

    def validate_filter(self, value: dict[str, object]) -> dict[str, str]:
        texts = {}
        for name, part in value.items():
            if name in _PAGING:
                raise serializers.ValidationError(f"“{name}” is for pages; an export has all rows.")
            if not isinstance(part, str | int | float | bool):
                raise serializers.ValidationError(f"“{name}” must be a text, number or true/false.")
            text = str(part).lower() if isinstance(part, bool) else str(part)
            texts[name] = serializers.CharField(
                allow_blank=True, trim_whitespace=False
            ).run_validation(text)
        return texts


class ExportSerializer(serializers.ModelSerializer):
    """An export and how far it is. The file is offered once it is whole."""

    id = serializers.UUIDField(source="public_id")
    list = serializers.CharField(source="list_name", help_text="Of a page: its model.")
    columns = serializers.ChoiceField(
        ExportDoor.choices, source="door", help_text="Whose columns the file has."
    )
    filter = serializers.CharField(source="filters", help_text="As in the list's address.")
    created_at = MillisecondDateTimeField()
    finished_at = MillisecondDateTimeField(allow_null=True)
    expires_at = MillisecondDateTimeField(help_text="When the file is deleted.")
    reached_at = MillisecondDateTimeField(
        allow_null=True, help_text="The time of the last row so far; newest rows come first."
    )
    bytes = serializers.IntegerField(source="size")
    percent = serializers.IntegerField(help_text="How much of the list's time is through.")
    failure = serializers.CharField(
        help_text="Why it failed, or why it is tried again (`next_try_at`); empty if neither."
    )
    schedule = serializers.UUIDField(
        source="schedule.public_id",
        default=None,
        allow_null=True,
        help_text="Whose file it is, null if a person asked for it; such a file is delivered, and "
        "has no `download_url`.",
    )
    period_start = MillisecondDateTimeField(allow_null=True)
    period_end = MillisecondDateTimeField(allow_null=True)
    key = serializers.CharField(help_text="The file's name in the store or folder.")
    next_try_at = MillisecondDateTimeField(allow_null=True)
    download_url = serializers.SerializerMethodField(
        help_text="Where the file is, for tokens that may export; null until it is whole."
    )

    class Meta:
        model = Export
        fields = (
            *("id", "list", "columns", "format", "filter", "status", "percent", "rows", "bytes"),
            *("reached_at", "failure", "asked_by", "created_at", "finished_at", "expires_at"),
            *("download_url", "schedule", "period_start", "period_end", "key", "next_try_at"),
        )
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.URI)
    def get_download_url(self, export: Export) -> str | None:
        request = self.context.get("request")
        is_kept = export.status == JobStatus.FINISHED and export.schedule_id is None
        if not is_kept or request is None:
            return None
        address = reverse("export-download", kwargs={"id": export.public_id})
        return str(request.build_absolute_uri(address))


class ExportQuery(PageQuery):
    """Filters of exports."""

    status = serializers.ChoiceField(JobStatus.choices, required=False)
    schedule = IdFilter(ExportSchedule)
    lookups = {"schedule": "schedule_id"}


class ExportViewSet(OrganizationViewSet):
    """Files that hold all rows of a list, made in the background and kept for seven days."""

    model = Export
    serializer_class = ExportSerializer
    queries = {"list": ExportQuery}
    can_be_exported = False
    rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "create": RIGHT_TO["export_list"],
        "cancel": RIGHT_TO["export_list"],
        "destroy": RIGHT_TO["export_list"],
        "download": RIGHT_TO["export_list"],
    }

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("schedule")

    def get_renderers(self) -> list[BaseRenderer]:
        """Let a program that asks for the file's format have the file."""
        files = [CsvRenderer(), JsonLinesRenderer(), NdjsonRenderer()]
        return [*super().get_renderers(), *(files if self.action == "download" else [])]

    @extend_schema(request=ExportRequestSerializer, responses={202: ExportSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Have a worker write a list into a file: the same bytes as the list's own answer."""
        serializer = ExportRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        view = _list_of(values["list"])
        if not self.caller.allows(right := view.rights["list"]):
            self.permission_denied(request, message=missing_right(self.caller, right))
        filters = urlencode(values["filter"])
        try:
            view.open_file(filters, values["format"])
        except InvalidParameters as refusal:
            raise InvalidRequest(
                [
                    {"pointer": pointer("filter", error["parameter"]), "detail": error["detail"]}
                    for error in refusal.errors
                ]
            ) from None
        export_request = ExportRequest(
            door=ExportDoor.API,
            list_name=values["list"],
            title=str(view.model._meta.verbose_name_plural),
            filters=filters,
            format=FileFormat(values["format"]),
            holds_devices=view.time_key is not None,
        )
        try:
            export = exports.start(export_request)
        except ExportRefusedError as refusal:
            raise Conflict(str(refusal)) from None
        return Response(self.get_serializer(export).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: ExportSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Stop an export; what there is of its file is deleted."""
        export = self.get_object()
        if not exports.cancel(export):
            raise Conflict("The export has ended already; there is nothing to cancel.")
        stopped = self.get_serializer(self.get_object()).data
        return Response(stopped, status=status.HTTP_202_ACCEPTED)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete an export with its file."""
        exports.delete(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        responses={(200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY)}
    )
    @action(detail=True, methods=["get"])
    def download(self, request: Request, *args: Any, **kwargs: Any) -> FileResponse:
        """Answer the file of an export that is finished. 404 once it has expired."""
        export = self.get_object()
        if export.is_running:
            raise Conflict(f"The export is at {export.percent} %; its file is not whole yet.")
        file = exports.open_to_download(export)
        if file is None:
            raise Http404("The export has no file: it was cancelled, failed, expired or erased.")
        return FileResponse(
            file,
            as_attachment=True,
            filename=export.download_name,
            content_type=FileFormat(export.format).content_type,
        )


def _list_of(name: str) -> type[OrganizationViewSet]:
    """Return the view of the list with that address. Raises InvalidRequest."""
    view: Any = None
    with suppress(Resolver404):
        address: Any = resolve(f"/api/v1/{name}").func
        if getattr(address, "actions", {}).get("get") == "list":
            view = address.cls
    if view is None or not issubclass(view, OrganizationViewSet) or not view.can_be_exported:
        detail = (
            f"“{name}” is no list that can be exported; name one by its address, for example "
            "events, postbacks, installs, touchpoints, skan-postbacks or audit-log."
        )
        raise InvalidRequest([{"pointer": "/list", "detail": detail}])
    chosen: type[OrganizationViewSet] = view
    return chosen
