"""The logs that people read: what can be searched in each, and one page of the result."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import (
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Sum,
    TextField,
    prefetch_related_objects,
)
from django.db.models.functions import Cast
from django.db.models.lookups import IsNull

from apps_registry.models import AuditEntry
from postbacks.insights.keyset import Cursor, KeysetList, KeysetPage
from postbacks.insights.searched_id import SearchedId
from postbacks.models import (
    CallbackRule,
    DecisionFailure,
    DeliveryAttempt,
    Discrepancy,
    Event,
    Export,
    Install,
    Postback,
    RefusalCount,
    RefusalReason,
    RefusedEvent,
    Replay,
    ReplayPart,
    ReplayStatus,
    Touchpoint,
    TouchpointKind,
)

_CODE = re.compile(r"[1-5][0-9]{2}")
_COUNTS = re.compile(r"(?P<first>[0-9]{1,6})(?:(?P<more>\+)|-(?P<last>[0-9]{1,6}))?")
_MOST_COUNTED = 10**9
TEXT_SECONDS = 2.0  # in which a text is looked for at once
# They look at an attempt or the event of each postback.
COSTLY_FILTERS = ("outcome", "error", "kind", "country")
_CODE_CLASS = re.compile(r"([1-5])xx")
_TIME_STEP = timedelta(milliseconds=1)  # the least by which two times in a log differ
_MOST_COUNTS = 1_000
_REPLAYS = {
    str(ReplayStatus.RUNNING): Q(finished_at=None),
    str(ReplayStatus.FINISHED): Q(cancelled_at=None, finished_at__isnull=False),
    str(ReplayStatus.CANCELLED): Q(cancelled_at__isnull=False),
}


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The time that is searched: from `since`, before `until`; None is open."""

    since: datetime | None = None
    until: datetime | None = None

    def within(self, rows: "QuerySet[Any]", time_key: str) -> "QuerySet[Any]":
        """Return the rows whose `time_key` lies in the range."""
        conditions = {f"{time_key}__gte": self.since, f"{time_key}__lt": self.until}
        return rows.filter(**{name: at for name, at in conditions.items() if at is not None})


@dataclass(frozen=True, slots=True)
class StatusCodes:
    """HTTP codes from `first` to `last`; both None is an attempt that got no answer."""

    first: int | None = None
    last: int | None = None

    @classmethod
    def parse(cls, text: str) -> "StatusCodes":
        """Return the codes that a person names: 503, 5xx, or none. Raises ValueError."""
        text = text.strip().lower()
        if text == "none":
            return cls()
        if match := _CODE_CLASS.fullmatch(text):
            return cls(int(match[1]) * 100, int(match[1]) * 100 + 99)
        if _CODE.fullmatch(text):
            return cls(int(text), int(text))
        raise ValueError("Write a code like 503, a class like 5xx, or none for no answer.")

    @property
    def condition(self) -> Q:
        if self.first is None:
            return Q(last_status_code__isnull=True, attempts_made__gt=0)
        return Q(last_status_code__range=(self.first, self.last))


@dataclass(frozen=True, slots=True)
class AttemptCounts:
    """How often a postback was tried: from `first` to `last` times."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> "AttemptCounts":
        """Return the counts that a person names: 3, 3+, or 2-5. Raises ValueError."""
        match = _COUNTS.fullmatch(text.strip())
        if match is None:
            raise ValueError("Write a number like 3, “3+” for three or more, or a range like 2-5.")
        first = int(match["first"])
        last = _MOST_COUNTED if match["more"] else int(match["last"] or first)
        if last < first:
            raise ValueError("The range ends before it begins; write it like 2-5.")
        return cls(first, last)

    @property
    def condition(self) -> Q:
        return Q(attempts_made__range=(self.first, self.last))


@dataclass(frozen=True, slots=True)
class PostbackSearch:
    """A search of the delivery log. `id` is a postback's public id or its event's.

    `outcome` and `error` are those of the last try, `kind` that of any, `version` the rule's that
    decided it; `text` stands in the request or the answer of a try.
    """

    span: TimeRange = TimeRange()
    id: UUID | None = None
    status: str = ""
    app_id: int | None = None
    rule_id: int | None = None
    partner_id: int | None = None
    event_name: str = ""
    codes: StatusCodes | None = None
    test: bool | None = None
    reason: str = ""
    outcome: str = ""
    error: str = ""
    attempts: AttemptCounts | None = None
    kind: str = ""
    campaign_id: int | None = None
    country: str = ""
    version: int | None = None
    text: str = ""

    @property
    def is_costly(self) -> bool:
        return any(getattr(self, name) for name in COSTLY_FILTERS)

    @property
    def conditions(self) -> list[Q]:
        """Return what a postback must be, apart from its time and ID."""
        parts = (self.codes, self.attempts)
        return [
            *_equal(app_id=self.app_id, rule_id=self.rule_id, status=self.status),
            *_equal(event_name=self.event_name, reason=self.reason, rule_version=self.version),
            # Credited when the postback was decided, as figures count it.
            *_equal(campaign_ref=self.campaign_id),
            *(part.condition for part in parts if part is not None),
            *([] if self.test is None else [Q(test=self.test)]),
            *([Q(rule_id__in=_rules_of(self.partner_id))] if self.partner_id else []),
            *([_from_country(self.country)] if self.country else []),
            *([_has_attempt(kind=self.kind)] if self.kind else []),
            *(
                [_has_attempt(outcome=self.outcome, number=OuterRef("attempts_made"))]
                if self.outcome
                else []
            ),
            *(
                [_has_attempt(error=self.error, number=OuterRef("attempts_made"))]
                if self.error
                else []
            ),
            *([_has_text(self.text)] if self.text else []),
        ]


@dataclass(frozen=True, slots=True)
class EventSearch:
    """A search of the events. `id` is the SDK's `event_id`."""

    span: TimeRange = TimeRange()
    id: UUID | None = None
    app_id: int | None = None
    event_name: str = ""
    source: str = ""
    platform: str = ""


@dataclass(frozen=True, slots=True)
class InstallSearch:
    """A search of the installs. `id` is one of the device's, the SDK's, or ours."""

    span: TimeRange = TimeRange()
    id: str = ""
    app_id: int | None = None
    partner_id: int | None = None
    campaign_id: int | None = None
    type: str = ""
    kind: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class TouchpointSearch:
    """A search of clicks and impressions. `id` is the network's click ID, a device's, or ours."""

    span: TimeRange = TimeRange()
    id: str = ""
    kind: str = ""
    source: str = ""
    app_id: int | None = None
    partner_id: int | None = None
    campaign_id: int | None = None
    link_id: int | None = None
    site_id: str = ""
    country: str = ""
    rejected: bool | None = None


@dataclass(frozen=True, slots=True)
class RefusalSearch:
    """A search of refused events. `id` is any id that was in them, raw or hashed, or ours."""

    span: TimeRange = TimeRange()
    id: str = ""
    app_id: int | None = None
    door: str = ""
    reason: str = ""
    pointer: str = ""
    sdk_version: str = ""


@dataclass(frozen=True, slots=True)
class RefusalsCounted:
    """How many were refused for one reason, of one SDK version, and how many of them are kept."""

    app: UUID
    app_name: str
    reason: str
    pointer: str
    sdk_version: str
    refused: int
    kept: int

    @property
    def label(self) -> str:
        return str(RefusalReason(self.reason).label)


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """A search of the audit log. `text` is part of an object's name, `who` of an actor's."""

    span: TimeRange = TimeRange()
    text: str = ""
    who: str = ""
    action: str = ""
    object_type: str = ""
    object_id: UUID | None = None


def delivery_log(search: PostbackSearch, cursor: Cursor) -> KeysetPage[Postback]:
    """Return a page of postbacks, newest event first, with their rules, partners and apps."""
    has_id = Q(public_id=search.id) | Q(sdk_event_id=search.id) if search.id else None
    rows = search.span.within(Postback.objects.defer("other_fingerprints"), "event_received_at")
    # In queries of their own: a join might keep PostgreSQL from reading days in order.
    related = ("rule__partner", "app")
    matches = _search(rows, "event_received_at", search.conditions, has_id=has_id, related=related)
    seconds = TEXT_SECONDS if search.text else None
    return replace(matches, seconds=seconds, costly=search.is_costly).page(cursor)


def event_log(search: EventSearch, cursor: Cursor) -> KeysetPage[Event]:
    """Return a page of events, newest first, with their apps."""
    conditions = _equal(
        app_id=search.app_id,
        event_name=search.event_name,
        source=search.source,
        platform=search.platform,
    )
    has_id = Q(event_id=search.id) if search.id else None
    rows = search.span.within(Event.objects.all(), "received_at")
    return _search(rows, "received_at", conditions, has_id=has_id, related=["app"]).page(cursor)


def install_log(search: InstallSearch, cursor: Cursor) -> KeysetPage[Install]:
    """Return a page of installs in the order of their arrival, newest first, with their names."""
    conditions = _equal(
        app_id=search.app_id,
        partner_id=search.partner_id,
        campaign_id=search.campaign_id,
        attribution_type=search.type,
        kind=search.kind,
        state=search.state,
    )
    has_id = SearchedId(search.id).installs if search.id else None
    rows = search.span.within(Install.objects.all(), "event_received_at")
    related = ("app", "partner", "campaign", "link")
    return _search(rows, "event_received_at", conditions, has_id=has_id, related=related).page(
        cursor
    )


def touchpoint_log(search: TouchpointSearch, cursor: Cursor) -> KeysetPage[Touchpoint]:
    """Return a page of touchpoints in the order of their arrival, newest first."""
    conditions = _equal(
        source=search.source,
        app_id=search.app_id,
        partner_id=search.partner_id,
        campaign_id=search.campaign_id,
        link_id=search.link_id,
        site_id=search.site_id,
        country=search.country,
    )
    if search.rejected is not None:
        conditions.append(~Q(refused="") if search.rejected else Q(refused=""))
    has_id = SearchedId(search.id).touchpoints if search.id else None
    rows = search.span.within(Touchpoint.objects.all(), "received_at")
    related = ("app", "partner", "campaign", "link")
    matches = _search(rows, "received_at", conditions, has_id=has_id, related=related)
    return replace(matches, kinds=kinds_of_touchpoints(search.kind)).page(cursor)


def kinds_of_touchpoints(kind: str = "") -> list[Q]:
    """Return the conditions of the kinds that a search covers: an index has each in order."""
    return [Q(kind=kind) for kind in ([kind] if kind else TouchpointKind.values)]


def refusal_log(search: RefusalSearch, cursor: Cursor) -> KeysetPage[RefusedEvent]:
    """Return a page of refused events, newest first, with their apps and keys."""
    conditions = _equal(
        app_id=search.app_id,
        door=search.door,
        reason=search.reason,
        pointer=search.pointer,
        sdk_version=search.sdk_version,
    )
    has_id = SearchedId(search.id).refused_events if search.id else None
    rows = search.span.within(RefusedEvent.objects.all(), "received_at")
    related = ("app", "sdk_key")
    return _search(rows, "received_at", conditions, has_id=has_id, related=related).page(cursor)


def refusal_counts(app_id: int | None = None) -> list[RefusalsCounted]:
    """Return how many were refused in the days that are kept, the most first."""
    rows = RefusalCount.objects.filter(**({} if app_id is None else {"app_id": app_id}))
    grouped = rows.values_list("app__public_id", "app__name", "reason", "pointer", "sdk_version")
    sums = grouped.annotate(sum_refused=Sum("refused"), sum_kept=Sum("kept"))
    most = sums.order_by("-sum_refused", "reason", "pointer", "sdk_version")[:_MOST_COUNTS]
    return [RefusalsCounted(*row) for row in most]


def audit_log(search: AuditSearch, cursor: Cursor) -> KeysetPage[AuditEntry]:
    """Return a page of audit entries, newest first."""
    conditions = _equal(
        object_name__icontains=search.text,
        actor_name__icontains=search.who,
        action=search.action,
        object_type=search.object_type,
    )
    has_id = Q(object_id=str(search.object_id)) if search.object_id else None
    rows = search.span.within(AuditEntry.objects.all(), "at")
    return _search(rows, "at", conditions, has_id=has_id).page(cursor)


def attempt_log(outcome: str, cursor: Cursor) -> KeysetPage[DeliveryAttempt]:
    """Return a page of attempts, newest event first."""
    attempts = DeliveryAttempt.objects.defer("request", "response")
    page = _search(attempts, "event_received_at", _equal(outcome=outcome)).page(cursor)
    moments = [attempt.event_received_at for attempt in page.rows]
    if moments:  # reads no more days of postbacks than the page has
        span = TimeRange(min(moments), max(moments) + _TIME_STEP)
        postbacks = span.within(Postback.objects.all(), "event_received_at")
        prefetch_related_objects(page.rows, Prefetch("postback", queryset=postbacks))
    return page


def replay_log(status: str, rule_id: int | None, cursor: Cursor) -> KeysetPage[Replay]:
    """Return a page of replays, newest first, with the shares of their rules."""
    conditions = [*_equal(part__rule_id=rule_id), *([_REPLAYS[status]] if status else [])]
    parts = Prefetch("parts", queryset=ReplayPart.objects.select_related("rule").order_by("pk"))
    page = _search(Replay.objects.all(), "created_at", conditions).page(cursor)
    prefetch_related_objects(page.rows, parts)
    return page


def export_log(status: str, cursor: Cursor) -> KeysetPage[Export]:
    """Return a page of exports, newest first."""
    return _search(Export.objects.all(), "created_at", _equal(status=status)).page(cursor)


def discrepancy_log(status: str, partner_id: int | None, cursor: Cursor) -> KeysetPage[Discrepancy]:
    """Return a page of comparisons, newest first, with their partners."""
    conditions = _equal(status=status, partner_id=partner_id)
    rows = Discrepancy.objects.defer("text")
    return _search(rows, "created_at", conditions, related=["partner"]).page(cursor)


def failure_log(cursor: Cursor) -> KeysetPage[DecisionFailure]:
    """Return a page of events that could not be decided on, newest first."""
    return _search(DecisionFailure.objects.all(), "received_at").page(cursor)


def _search(
    rows: "QuerySet[Any]",
    time_key: str,
    conditions: Sequence[Q] = (),
    *,
    has_id: Q | None = None,
    related: Sequence[str] = (),
) -> KeysetList[Any]:
    """Return the rows that match. Only a search without an id is bounded: an index finds ids."""
    matches = rows.filter(*conditions)
    if has_id is not None:
        matches = matches.filter(has_id)
    return KeysetList(
        rows=matches.prefetch_related(*related),
        time_key=time_key,
        searched=rows if conditions and has_id is None else None,
    )


def _equal(**conditions: object) -> list[Q]:
    """Return conditions on columns; an empty value sets none."""
    return [Q(**{name: value}) for name, value in conditions.items() if value]


def _rules_of(partner_id: int) -> list[int]:
    return list(CallbackRule.objects.filter(partner_id=partner_id).values_list("pk", flat=True))


def _has_attempt(**conditions: object) -> Q:
    attempts = DeliveryAttempt.objects.filter(
        postback=OuterRef("pk"), event_received_at=OuterRef("event_received_at"), **conditions
    )
    return _has_row(attempts)


def _has_text(text: str) -> Q:
    """Return the condition that a try has a text in its URL, headers, body or answer."""
    attempts = DeliveryAttempt.objects.filter(
        postback=OuterRef("pk"), event_received_at=OuterRef("event_received_at")
    ).annotate(sent=Cast("request", TextField()), answered=Cast("response", TextField()))
    # As it stands in JSON, where quotes and line breaks are written otherwise.
    stored = json.dumps(text, ensure_ascii=False)[1:-1]
    return _has_row(attempts.filter(Q(sent__icontains=stored) | Q(answered__icontains=stored)))


def _from_country(country: str) -> Q:
    events = Event.objects.filter(
        pk=OuterRef("event_id"),
        received_at=OuterRef("event_received_at"),
        fields__country__in=[country.upper(), country.lower()],
    )
    return _has_row(events)


def _has_row(rows: "QuerySet[Any]") -> Q:
    """Return the condition that a row of another log is there, looked up for one row at a time.

    PostgreSQL would turn EXISTS into a join, and read all of the other log for a few of its rows.
    """
    return Q(IsNull(Subquery(rows.order_by().values("pk")[:1]), False))
