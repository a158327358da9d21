"""Lists as files: all rows that the filters leave, as CSV or JSON Lines, in portions.

A file is sent while it is read, or a worker writes it (`insights.exports`): the same bytes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from django.db.models import Q, QuerySet
from django.http import QueryDict, StreamingHttpResponse
from rest_framework import serializers
from rest_framework.compat import LONG_SEPARATORS, SHORT_SEPARATORS
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from apps_registry import csv_format
from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action, logged_filters
from apps_registry.csv_format import ColumnType, FileFormat
from apps_registry.models import Organization
from apps_registry.tenancy import TenantModel
from postbacks.api.authentication import Caller
from postbacks.api.fields import IdFilter
from postbacks.api.pagination import keyset_list, link_after, read_cursor
from postbacks.api.query import InvalidParameters, PageQuery, Query, read_query
from postbacks.insights import exports, parquet_files
from postbacks.insights.exports import FilePortion
from postbacks.insights.keyset import Cursor, KeysetList, KeysetPosition
from postbacks.insights.schedule_filters import ListFilter

# As REST framework escapes them for readers that take them for line ends.
_LINE_SEPARATORS = (("\u2028", "\\u2028"), ("\u2029", "\\u2029"))
_TYPES = {
    serializers.DateTimeField: ColumnType.TIME,
    serializers.DecimalField: ColumnType.MONEY,
    serializers.IntegerField: ColumnType.INTEGER,
    serializers.BooleanField: ColumnType.BOOLEAN,
}


class CsvRenderer(BaseRenderer):
    """Lets REST framework choose CSV. Only answers of one page are rendered here."""

    media_type = "text/csv"
    format = FileFormat.CSV

    def render(self, data: Any, *_: Any, **__: Any) -> bytes:
        rows = _results(data)
        columns = list(rows[0]) if rows else []
        return csv_format.encode_rows([columns, *_cells(rows, columns)])


class JsonLinesRenderer(BaseRenderer):
    """Lets REST framework choose JSON Lines. Only answers of one page are rendered here."""

    media_type = "application/jsonl"
    format = FileFormat.JSON_LINES

    def render(self, data: Any, *_: Any, **__: Any) -> bytes:
        return _json_lines(_results(data))


class NdjsonRenderer(JsonLinesRenderer):
    """JSON Lines under the other name that programs ask for."""

    media_type = "application/x-ndjson"


class ListFiles(GenericViewSet):
    """Offers the list of a view as files too: CSV has a column for each field."""

    model: ClassVar[type[TenantModel]]
    time_key: ClassVar[str | None] = None
    queries: ClassVar[dict[str, type[Query]]] = {}
    can_be_exported: ClassVar[bool] = True  # by a worker, who is nobody
    query: Query

    @property
    def kinds(self) -> Sequence[Q]:
        """Return the conditions that part the rows as the index has them in order."""
        return (Q(),)

    @property
    def searched(self) -> "QuerySet[Any] | None":
        """Return the rows among which those of the query are searched, if no index finds them."""
        return None

    @property
    def is_costly_search(self) -> bool:
        """Tell whether each row that is searched is looked up in another table."""
        return False

    @property
    def search_seconds(self) -> float | None:
        """Return for how long a page is searched; None: among so many rows."""
        return None

    def get_renderers(self) -> list[BaseRenderer]:
        renderers = super().get_renderers()
        files: tuple[BaseRenderer, ...] = ()
        if self.action == "list":
            files = (CsvRenderer(), JsonLinesRenderer(), NdjsonRenderer())
        return [*renderers, *files]

    def read_related(self, rows: Sequence[Any]) -> None:
        """Load what rows show from other tables, for these rows at once."""

    def read_related_of_csv(self, rows: Sequence[Any]) -> None:
        """Load what rows of CSV show: that of JSON, unless a subclass shows less."""
        self.read_related(rows)

    def csv_serializer(self, rows: Any = None) -> Any:
        """Return the serializer of CSV: that of JSON, unless a subclass has a flat one."""
        return self.get_serializer(rows, many=rows is not None)

    def csv_columns(self) -> Sequence[str]:
        fields = self.csv_serializer().fields
        return [name for name, field in fields.items() if not field.write_only]

    def column_types(self) -> Mapping[str, ColumnType]:
        """Return the types of the columns of CSV, by the fields that they show."""
        fields = self.csv_serializer().fields
        return {name: type_of_field(fields.get(name)) for name in self.csv_columns()}

    def csv_rows(self, rows: Sequence[Any]) -> Iterable[Mapping[str, object]]:
        serialized: Iterable[Mapping[str, object]] = self.csv_serializer(rows).data
        return serialized

    @classmethod
    def open_file(cls, filters: str, file_format: str) -> "ListFile":
        """Return the list under the filters of an address, as a worker reads it.

        Raises InvalidParameters.
        """
        view = cls()
        view.action, view.kwargs = "list", {}
        view.request = None  # type: ignore[assignment]  # a worker serves nobody
        view.format_kwarg = None
        return ListFile(view, view.filtered(QueryDict(filters)), FileFormat(file_format))

    @classmethod
    def list_filters(cls) -> Iterator[ListFilter]:
        """Yield the filters of the list as a form may offer them."""
        for name, field in cls.queries["list"]().fields.items():
            choices = field.choices if isinstance(field, serializers.ChoiceField) else {}
            yield ListFilter(
                name=name,
                help_text=str(field.help_text or ""),
                choices=tuple(choices.items()),
                model=field.rows.model if isinstance(field, IdFilter) else None,
            )

    @classmethod
    def filter_problem(cls, filters: str) -> str:
        """Return what is wrong with the filters of an address, empty if nothing is."""
        try:
            cls.open_file(filters, FileFormat.JSON_LINES)
        except InvalidParameters as refusal:
            return str(refusal.detail)
        return ""

    def filtered(self, parameters: QueryDict) -> "QuerySet[Any]":
        """Read the query of the list; return the rows that it leaves. Raises InvalidParameters."""
        self.query = read_query(parameters, self.queries[self.action])
        return cast(PageQuery, self.query).narrow(self.get_queryset())

    def file_response(self, rows: "QuerySet[Any]") -> StreamingHttpResponse:
        """Return the answer that sends all of `rows`, from the cursor of the query on."""
        cursor = read_cursor(self)
        if cursor is not None and cursor.backward:
            raise InvalidParameters({"cursor": "A file continues from “next” only."})
        start = cursor.position if cursor else None
        renderer = self.request.accepted_renderer
        file_format = FileFormat(str(renderer.format))
        file = ListFile(self, rows, file_format)
        name = str(self.model._meta.verbose_name_plural)
        record_export(self.request, name)
        organization_id = cast(Caller, self.request.user).organization_id
        organization = Organization.objects.values_list("name", flat=True).get(pk=organization_id)
        is_csv = file_format == FileFormat.CSV
        response = StreamingHttpResponse(
            exports.stream(file, organization_id, start=start),
            content_type=file_format.content_type if is_csv else renderer.media_type,
        )
        file_name = csv_format.file_name(name, organization, datetime.now(UTC), file_format)
        response["Content-Disposition"] = f'attachment; filename="{file_name}"'
        end = None
        if file.matches.searched is None:  # what is beyond is searched for as it is sent
            end = file.matches.position_after(start, csv_format.MAX_ROWS)
        if address := link_after(self.request.build_absolute_uri(), end):
            response["Link"] = f'<{address}>; rel="next"'
        return response


class ListFile:
    """A list of the API as a file, read in portions."""

    def __init__(self, view: ListFiles, rows: "QuerySet[Any]", file_format: FileFormat) -> None:
        self._view = view
        self._format = file_format
        has_columns = file_format != FileFormat.JSON_LINES
        self._columns = view.csv_columns() if has_columns else ()
        self.column_types = view.column_types() if file_format == FileFormat.PARQUET else {}
        self.matches: KeysetList[Any] = keyset_list(rows, view)

    @property
    def heading(self) -> bytes:
        is_csv = self._format == FileFormat.CSV
        return csv_format.encode_rows([self._columns]) if is_csv else b""

    def portion(self, start: KeysetPosition | None, size: int) -> FilePortion:
        """Return the rows after a position, and where the next ones begin."""
        if self.matches.searched is not None:
            page = self.matches.page(Cursor(after=start, size=size))
            return FilePortion(self._encoded(page.rows), len(page.rows), page.older)
        rows = self.matches.rows_after(start, size)
        end = self.matches.position_of(rows[-1]) if len(rows) == size else None
        return FilePortion(self._encoded(rows), len(rows), end)

    def oldest(self) -> KeysetPosition | None:
        """Return the position of the oldest row of all, whether the filters leave it or not."""
        order = (self._view.time_key, "id") if self._view.time_key else ("id",)
        row = self._view.model.objects.order_by(*order).only(*order).first()
        return self.matches.position_of(row) if row else None

    def _encoded(self, rows: Sequence[Any]) -> bytes:
        if self._format == FileFormat.JSON_LINES:
            self._view.read_related(rows)
            return _json_lines(self._view.get_serializer(rows, many=True).data)
        self._view.read_related_of_csv(rows)
        cells = _cells(self._view.csv_rows(rows), self._columns)
        if self._format == FileFormat.PARQUET:
            return parquet_files.encode(self.column_types, cells)
        return csv_format.encode_rows(cells)


def record_export(request: Request, name: str) -> None:
    if request.method == "GET":
        changes = logged_filters(request._request.GET)
        log_action(Action.EXPORTED, name=name, changes=changes)


def type_of_field(field: serializers.Field | None) -> ColumnType:
    """Return what a column of this field holds."""
    return next(
        (type_ for kind, type_ in _TYPES.items() if isinstance(field, kind)), ColumnType.TEXT
    )


def _results(data: Any) -> list[Any]:
    return list(data.get("results", ())) if isinstance(data, dict) else []


def _json_lines(rows: Iterable[Any]) -> bytes:
    """Return each row as `JSONRenderer` writes it, by one encoder for all."""
    renderer = JSONRenderer
    encoder = renderer.encoder_class(
        ensure_ascii=renderer.ensure_ascii,
        allow_nan=not renderer.strict,
        separators=SHORT_SEPARATORS if renderer.compact else LONG_SEPARATORS,
    )
    text = "".join(f"{encoder.encode(row)}\n" for row in rows)
    for separator, escaped in _LINE_SEPARATORS:
        text = text.replace(separator, escaped)
    return text.encode()


def _cells(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> Iterator[list[object]]:
    for row in rows:
        yield [row[name] for name in columns]
