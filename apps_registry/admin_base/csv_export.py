"""The Export button of every list: what the list shows under its filters, as a CSV file.

Rows are read in portions, each in a transaction of its own: a slow download holds none open, and
memory does not grow with the list.
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
from django.urls import URLPattern, path, reverse
from django.utils.cache import add_never_cache_headers
from django.utils.html import strip_tags
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from apps_registry import csv_format
from apps_registry.admin_base import theme
from apps_registry.admin_base.permissions import allowed, membership_of
from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action
from apps_registry.roles import Right
from apps_registry.tenancy import tenant

CUT = f"Only the first {csv_format.MAX_ROWS:,} rows are in this file. Filter the list for the rest."


class CsvExportAdmin(theme.ModelAdmin):
    """Gives a page the address `export/`, which answers with the list as a file."""

    # What a column holds in the file where the list shows it shortened.
    in_full: ClassVar[Mapping[str, Callable[[Any], object]]] = {}

    def get_urls(self) -> list[URLPattern]:
        """Add the address of the file."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        view = self.admin_site.admin_view(self.export_view)
        return [path("export/", view, name=name), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Answer with the file, if the role may take lists away and the filters can be read."""
        if request.method not in ("GET", "HEAD") or not self.has_view_permission(request):
            raise PermissionDenied
        membership = membership_of(request)
        if membership is None or not allowed(request, Right.EXPORT):
            raise PermissionDenied
        try:
            headings, portions = self.exported(request, membership.organization_id)
        except IncorrectLookupParameters:
            name = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
            return HttpResponseRedirect(reverse(name))
        kind = str(self.opts.verbose_name_plural)
        if request.method == "GET":
            asked = {"filters": [None, request.GET.urlencode()]} if request.GET else {}
            log_action(Action.EXPORTED, name=kind, changes=asked)
        name = csv_format.file_name(kind, membership.organization.name, datetime.now(UTC))
        return csv_response(headings, portions, name)

    def exported(
        self, request: HttpRequest, organization_id: int
    ) -> tuple[Sequence[str], Iterable[Sequence[Sequence[object]]]]:
        """Return the headings, and the rows in portions that are read when they are sent."""
        columns = [str(name) for name in self.get_list_display(request)]
        rows = self.get_changelist_instance(request).get_queryset(request)
        keys = list(rows.values_list("pk", flat=True)[: csv_format.MAX_ROWS + 1])
        has_id = any(field.name == "public_id" for field in self.opts.fields)
        headings = [self._heading(name) for name in columns]
        return ["ID", *headings] if has_id else headings, self._portions(
            rows,
            keys,
            ["public_id", *columns] if has_id else columns,
            organization_id,
            partial(self.prepare_rows, request),
        )

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Read for some rows at once what their columns show beside the table's own."""

    def _portions(
        self,
        rows: "models.QuerySet[Any]",
        keys: Sequence[int],
        columns: Sequence[str],
        organization_id: int,
        prepare: Callable[[Sequence[Any]], None],
    ) -> Iterator[Sequence[Sequence[object]]]:
        for some in csv_format.chunks(keys[: csv_format.MAX_ROWS]):
            with tenant(organization_id):
                found = {row.pk: row for row in rows.filter(pk__in=some)}
                prepare(list(found.values()))
                portion = [
                    [self._value(found[key], name) for name in columns]
                    for key in some
                    if key in found
                ]
            yield portion
        if len(keys) > csv_format.MAX_ROWS:
            yield [[CUT]]

    def _heading(self, name: str) -> str:
        return capfirst(str(label_for_field(name, self.model, self)))

    def _value(self, row: Any, name: str) -> object:
        """Return what the list shows in a column: texts without markup, times as moments."""
        if name in self.in_full:
            return self.in_full[name](row)
        field, column, value = lookup_field(name, row, self)
        if field is not None and getattr(field, "flatchoices", None):
            return getattr(row, f"get_{field.name}_display")()
        sorted_by = str(getattr(column, "admin_order_field", ""))
        behind = getattr(row, sorted_by, None) if sorted_by.isidentifier() else None
        if isinstance(behind, datetime):
            return behind
        return unescape(strip_tags(value)) if isinstance(value, SafeString) else value


def csv_response(
    headings: Sequence[str], portions: Iterable[Sequence[Sequence[object]]], name: str
) -> StreamingHttpResponse:
    """Return the file as it is written."""

    def written() -> Iterator[bytes]:
        yield csv_format.BYTE_ORDER_MARK + csv_format.encode_rows([headings])
        for portion in portions:
            yield csv_format.encode_rows(portion)

    answer = StreamingHttpResponse(
        written(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
    add_never_cache_headers(answer)
    return answer
