"""The logs as people look at them: what can be asked of each, and one page of the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet, prefetch_related_objects

from postbacks.insights.keyset import Cursor, KeysetPage, Log
from postbacks.models import (
    CallbackRule,
    DecisionFailure,
    DeliveryAttempt,
    Event,
    Postback,
)

_MOMENT = timedelta(milliseconds=1)  # the least by which two times in a log differ


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is searched: from `since`, before `until`; None is open."""

    since: datetime | None = None
    until: datetime | None = None

    def within(self, rows: "QuerySet[Any]", time_key: str) -> "QuerySet[Any]":
        """Return the rows of that time."""
        conditions = {f"{time_key}__gte": self.since, f"{time_key}__lt": self.until}
        return rows.filter(**{name: at for name, at in conditions.items() if at is not None})


@dataclass(frozen=True, slots=True)
class Codes:
    """HTTP codes from `first` to `last`; both None is an attempt that got no answer."""

    first: int | None = None
    last: int | None = None

    @property
    def condition(self) -> Q:
        """Return the condition on postbacks."""
        if self.first is None:
            return Q(last_status_code__isnull=True, attempts_made__gt=0)
        return Q(last_status_code__range=(self.first, self.last))


@dataclass(frozen=True, slots=True)
class PostbacksWanted:
    """What is asked of the delivery log. `id` is a postback's public id or its event's."""

    span: Span = Span()
    id: UUID | None = None
    status: str = ""
    app_id: int | None = None
    rule_id: int | None = None
    partner_id: int | None = None
    event_name: str = ""
    codes: Codes | None = None
    test: bool | None = None


@dataclass(frozen=True, slots=True)
class EventsWanted:
    """What is asked of the events. `id` is the SDK's `event_id`."""

    span: Span = Span()
    id: UUID | None = None
    app_id: int | None = None
    event_name: str = ""
    source: str = ""
    platform: str = ""


def delivery_log(wanted: PostbacksWanted, cursor: Cursor) -> KeysetPage[Postback]:
    """Return a page of postbacks, newest event first, with their rules, partners and apps."""
    span = wanted.span.within(Postback.objects.all(), "event_received_at")
    conditions = [
        *equal(app_id=wanted.app_id, rule_id=wanted.rule_id, status=wanted.status),
        *equal(event_name=wanted.event_name),
        *([wanted.codes.condition] if wanted.codes else []),
        *([] if wanted.test is None else [Q(test=wanted.test)]),
        *([Q(rule_id__in=_rules_of(wanted.partner_id))] if wanted.partner_id else []),
    ]
    by_id = Q(public_id=wanted.id) | Q(sdk_event_id=wanted.id) if wanted.id else None
    # In queries of their own: a join might keep PostgreSQL from reading days in order.
    related = ("rule__partner", "app")
    return page_of(span, conditions, by_id, "event_received_at", related, cursor)


def event_log(wanted: EventsWanted, cursor: Cursor) -> KeysetPage[Event]:
    """Return a page of events, newest first, with their apps."""
    span = wanted.span.within(Event.objects.all(), "received_at")
    conditions = equal(
        app_id=wanted.app_id,
        event_name=wanted.event_name,
        source=wanted.source,
        platform=wanted.platform,
    )
    by_id = Q(event_id=wanted.id) if wanted.id else None
    return page_of(span, conditions, by_id, "received_at", ("app",), cursor)


def attempt_log(outcome: str, cursor: Cursor) -> KeysetPage[DeliveryAttempt]:
    """Return a page of attempts, newest event first."""
    rows = DeliveryAttempt.objects.defer("request", "response")
    page = page_of(rows, equal(outcome=outcome), None, "event_received_at", (), cursor)
    moments = [attempt.event_received_at for attempt in page.rows]
    if moments:  # of no more days than the page has
        span = Span(min(moments), max(moments) + _MOMENT)
        of_days = span.within(Postback.objects.all(), "event_received_at")
        prefetch_related_objects(page.rows, Prefetch("postback", queryset=of_days))
    return page


def failure_log(cursor: Cursor) -> KeysetPage[DecisionFailure]:
    """Return a page of events that could not be decided on, newest first."""
    return page_of(DecisionFailure.objects.all(), [], None, "received_at", (), cursor)


def page_of(
    span: "QuerySet[Any]",
    conditions: Sequence[Q],
    by_id: Q | None,
    time_key: str,
    related: tuple[str, ...],
    cursor: Cursor,
) -> KeysetPage[Any]:
    """Return a page of the rows in a span that fit; those with an id are found by an index."""
    rows = span.filter(*conditions)
    if by_id is not None:
        rows = rows.filter(by_id)
    is_search = bool(conditions) and by_id is None
    return Log(
        rows=rows.prefetch_related(*related), time_key=time_key, span=span if is_search else None
    ).page(cursor)


def equal(**conditions: object) -> list[Q]:
    """Return conditions on columns, without those that ask for nothing."""
    return [Q(**{name: value}) for name, value in conditions.items() if value]


def _rules_of(partner_id: int) -> list[int]:
    return list(CallbackRule.objects.filter(partner_id=partner_id).values_list("pk", flat=True))
