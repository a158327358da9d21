"""The overview in words: figures become cards, failures and rules become lines that lead on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.urls import reverse

from postbacks.insights import hours_chart, wording
from postbacks.insights.hours_chart import HoursChart
from postbacks.insights.last_day import RuleTrouble
from postbacks.insights.newest_failures import SHOWN_OF_BODY, FailedPostback
from postbacks.insights.overview import Overview
from postbacks.insights.overview_cards import Card, cards
from postbacks.models import CallbackRule, PostbackStatus, RuleStatus


@dataclass(frozen=True, slots=True)
class FailureLine:
    """This is a failure, or a group of like ones, as people read it. `subject` is what failed."""

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
class TroubleLine:
    """This is one of the rules with most failures, as people read it."""

    rule: str
    partner: str
    words: str
    percent: str
    percent_drawn: float
    url: str


@dataclass(frozen=True, slots=True)
class SuspendedLine:
    """This is a rule that no longer sends, and where its page is."""

    rule: str
    url: str


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """This is what the template shows of an overview."""

    clock: str
    zone: str
    is_new: bool
    suspended: list[SuspendedLine]
    cards: list[Card]
    chart: HoursChart
    summary: str
    failures: list[FailureLine]
    failures_url: str
    troubles: list[TroubleLine]


def overview_page(overview: Overview) -> OverviewPage:
    """Return an overview in words. `is_new` says that no event ever came: there is nothing yet."""
    local = overview.now.astimezone(overview.zone)
    day = overview.day.total
    return OverviewPage(
        clock=wording.format_moment(local),
        zone=overview.zone.key,
        is_new=not overview.steps.event,
        suspended=[SuspendedLine(it.name, _rule_url(it)) for it in overview.suspended],
        cards=cards(overview),
        chart=hours_chart.draw(overview.day.hours, overview.zone),
        summary=(
            f"Postbacks by hour, last 24 hours: {wording.number(day.delivered)} delivered, "
            f"{wording.number(day.failed)} failed, {wording.number(day.pending)} pending, "
            f"{wording.number(day.skipped)} skipped. The table below has every hour."
        ),
        failures=[_failure(failure, overview) for failure in overview.failures],
        failures_url=log_url(status=PostbackStatus.FAILED, time="7d"),
        troubles=[_trouble(it, overview.rules) for it in overview.day.troubles],
    )


def log_url(**filters: str) -> str:
    """Return the address of the delivery log, filtered."""
    query = f"?{urlencode(filters)}" if filters else ""
    return reverse("admin:postbacks_postback_changelist") + query


def _failure(failure: FailedPostback, overview: Overview) -> FailureLine:
    rule = overview.rules[failure.rule_id]
    body = " ".join((failure.body or "").split())
    answer = wording.answer(failure.error, failure.status_code)
    is_group = failure.count > 1
    return FailureLine(
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
        body=body if len(body) <= SHOWN_OF_BODY else f"{body[:SHOWN_OF_BODY]}…",
        outlook=_outlook(failure, rule, overview),
        given_up=failure.status == PostbackStatus.FAILED,
        url=_group_url(failure)
        if is_group
        else reverse("admin:postbacks_postback_change", args=[failure.postback_id]),
    )


def _group_url(failure: FailedPostback) -> str:
    code = "none" if failure.status_code is None else str(failure.status_code)
    return log_url(rule=str(failure.rule_id), status=failure.status, code=code, time="7d")


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


def _trouble(trouble: RuleTrouble, rules: Mapping[int, CallbackRule]) -> TroubleLine:
    rule = rules[trouble.rule_id]
    words = (
        f"{wording.number(trouble.failed)} failed" if trouble.failed else "",
        f"{wording.number(trouble.retrying)} trying again" if trouble.retrying else "",
        f"{wording.number(trouble.delivered)} delivered",
        f"most often: {wording.answer(trouble.answer)}",
    )
    return TroubleLine(
        rule=rule.name,
        partner=rule.partner.name if rule.partner else "",
        words=" · ".join(filter(None, words)),
        percent=wording.percent(trouble.success_percent),
        percent_drawn=trouble.success_percent,
        url=log_url(rule=str(trouble.rule_id), time="24h"),
    )
