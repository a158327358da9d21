"""Shared parts of lists: badges, days, common columns and the filter that hides archived rows."""

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
    tone = Tone.GOOD if status == Lifecycle.ACTIVE else Tone.STILL
    return badge(Lifecycle(status).label, tone)


def day(time: datetime | None, *, otherwise: str = "") -> SafeString | str:
    """Return the local day of a time, with the exact time as its tooltip."""
    if time is None:
        return otherwise
    local = timezone.localtime(time)
    exact = date_format(local, "M j, Y, H:i")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(timespec="seconds"),
        f"{exact} ({local.tzname()})",
        date_format(local, "M j, Y"),
    )


class CreatedColumn:
    """A page with the column `created`."""

    @admin.display(description="created", ordering="created_at")
    def created(self, row: Any) -> SafeString | str:
        return day(row.created_at)


class LifecycleColumns(CreatedColumn):
    """A page of rows with a Lifecycle, with the columns `created` and `state`."""

    @admin.display(description="status", ordering="status")
    def state(self, row: Any) -> SafeString:
        return lifecycle_badge(row.status)


class HideArchived(admin.SimpleListFilter):
    """Hides archived rows unless the filter selects them."""

    title = "status"
    parameter_name = "status__exact"  # the name of Django's own filter: saved addresses still work

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(Lifecycle.ARCHIVED.value, "Archived"), (ALL, "All")]

    def queryset(
        self, request: HttpRequest, queryset: "models.QuerySet[Any]"
    ) -> "models.QuerySet[Any]":
        status = self.value()
        return queryset if status == ALL else queryset.filter(status=status or Lifecycle.ACTIVE)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        selected = self.value() or Lifecycle.ACTIVE
        yield {
            "selected": selected == Lifecycle.ACTIVE,
            "query_string": changelist.get_query_string(remove=[self.parameter_name]),
            "display": "Active",
        }
        for value, label in self.lookup_choices:
            yield {
                "selected": selected == value,
                "query_string": changelist.get_query_string({self.parameter_name: str(value)}),
                "display": label,
            }
