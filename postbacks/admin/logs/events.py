"""The log of events, and of those whose decision failed."""

from collections.abc import Sequence

from django.contrib import admin
from django.http import HttpRequest

from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin
from postbacks.admin.logs.event_detail import EventRow, event_detail, event_title
from postbacks.admin.logs.filters import EventFilter, LogFilter
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.logs import event_log, failure_log
from postbacks.models import DecisionFailure, Event


@admin.register(Event)
class EventAdmin(LogAdmin):
    """The events that apps and servers reported."""

    list_title = "Events"
    empty_list_text = "Events appear here as soon as an app or a server reports one."
    filter_form = EventFilter
    page_template = "admin/postbacks/event/page.html"
    columns = log_columns.EVENTS

    def read_page(self, filters: EventFilter, cursor: Cursor) -> KeysetPage[Event]:
        return event_log(filters.search, cursor)

    def row_views(self, rows: Sequence[Event]) -> Sequence[EventRow]:
        return [EventRow.of(event) for event in rows]

    def row_context(self, request: HttpRequest, row: Event) -> dict[str, object]:
        return {
            "title": event_title(row),
            "detail": event_detail(row),
            "here": request.get_full_path(),
        }


@admin.register(DecisionFailure)
class DecisionFailureAdmin(LogAdmin):
    """Events whose decision failed; each is retried automatically."""

    list_title = "Undecided events"
    empty_list_text = "All is well: every event was decided on."
    filter_form = LogFilter
    page_template = "admin/postbacks/decisionfailure/page.html"
    columns = log_columns.FAILURES

    def read_page(self, filters: LogFilter, cursor: Cursor) -> KeysetPage[DecisionFailure]:
        return failure_log(cursor)
