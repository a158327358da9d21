"""The overview in words: figures become cards, failures and rules become rows that lead on.

Each card leads to the rows that it counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.urls import reverse

from apps_registry.admin_base.permissions import membership_of
from postbacks.insights import wording
from postbacks.insights.overview import hours_chart
from postbacks.insights.overview.checklist import checklist
from postbacks.insights.overview.hours_chart import HoursChart
from postbacks.insights.overview.last_day import RuleTrouble
from postbacks.insights.overview.reading import (
    SHOWN_BODY_LENGTH,
    FailedPostback,
    Overview,
    Volume,
    read_overview,
)
from postbacks.models import CallbackRule, PostbackStatus, RuleStatus

_LATE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class FigureCard:
    """One figure. `tone` is "bad", "busy" or empty; `url` is empty where no list shows it."""

    label: str
    figure: str
    note: str
    url: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A failure, or a group of like ones, in words. `subject` is what failed."""

    subject: str
    is_group: bool
    rule: str
    partner: str
    tried: str
    tried_at: datetime
    tried_exactly: str
    answer: str
    detail: str
    body: str
    outlook: str
    given_up: bool
    url: str


@dataclass(frozen=True, slots=True)
class RuleTroubleRow:
    """One of the rules with most failures, in words."""

    rule: str
    partner: str
    words: str
    percent: str
    percent_drawn: float
    url: str


@dataclass(frozen=True, slots=True)
class RuleLink:
    """A rule that needs somebody, with the address of its page."""

    rule: str
    url: str


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """The overview as the template shows it. `is_new`: no event ever came, there is nothing yet."""

    clock: str
    zone: str
    is_new: bool
    suspended: list[RuleLink]
    failing: list[RuleLink]
    holding: list[RuleLink]
    cards: list[FigureCard]
    chart: HoursChart
    summary: str
    failures: list[FailureRow]
    failures_url: str
    troubles: list[RuleTroubleRow]


def overview_context(request: HttpRequest) -> dict[str, object]:
    """Return what the admin's first page shows: the request's organization in its time zone."""
    membership = membership_of(request)
    if membership is None:
        return {}
    zone = ZoneInfo(membership.organization.time_zone)
    overview = read_overview(now=datetime.now(UTC), zone=zone)
    return {
        "page": overview_page(overview),
        "steps": [] if overview.steps.complete else checklist(overview.steps, request),
        "steps_done": overview.steps.done,
    }


def overview_page(overview: Overview) -> OverviewPage:
    """Return an overview in words."""
    local = overview.now.astimezone(overview.zone)
    day = overview.day.total
    return OverviewPage(
        clock=wording.format_moment(local),
        zone=overview.zone.key,
        is_new=not overview.steps.event,
        suspended=[RuleLink(rule.name, _rule_url(rule)) for rule in overview.suspended],
        failing=[
            RuleLink(f"{rule} ({percent} % of the way)", _rule_url(rule))
            for rule, percent in overview.failing
        ],
        holding=[RuleLink(rule.name, _rule_url(rule)) for rule in overview.holding],
        cards=cards(overview),
        chart=hours_chart.draw_hours(overview.day.hours, overview.zone),
        summary=(
            f"Postbacks by hour, last 24 hours: {wording.number(day.delivered)} delivered, "
            f"{wording.number(day.failed)} failed, {wording.number(day.pending)} pending, "
            f"{wording.number(day.skipped)} skipped. The table below has every hour."
        ),
        failures=[_failure(failure, overview) for failure in overview.failures],
        failures_url=list_url("postback", status=PostbackStatus.FAILED, time="7d"),
        troubles=[_trouble(trouble, overview.rules) for trouble in overview.day.troubles],
    )


def _failure(failure: FailedPostback, overview: Overview) -> FailureRow:
    rule = overview.rules[failure.rule_id]
    body = " ".join((failure.body or "").split())
    answer = wording.answer(failure.error, failure.status_code)
    is_group = failure.count > 1
    return FailureRow(
        subject=f"{wording.number(failure.count)} postbacks"
        if is_group
        else failure.event_name or "Postback",
        is_group=is_group,
        rule=rule.name,
        partner=rule.partner.name if rule.partner else "",
        tried=wording.ago(failure.tried_at, overview.now),
        tried_at=failure.tried_at,
        tried_exactly=wording.format_moment(
            failure.tried_at.astimezone(overview.zone), to_seconds=True
        ),
        answer=f"{wording.number(failure.count)} \N{MULTIPLICATION SIGN} {answer}"
        if is_group
        else answer,
        detail=failure.detail,
        body=body if len(body) <= SHOWN_BODY_LENGTH else f"{body[:SHOWN_BODY_LENGTH]}…",
        outlook=_outlook(failure, rule, overview),
        given_up=failure.status == PostbackStatus.FAILED,
        url=_group_url(failure)
        if is_group
        else reverse("admin:postbacks_postback_change", args=[failure.postback_id]),
    )


def _group_url(failure: FailedPostback) -> str:
    code = "none" if failure.status_code is None else str(failure.status_code)
    return list_url(
        "postback", rule=str(failure.rule_id), status=failure.status, code=code, time="7d"
    )


def _rule_url(rule: CallbackRule) -> str:
    return reverse("admin:postbacks_callbackrule_change", args=[rule.pk])


def _outlook(failure: FailedPostback, rule: CallbackRule, overview: Overview) -> str:
    if failure.status == PostbackStatus.FAILED:
        is_first = failure.number == 1 or failure.count > 1
        return "Given up" if is_first else f"Given up after {failure.number} tries"
    if rule.status != RuleStatus.ACTIVE:
        return "On hold: the rule is switched off"
    if failure.count > 1:
        return "Trying again"
    if failure.next_attempt_at is None or failure.next_attempt_at <= overview.now:
        return "Trying again now"
    then = failure.next_attempt_at.astimezone(overview.zone)
    is_today = then.date() == overview.now.astimezone(overview.zone).date()
    return f"Trying again at {then:%H:%M}" if is_today else f"Trying again at {then:%H:%M on %A}"


def _trouble(trouble: RuleTrouble, rules: Mapping[int, CallbackRule]) -> RuleTroubleRow:
    rule = rules[trouble.rule_id]
    counts = (
        f"{wording.number(trouble.failed)} failed" if trouble.failed else "",
        f"{wording.number(trouble.retrying)} trying again" if trouble.retrying else "",
        f"{wording.number(trouble.delivered)} delivered",
        f"most often: {wording.answer(trouble.answer)}",
    )
    return RuleTroubleRow(
        rule=rule.name,
        partner=rule.partner.name if rule.partner else "",
        words=" · ".join(filter(None, counts)),
        percent=wording.percent(trouble.success_percent),
        percent_drawn=trouble.success_percent,
        url=list_url("postback", rule=str(trouble.rule_id), time="24h"),
    )


def cards(overview: Overview) -> list[FigureCard]:
    """Return the figures in the order in which things happen."""
    volume, total = overview.volume, overview.day.total
    success = total.success_percent
    return [
        FigureCard(
            "Events received",
            wording.number(volume.events),
            wording.change(volume.events, volume.events_before),
            list_url("event", time="24h"),
        ),
        FigureCard(
            "Installs",
            wording.number(volume.installs),
            _credit(volume),
            list_url("install", time="24h"),
        ),
        FigureCard(
            "Postbacks created",
            wording.number(total.total),
            "by your callback rules",
            list_url("postback", time="24h"),
        ),
        FigureCard(
            "Delivered",
            wording.number(total.delivered),
            "" if success is None else f"{wording.percent(success)} success rate",
            list_url("postback", status=PostbackStatus.DELIVERED, time="24h"),
        ),
        _pending(overview),
        FigureCard(
            "Failed",
            wording.number(total.failed),
            "given up" if total.failed else "none given up",
            list_url("postback", status=PostbackStatus.FAILED, time="24h"),
            tone="bad" if total.failed else "",
        ),
        FigureCard(
            "Skipped",
            wording.number(total.skipped),
            "decided not to send" if total.skipped else "",
            list_url("postback", status=PostbackStatus.SKIPPED, time="24h"),
        ),
        _delivery_time(overview),
    ]


def list_url(model: str, **filters: str) -> str:
    """Return the address of the admin's list of a model, filtered."""
    query = f"?{urlencode(filters)}" if filters else ""
    return reverse(f"admin:postbacks_{model}_changelist") + query


def _credit(volume: Volume) -> str:
    organic = volume.installs - volume.attributed
    shares = (
        f"{wording.number(volume.attributed)} attributed, {wording.number(organic)} organic"
        if volume.attributed
        else ""
    )
    change = wording.change(volume.installs, volume.installs_before)
    return " · ".join(filter(None, (shares, change)))


def _pending(overview: Overview) -> FigureCard:
    volume = overview.volume
    note, tone = "nothing in the queue", ""
    if volume.oldest_due_at:
        late = overview.now - volume.oldest_due_at
        note = "right now"
        if late > _LATE:
            note, tone = f"the first is {wording.span(late)} late", "busy"
        elif late < -_LATE:
            note = f"next try in {wording.span(-late)}"
    if volume.held:
        held = f"{wording.number(volume.held)} wait: their rule is off or suspended"
        if volume.held == 1:
            held = "1 waits: its rule is off or suspended"
        note = f"{note} · {held}" if volume.waiting else held
    url = list_url("postback", status=PostbackStatus.PENDING, time="30d")
    return FigureCard("Pending", wording.number(volume.waiting + volume.held), note, url, tone)


def _delivery_time(overview: Overview) -> FigureCard:
    delivery_time = overview.day.delivery_time
    if delivery_time is None:
        return FigureCard("Delivery time", "\N{EN DASH}", "nothing delivered yet")
    most = f"{wording.percent(95)} within {wording.seconds(delivery_time.most)}"
    return FigureCard("Delivery time", wording.seconds(delivery_time.median), f"median · {most}")
