"""The overview in words: failures and rules become rows that lead on, figures a flow and cards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.urls import reverse

from apps_registry.admin_base.permissions import membership_of
from postbacks.insights import wording
from postbacks.insights.figures import Figures
from postbacks.insights.overview import steps_chart
from postbacks.insights.overview.asked import PRESETS, AskedOverview, asked_overview
from postbacks.insights.overview.cards import FigureCard, cards
from postbacks.insights.overview.checklist import checklist
from postbacks.insights.overview.flow import RuleTrouble
from postbacks.insights.overview.log_links import events_url, list_url, postbacks_url, within
from postbacks.insights.overview.reading import (
    SHOWN_BODY_LENGTH,
    Earned,
    FailedPostback,
    Overview,
    read_overview,
)
from postbacks.insights.overview.steps_chart import StepsChart
from postbacks.models import CallbackRule, PostbackStatus, RuleStatus, SkipReason


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
class FlowPart:
    """A part of a stage's bar: where it begins and how long it is, in percent of the widest."""

    state: str
    left: float
    share: float


@dataclass(frozen=True, slots=True)
class FlowLink:
    """Some rows of a stage, with the address of the log that shows them."""

    figure: str
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class FlowStage:
    """One stage on the way from events to deliveries. `links` are there in place of a note."""

    label: str
    figure: str
    note: str
    parts: list[FlowPart]
    url: str = ""
    links: Sequence[FlowLink] = ()


@dataclass(frozen=True, slots=True)
class EarnedRow:
    """What a partner or campaign brought in, in words; `share` is in percent of the most."""

    name: str
    installs: str
    events: str
    revenue: str
    share: float
    url: str


@dataclass(frozen=True, slots=True)
class PeriodLink:
    """A period that the page offers."""

    text: str
    url: str
    is_shown: bool


@dataclass(frozen=True, slots=True)
class RuleLink:
    """A rule that needs somebody, with the address of its page."""

    rule: str
    url: str


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """The overview as the template shows it. `is_new`: no event ever came, there is nothing yet."""

    asked: AskedOverview
    periods: list[PeriodLink]
    period: str
    clock: str
    zone: str
    is_new: bool
    suspended: list[RuleLink]
    failing: list[RuleLink]
    holding: list[RuleLink]
    cards: list[FigureCard]
    flow: list[FlowStage]
    chart: StepsChart
    summary: str
    failures: list[FailureRow]
    failures_url: str
    troubles: list[RuleTroubleRow]
    partners: list[EarnedRow]
    campaigns: list[EarnedRow]


def overview_context(request: HttpRequest) -> dict[str, object]:
    """Return what the admin's first page shows: the request's organization in its time zone."""
    membership = membership_of(request)
    if membership is None:
        return {}
    zone = ZoneInfo(membership.organization.time_zone)
    now = datetime.now(UTC)
    scope = asked_overview(request.GET.dict(), now=now, zone=zone)
    overview = read_overview(
        now=now, zone=zone, asked=scope, currency=membership.organization.currency
    )
    return {
        "page": overview_page(overview),
        "steps": [] if overview.first_steps.complete else checklist(overview.first_steps, request),
        "steps_done": overview.first_steps.done,
    }


def overview_page(overview: Overview) -> OverviewPage:
    """Return an overview in words."""
    local = overview.now.astimezone(overview.zone)
    scope, figures = overview.asked, overview.figures
    chart = steps_chart.draw_steps(overview.steps, overview.zone)
    return OverviewPage(
        asked=scope,
        periods=[
            PeriodLink(preset.button, scope.of_preset(preset.key), preset.key == scope.key)
            for preset in PRESETS.values()
        ],
        period=scope.label,
        clock=wording.format_moment(local),
        zone=overview.zone.key,
        is_new=not overview.first_steps.event,
        suspended=[RuleLink(rule.name, _rule_url(rule)) for rule in overview.suspended],
        failing=[
            RuleLink(f"{rule} ({percent} % of the way)", _rule_url(rule))
            for rule, percent in overview.failing
        ],
        holding=[RuleLink(rule.name, _rule_url(rule)) for rule in overview.holding],
        cards=cards(overview),
        flow=_flow(overview),
        chart=chart,
        summary=(
            f"Postbacks {chart.rhythm}, {scope.label}: "
            f"{wording.number(figures.delivered)} delivered, "
            f"{wording.number(figures.failed)} failed, "
            f"{wording.number(figures.pending + figures.retrying)} pending, "
            f"{wording.number(figures.wanted - figures.owed)} skipped. "
            f"The table below has every {chart.unit}."
        ),
        failures=[_failure(failure, overview) for failure in overview.failures],
        failures_url=list_url("postback", status=PostbackStatus.FAILED, time="7d"),
        troubles=[_trouble(trouble, overview) for trouble in overview.troubles],
        partners=_earned(overview.partners, "apps_registry_partner", "Organic"),
        campaigns=_earned(overview.campaigns, "apps_registry_campaign", "No campaign"),
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
        url=_group_url(failure, overview)
        if is_group
        else reverse("admin:postbacks_postback_change", args=[failure.postback_id]),
    )


def _group_url(failure: FailedPostback, overview: Overview) -> str:
    """Return the log with exactly the postbacks of a group."""
    chosen = within(overview.asked, "app", "campaign")
    # What was given up has its reason beside it; of what is tried again the last try has it.
    name = "reason" if failure.status == PostbackStatus.FAILED else "error"
    filters = {
        "rule": str(failure.rule_id),
        "status": failure.status,
        "code": "none" if failure.status_code is None else str(failure.status_code),
        name: failure.error,
        "test": "no",
        **chosen,
        "since": failure.since.isoformat(),
        "until": overview.now.isoformat(),
    }
    return list_url("postback", **{key: value for key, value in filters.items() if value})


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


def _trouble(trouble: RuleTrouble, overview: Overview) -> RuleTroubleRow:
    rule = overview.rules[trouble.rule_id]
    counts = (
        f"{wording.number(trouble.failed)} failed" if trouble.failed else "",
        f"{wording.number(trouble.retrying)} trying again" if trouble.retrying else "",
        f"{wording.number(trouble.delivered)} delivered",
        f"most often: {wording.answer(trouble.answer)}" if trouble.answer else "",
    )
    return RuleTroubleRow(
        rule=rule.name,
        partner=rule.partner.name if rule.partner else "",
        words=" · ".join(filter(None, counts)),
        percent=wording.percent(trouble.success_percent),
        percent_drawn=trouble.success_percent,
        url=list_url(
            "postback",
            **within(overview.asked, "app", "campaign"),
            rule=str(trouble.rule_id),
            test="no",
        ),
    )


def _flow(overview: Overview) -> list[FlowStage]:
    """Return the way from events to deliveries. Each figure leads to the rows that it counts."""
    figures, scope = overview.figures, overview.asked
    widest = max(overview.events, figures.wanted, 1)
    skipped, waiting = figures.wanted - figures.owed, figures.pending + figures.retrying

    def parts(*counts: tuple[str, int]) -> list[FlowPart]:
        drawn, left = [], 0.0
        for state, count in counts:
            share = 100 * count / widest
            drawn.append(FlowPart(state, left, share))
            left += share
        return drawn

    return [
        FlowStage(
            "Events",
            wording.number(overview.events),
            "received",
            parts(("events", overview.events)),
            events_url(scope),
        ),
        FlowStage(
            "Wanted",
            wording.number(figures.wanted),
            "postbacks that your rules made of them: two rules may want one event",
            parts(("owed", figures.owed), ("skipped", skipped)),
            postbacks_url(scope),
        ),
        FlowStage(
            "Skipped",
            wording.number(skipped),
            "nothing was left out",
            parts(("hidden", figures.owed), ("skipped", skipped)),
            postbacks_url(scope, PostbackStatus.SKIPPED),
            links=_skipped_links(figures, scope),
        ),
        FlowStage(
            "Owed",
            wording.number(figures.owed),
            "nothing to send",
            parts(
                ("delivered", figures.delivered), ("pending", waiting), ("failed", figures.failed)
            ),
            links=[
                FlowLink(wording.number(count), label, postbacks_url(scope, status, attempts=tries))
                for count, label, status, tries in (
                    (figures.delivered, "delivered", PostbackStatus.DELIVERED, ""),
                    (figures.retrying, "retrying", PostbackStatus.PENDING, "1+"),
                    (figures.pending, "not tried yet", PostbackStatus.PENDING, "0"),
                    (figures.failed, "failed", PostbackStatus.FAILED, ""),
                )
                if count or status != PostbackStatus.PENDING
            ],
        ),
    ]


def _skipped_links(figures: Figures, scope: AskedOverview) -> list[FlowLink]:
    """Return each reason with its rows, the most frequent first."""
    reasons = sorted(figures.skipped.items(), key=lambda reason: (-reason[1], reason[0]))
    return [
        FlowLink(
            wording.number(count),
            wording.lower_first(reason_words(code)),
            postbacks_url(scope, PostbackStatus.SKIPPED, reason=code),
        )
        for code, count in reasons
    ]


def reason_words(reason: str) -> str:
    """Return why a postback was skipped, as the log says it, without the remedy."""
    try:
        label = str(SkipReason(reason).label)
    except ValueError:
        return reason
    return label.partition(";")[0].partition(",")[0]


def _earned(rows: Sequence[Earned], model: str, nobody: str) -> list[EarnedRow]:
    most = max((max(row.revenue.amount, Decimal(0)) for row in rows), default=Decimal(0))
    return [
        EarnedRow(
            name=row.name or nobody,
            installs=wording.number(row.installs),
            events=wording.number(row.events),
            revenue=str(row.revenue),
            share=float(100 * max(row.revenue.amount, Decimal(0)) / most) if most else 0.0,
            url=reverse(f"admin:{model}_change", args=[row.id]) if row.name else "",
        )
        for row in rows
    ]
