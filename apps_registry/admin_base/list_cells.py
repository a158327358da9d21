"""What lists of set-up pages share: how a status and a moment read, and the filter for archives."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import models
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps_registry.admin_base.theme import Tone, badge
from apps_registry.tenancy import Lifecycle

ALL = "all"


def lifecycle_badge(status: str) -> SafeString:
    """Return the badge of an active or archived row."""
    tone = Tone.GOOD if status == Lifecycle.ACTIVE else Tone.STILL
    return badge(Lifecycle(status).label, tone)


def day(moment: datetime | None, *, otherwise: str = "") -> SafeString | str:
    """Return the local day of a moment, with the time when one points at it."""
    if moment is None:
        return otherwise
    local = timezone.localtime(moment)
    exact = date_format(local, "M j, Y, H:i")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(timespec="seconds"),
        f"{exact} ({local.tzname()})",
        date_format(local, "M j, Y"),
    )


class CreatedColumn:
    """Gives a page the column `created`."""

    @admin.display(description="created", ordering="created_at")
    def created(self, row: Any) -> SafeString | str:
        """Show the day."""
        return day(row.created_at)


class LifecycleColumns(CreatedColumn):
    """Gives a page of rows that are archived the columns `created` and `state`."""

    @admin.display(description="status", ordering="status")
    def state(self, row: Any) -> SafeString:
        """Show the status as a badge."""
        return lifecycle_badge(row.status)


class HideArchived(admin.SimpleListFilter):
    """Leaves archived rows out of a list until somebody asks for them."""

    title = "status"
    parameter_name = "status__exact"  # as Django's own filter of the field: addresses go on working

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Offer archived rows, and all."""
        return [(Lifecycle.ARCHIVED.value, "Archived"), (ALL, "All")]

    def queryset(
        self, request: HttpRequest, queryset: "models.QuerySet[Any]"
    ) -> "models.QuerySet[Any]":
        """Return active rows, or those that were asked for."""
        asked = self.value()
        return queryset if asked == ALL else queryset.filter(status=asked or Lifecycle.ACTIVE)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield “Active” first, which is what an address without a choice shows."""
        asked = self.value() or Lifecycle.ACTIVE
        yield {
            "selected": asked == Lifecycle.ACTIVE,
            "query_string": changelist.get_query_string(remove=[self.parameter_name]),
            "display": "Active",
        }
        for value, label in self.lookup_choices:
            yield {
                "selected": asked == value,
                "query_string": changelist.get_query_string({self.parameter_name: str(value)}),
                "display": label,
            }
