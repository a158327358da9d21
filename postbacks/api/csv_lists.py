"""Lists as CSV: all rows that the filters leave, read and sent in portions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from django.db.models import Q, QuerySet
from django.http import StreamingHttpResponse
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from apps_registry import csv_format
from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action, logged_filters
from apps_registry.models import Organization
from apps_registry.tenancy import TenantModel, tenant
from postbacks.api.authentication import Caller
from postbacks.api.pagination import keyset_list, link_after, read_cursor
from postbacks.api.query import InvalidParameters
from postbacks.insights.keyset import KeysetList, KeysetPosition


class CsvRenderer(BaseRenderer):
    """Lets REST framework choose CSV. Only answers of one page are rendered here."""

    media_type = "text/csv"
    format = "csv"

    def render(self, data: Any, *_: Any, **__: Any) -> bytes:
        rows = data.get("results", []) if isinstance(data, dict) else []
        columns = list(rows[0]) if rows else []
        return csv_format.encode_rows([columns, *_cells(rows, columns)])


class CsvLists(GenericViewSet):
    """Offers the list of a view as CSV too, with a column for each field."""

    model: ClassVar[type[TenantModel]]
    time_key: ClassVar[str | None] = None

    @property
    def kinds(self) -> Sequence[Q]:
        """Return the conditions that part the rows as the index has them in order."""
        return (Q(),)

    def get_renderers(self) -> list[BaseRenderer]:
        renderers = super().get_renderers()
        return [*renderers, CsvRenderer()] if self.action == "list" else renderers

    def csv_serializer(self, rows: Any = None) -> Any:
        """Return the serializer of CSV: that of JSON, unless a subclass has a flat one."""
        return self.get_serializer(rows, many=rows is not None)

    def csv_columns(self) -> Sequence[str]:
        fields = self.csv_serializer().fields
        return [name for name, field in fields.items() if not field.write_only]

    def csv_rows(self, rows: Sequence[Any]) -> Iterable[Mapping[str, object]]:
        serialized: Iterable[Mapping[str, object]] = self.csv_serializer(rows).data
        return serialized

    def csv_response(self, rows: "QuerySet[Any]") -> StreamingHttpResponse:
        """Return the answer that sends all of `rows`, from the cursor of the query on."""
        cursor = read_cursor(self)
        if cursor is not None and cursor.backward:
            raise InvalidParameters({"cursor": "CSV continues from “next” only."})
        start = cursor.position if cursor else None
        matches = keyset_list(rows, self)
        name = str(self.model._meta.verbose_name_plural)
        _record_export(self.request, name)
        organization_id = cast(Caller, self.request.user).organization_id
        organization = Organization.objects.values_list("name", flat=True).get(pk=organization_id)
        response = StreamingHttpResponse(
            self._portions(matches, self.csv_columns(), start, organization_id),
            content_type="text/csv; charset=utf-8",
        )
        file_name = csv_format.file_name(name, organization, datetime.now(UTC))
        response["Content-Disposition"] = f'attachment; filename="{file_name}"'
        end = matches.position_after(start, csv_format.MAX_ROWS)
        if address := link_after(self.request.build_absolute_uri(), end):
            response["Link"] = f'<{address}>; rel="next"'
        return response

    def _portions(
        self,
        matches: KeysetList[Any],
        columns: Sequence[str],
        start: KeysetPosition | None,
        organization_id: int,
    ) -> Iterator[bytes]:
        # Sent after the request's transaction has ended, so each portion enters the tenant again.
        yield csv_format.encode_rows([columns])
        position, left = start, csv_format.MAX_ROWS
        while left:
            size = min(left, csv_format.CHUNK_SIZE)
            with tenant(organization_id):
                rows = matches.rows_after(position, size)
                portion = csv_format.encode_rows(_cells(self.csv_rows(rows), columns))
            yield portion
            if len(rows) < size:
                return
            position, left = matches.position_of(rows[-1]), left - size


def _record_export(request: Request, name: str) -> None:
    if request.method == "GET":
        changes = logged_filters(request._request.GET)
        log_action(Action.EXPORTED, name=name, changes=changes)


def _cells(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> Iterator[list[object]]:
    for row in rows:
        yield [row[name] for name in columns]
