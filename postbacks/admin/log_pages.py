"""What the pages of large logs share: read-only, newest first, never counted to the end."""

import uuid
from typing import Any, ClassVar

from django.contrib.admin import ShowFacets
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.functional import cached_property

from apps_registry.tenant_admin import ReadOnly, ReadOnlyInline, TenantAdmin
from postbacks.models import Event

COUNTED_TO = 10_000


class CappedPaginator(Paginator):
    """Counts to 10,000 and then says “or more”: an exact count reads the whole log."""

    @cached_property
    def _counted(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return rows.order_by()[: COUNTED_TO + 1].count()
        return len(rows)

    @cached_property
    def count(self) -> int:
        """Return the number of rows, at most 10,000."""
        return min(self._counted, COUNTED_TO)

    @property
    def is_capped(self) -> bool:
        """Tell whether there are more rows than were counted."""
        return self._counted > COUNTED_TO


class LogAdmin(ReadOnly, TenantAdmin):
    """A list of what happened. It is sorted by time alone, which every partition has indexed."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    sortable_by = ()
    list_per_page = 50
    search_help_text = "Search by the exact id (UUID)."
    found_by: ClassVar[tuple[str, ...]] = ()

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Show the search box where something can be found."""
        return self.found_by

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Model], search_term: str
    ) -> tuple[QuerySet[Model], bool]:
        """Find rows by one exact id; a text that is none finds nothing and scans nothing."""
        if not search_term:
            return queryset, False
        try:
            wanted = uuid.UUID(search_term.strip())
        except ValueError:
            return queryset.none(), False
        conditions = ((name, wanted) for name in self.found_by)
        return queryset.filter(Q.create(list(conditions), connector=Q.OR)), False


class _RowsOfOneStory(BaseInlineFormSet):
    """Looks into one partition: whatever follows an event lies where its `received_at` says."""

    def __init__(self, **given: Any) -> None:
        parent = given["instance"]
        received_at = parent.received_at if isinstance(parent, Event) else parent.event_received_at
        given["queryset"] = given["queryset"].filter(event_received_at=received_at)
        super().__init__(**given)


class LogInline(ReadOnlyInline):
    """What followed from a row of a log."""

    formset = _RowsOfOneStory
