"""Columns that say how the rows of a list do: the last 24 hours, and the newest outcomes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps_registry.admin_base.csv_export import CsvExportAdmin

HEALTH_COLUMNS = ("last_day", "failed_last_day", "last_delivered", "last_failed")
HEALTH_VALUES: Mapping[str, Callable[[Any], object]] = {  # in files
    "last_day": lambda row: row.health.delivered,
    "failed_last_day": lambda row: row.health.failed,
    "last_delivered": lambda row: row.health.delivered_at,
    "last_failed": lambda row: row.health.failed_at,
}
_SORTED_BY = ("health_delivered", "health_failed", "health_delivered_at", "health_failed_at")
_NEVER = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class RowHealth:
    """How one row does. `sparkline` draws its last 24 hours; `failed_url` leads to what failed."""

    delivered: int
    failed: int
    delivered_at: datetime | None
    delivered_ago: str
    failed_at: datetime | None
    failed_ago: str
    sparkline: SafeString
    failed_url: str


class HealthSource(Protocol):
    """Where the figures come from; each call takes a constant number of statements."""

    def read(self, request: HttpRequest, keys: Sequence[int]) -> Mapping[int, RowHealth]:
        """Return the health of these rows."""
        ...

    def annotate(
        self, request: HttpRequest, rows: "QuerySet[Any]", names: Collection[str]
    ) -> "QuerySet[Any]":
        """Return all rows with the values that they are sorted by, under these names."""
        ...


class HealthList(ChangeList):
    """A list whose rows get their health a page at a time, and that is sorted by it as a whole."""

    model_admin: "HealthColumns"

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> "QuerySet[Any]":
        ordering = self.get_ordering(request, self.root_queryset)
        columns = {str(column).lstrip("-") for column in ordering}
        if names := columns.intersection(_SORTED_BY):
            self.root_queryset = self.model_admin.health.annotate(
                request, self.root_queryset, names
            )
        return super().get_queryset(request, exclude_parameters)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.model_admin.prepare_rows(request, list(self.result_list))


class HealthColumns(CsvExportAdmin):
    """A page whose list shows HEALTH_COLUMNS."""

    list_per_page = 50  # as many as a log's page: most of its time goes into drawing rows
    health: ClassVar[HealthSource]  # another package keeps the figures
    export_values: ClassVar[Mapping[str, Callable[[Any], object]]] = HEALTH_VALUES

    class Media:
        css: ClassVar = {"all": ["postbacks/health.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return HealthList

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        super().prepare_rows(request, rows)
        health = self.health.read(request, [row.pk for row in rows])
        for row in rows:
            row.health = health[row.pk]

    @admin.display(description="last 24 h", ordering="health_delivered")
    def last_day(self, row: Any) -> SafeString:
        return format_html(
            '<span class="hl-day">{} {}</span>', row.health.sparkline, f"{row.health.delivered:,}"
        )

    @admin.display(description="failed", ordering="health_failed")
    def failed_last_day(self, row: Any) -> SafeString | str:
        if not row.health.failed:
            return "0"
        return format_html(
            '<a class="pb-link hl-failed" href="{}">{}</a>',
            row.health.failed_url,
            f"{row.health.failed:,}",
        )

    @admin.display(description="last delivered", ordering="health_delivered_at")
    def last_delivered(self, row: Any) -> SafeString | str:
        return _since(row.health.delivered_at, row.health.delivered_ago)

    @admin.display(description="last failure", ordering="health_failed_at")
    def last_failed(self, row: Any) -> SafeString | str:
        return _since(row.health.failed_at, row.health.failed_ago)


def _since(moment: datetime | None, ago: str) -> SafeString | str:
    if moment is None:
        return _NEVER
    local = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(timespec="minutes"),
        f"{date_format(local, 'M j, Y, H:i')} ({local.tzname()})",
        ago,
    )
