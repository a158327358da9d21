"""Lists as CSV, for callers who accept it: every row that the filters leave, not one page.

Rows are read in portions, each in a transaction of its own, so that a slow reader holds none open.
At most `MOST_ROWS` rows are sent; where there are more, the header `Link` leads to the rest.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from rest_framework.renderers import BaseRenderer
from rest_framework.utils.urls import replace_query_param

from apps_registry import csv_format
from apps_registry.audit import log
from apps_registry.models import Organization
from apps_registry.tenancy import tenant
from postbacks.api.pagination import NewestFirst
from postbacks.api.query import BadParameters

if TYPE_CHECKING:
    from postbacks.api.base import OrganizationViewSet


class CsvRenderer(BaseRenderer):
    """Lets REST framework choose CSV. Lists of rows write themselves; a small one comes here."""

    media_type = "text/csv"
    format = "csv"

    def render(self, data: Any, *_: Any, **__: Any) -> bytes:
        """Return a page that holds all there is."""
        rows = data.get("results", []) if isinstance(data, dict) else []
        columns = list(rows[0]) if rows else []
        return csv_format.lines([columns, *([row[name] for name in columns] for row in rows)])


def csv_list(view: "OrganizationViewSet", rows: "QuerySet[Any]") -> StreamingHttpResponse:
    """Return the answer that sends all of `rows`, from the cursor of the query on."""
    pages = NewestFirst()
    request = view.request
    start = pages.begin(request, view)
    if start is not None and start.backward:
        raise BadParameters({"cursor": "CSV goes on from “next” only."})
    columns = view.csv_columns()
    organization_id = view.caller.organization_id

    def written() -> Iterator[bytes]:
        yield csv_format.lines([columns])
        place, left = start, csv_format.MOST_ROWS
        while left:
            size = min(left, csv_format.ROWS_AT_ONCE)
            with tenant(organization_id):
                page = pages.rows_after(rows, place, size)
                portion = csv_format.lines(_cells(view, page, columns))
            yield portion
            if len(page) < size:
                return
            place, left = pages.place_of(page[-1]), left - size

    kind = str(view.model._meta.verbose_name_plural)
    if request.method == "GET":
        filters = request._request.GET
        asked = {"filters": [None, filters.urlencode()]} if filters else {}
        log.record(log.Action.EXPORTED, name=kind, changes=asked)
    answer = StreamingHttpResponse(written(), content_type="text/csv; charset=utf-8")
    name = Organization.objects.values_list("name", flat=True).get(pk=organization_id)
    file_name = csv_format.file_name(kind, name, datetime.now(UTC))
    answer["Content-Disposition"] = f'attachment; filename="{file_name}"'
    if rest := pages.cursor_after(rows, start, csv_format.MOST_ROWS):
        address = replace_query_param(request.build_absolute_uri(), "cursor", rest)
        answer["Link"] = f'<{address}>; rel="next"'
    return answer


def _cells(
    view: "OrganizationViewSet", page: Sequence[Any], columns: Sequence[str]
) -> Iterator[list[object]]:
    for row in view.csv_rows(page):
        yield [row[name] for name in columns]
