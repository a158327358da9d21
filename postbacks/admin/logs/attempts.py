"""The log of delivery attempts: every single try of every postback."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import admin
from django.http import HttpRequest

from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin
from postbacks.admin.logs.filters import AttemptFilter
from postbacks.admin.logs.postback_detail import (
    StatusBadge,
    attempt_view,
    error_text,
    outcome_badge,
)
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.logs import attempt_log
from postbacks.models import DeliveryAttempt


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An attempt as one row of the list."""

    attempt: DeliveryAttempt
    badge: StatusBadge
    error: str


@admin.register(DeliveryAttempt)
class DeliveryAttemptAdmin(LogAdmin):
    """All tries, newest event first."""

    list_title = "Delivery attempts"
    nothing_yet = "Each try to deliver a postback appears here."
    filter_form = AttemptFilter
    page_template = "admin/postbacks/deliveryattempt/page.html"
    columns = log_columns.ATTEMPTS

    def read_page(self, filters: AttemptFilter, cursor: Cursor) -> KeysetPage[DeliveryAttempt]:
        return attempt_log(filters.cleaned_data["outcome"], cursor)

    def row_views(self, rows: Sequence[DeliveryAttempt]) -> Sequence[AttemptRow]:
        return [
            AttemptRow(attempt, outcome_badge(attempt), error_text(attempt)) for attempt in rows
        ]

    def row_context(self, request: HttpRequest, row: DeliveryAttempt) -> dict[str, object]:
        return {"view": attempt_view(row)}
