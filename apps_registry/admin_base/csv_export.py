"""The Export buttons of every list: the filtered rows as a file of CSV or JSON Lines.

Rows are read in chunks, each in its own transaction: a slow download keeps no transaction open,
and memory does not grow with the list.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from html import unescape
from typing import Any, ClassVar

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import label_for_field, lookup_field
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.urls import URLPattern, reverse
from django.utils.cache import add_never_cache_headers
from django.utils.html import strip_tags
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from apps_registry import csv_format
from apps_registry.admin_base import theme
from apps_registry.admin_base.own_pages import list_paths
from apps_registry.admin_base.permissions import allowed, membership_of
from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action, logged_filters
from apps_registry.csv_format import FileFormat
from apps_registry.roles import Right
from apps_registry.tenancy import tenant

FORMAT = "_format"  # the parameter of the address; without it a file is CSV
TRUNCATED = (
    f"Only the first {csv_format.MAX_ROWS:,} rows are in this file. Filter the list for the rest."
)


class CsvExportAdmin(theme.ModelAdmin):
    """A page with an `export/` view, which returns the list as a file."""

    # Values for the file, by column, where the list shortens them.
    export_values: ClassVar[Mapping[str, Callable[[Any], object]]] = {}
    export_columns: ClassVar[Sequence[Any]] = ()  # where the list has no room for all

    def get_urls(self) -> list[URLPattern]:
        return [*list_paths(self, export=self.export_view), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        if request.method not in ("GET", "HEAD") or not self.has_view_permission(request):
            raise PermissionDenied
        membership = membership_of(request)
        if membership is None or not allowed(request, Right.EXPORT):
            raise PermissionDenied
        query = request.GET.copy()
        chosen = query.pop(FORMAT, [FileFormat.CSV])[-1]
        request.GET = query  # type: ignore[assignment]  # a list refuses what is no filter of it
        if chosen not in csv_format.STREAMED:
            return HttpResponseRedirect(self._list_address())
        file_format = FileFormat(chosen)
        try:
            content = self.file_content(request, membership.organization_id, file_format)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(self._list_address())
        kind = str(self.opts.verbose_name_plural)
        if request.method == "GET":
            log_action(Action.EXPORTED, name=kind, changes=logged_filters(request.GET))
        organization = membership.organization.name
        name = csv_format.file_name(kind, organization, datetime.now(UTC), file_format)
        return file_response(content, name, file_format)

    def _list_address(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def file_content(
        self, request: HttpRequest, organization_id: int, file_format: FileFormat
    ) -> Iterator[bytes]:
        """Return the filtered list as a file, whose rows are read when they are sent.

        Raises IncorrectLookupParameters.
        """
        headings, chunks = self.export_rows(request, organization_id)
        return encoded_chunks(headings, chunks, file_format)

    def export_rows(
        self, request: HttpRequest, organization_id: int
    ) -> tuple[Sequence[str], Iterable[Sequence[Sequence[object]]]]:
        """Return the headings, and the rows in chunks that are read when they are sent."""
        columns = [str(name) for name in self.export_columns or self.get_list_display(request)]
        rows = self.get_changelist_instance(request).get_queryset(request)
        keys = list(rows.values_list("pk", flat=True)[: csv_format.MAX_ROWS + 1])
        has_id = any(field.name == "public_id" for field in self.opts.fields)
        headings = [self._heading(name) for name in columns]
        return ["ID", *headings] if has_id else headings, self._read_chunks(
            rows,
            keys,
            columns=["public_id", *columns] if has_id else columns,
            organization_id=organization_id,
            prepare=partial(self.prepare_rows, request),
        )

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Load the values that columns take from other tables, for all these rows at once."""

    def _read_chunks(
        self,
        rows: "models.QuerySet[Any]",
        keys: Sequence[int],
        *,
        columns: Sequence[str],
        organization_id: int,
        prepare: Callable[[Sequence[Any]], None],
    ) -> Iterator[Sequence[Sequence[object]]]:
        for chunk in csv_format.chunks(keys[: csv_format.MAX_ROWS]):
            with tenant(organization_id):
                rows_by_key = {row.pk: row for row in rows.filter(pk__in=chunk)}
                prepare(list(rows_by_key.values()))
                cells = [
                    [self._value(rows_by_key[key], name) for name in columns]
                    for key in chunk
                    if key in rows_by_key
                ]
            yield cells
        if len(keys) > csv_format.MAX_ROWS:
            yield [[TRUNCATED]]

    def _heading(self, name: str) -> str:
        return capfirst(str(label_for_field(name, self.model, self)))

    def _value(self, row: Any, name: str) -> object:
        """Return the value of a list's column: texts without markup, times as datetimes."""
        if name in self.export_values:
            return self.export_values[name](row)
        field, column, value = lookup_field(name, row, self)
        if field is not None and getattr(field, "flatchoices", None):
            return getattr(row, f"get_{field.name}_display")()
        sorted_by = str(getattr(column, "admin_order_field", ""))
        source = getattr(row, sorted_by, None) if sorted_by.isidentifier() else None
        if isinstance(source, datetime):
            return source
        return unescape(strip_tags(value)) if isinstance(value, SafeString) else value


def file_response(
    content: Iterator[bytes], name: str, file_format: FileFormat
) -> StreamingHttpResponse:
    response = StreamingHttpResponse(
        content,
        content_type=file_format.content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
    add_never_cache_headers(response)
    return response


def encoded_chunks(
    headings: Sequence[str],
    chunks: Iterable[Sequence[Sequence[object]]],
    file_format: FileFormat,
) -> Iterator[bytes]:
    """Yield a file of rows, chunk after chunk."""
    yield heading(headings, file_format)
    for rows in chunks:
        yield encoded(headings, rows, file_format)


def heading(headings: Sequence[str], file_format: FileFormat) -> bytes:
    """Return what a file begins with."""
    if file_format != FileFormat.CSV:
        return b""
    return csv_format.BYTE_ORDER_MARK + csv_format.encode_rows([headings])


def encoded(
    headings: Sequence[str], rows: Sequence[Sequence[object]], file_format: FileFormat
) -> bytes:
    """Return rows as a file has them; a remark, which is one cell, is a member of its own."""
    if file_format == FileFormat.CSV:
        return csv_format.encode_rows(rows)
    return b"".join(
        csv_format.encode_json_lines(headings if len(row) == len(headings) else ["remark"], [row])
        for row in rows
    )
