"""Events and what became of them; and events whose decision failed."""

from collections.abc import Sequence

from django.contrib import admin
from django.http import HttpRequest

from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin
from postbacks.admin.logs.event_detail import EventLine, story_of, title_of
from postbacks.admin.logs.filters import EventFilter, LogFilter
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.logs import event_log, failure_log
from postbacks.models import DecisionFailure, Event


@admin.register(Event)
class EventAdmin(LogAdmin):
    """What apps reported."""

    list_title = "Events"
    nothing_yet = "Events appear here as soon as an app or a server reports one."
    filter_form = EventFilter
    page_template = "admin/postbacks/event/page.html"
    columns = log_columns.EVENTS

    def read_page(self, filters: EventFilter, cursor: Cursor) -> KeysetPage[Event]:
        return event_log(filters.wanted, cursor)

    def lines(self, rows: Sequence[Event]) -> Sequence[EventLine]:
        return [EventLine.of(event) for event in rows]

    def details(self, request: HttpRequest, row: Event) -> dict[str, object]:
        return {
            "title": title_of(row),
            "story": story_of(row),
            "here": request.get_full_path(),
        }


@admin.register(DecisionFailure)
class DecisionFailureAdmin(LogAdmin):
    """Events that we could not decide on yet. They are tried again by themselves."""

    list_title = "Undecided events"
    nothing_yet = "All is well: every event was decided on."
    filter_form = LogFilter
    page_template = "admin/postbacks/decisionfailure/page.html"
    columns = log_columns.FAILURES

    def read_page(self, filters: LogFilter, cursor: Cursor) -> KeysetPage[DecisionFailure]:
        return failure_log(cursor)
