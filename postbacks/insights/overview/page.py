"""The overview in words: figures become cards, failures and rules become rows that lead on.

Each card leads to the rows that it counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.urls import reverse

from apps_registry.admin_base.permissions import membership_of
from postbacks.insights import wording
from postbacks.insights.figures import Figures
from postbacks.insights.overview import steps_chart
from postbacks.insights.overview.asked import PRESETS, AskedOverview, asked_overview
from postbacks.insights.overview.checklist import checklist
from postbacks.insights.overview.flow import RuleTrouble
from postbacks.insights.overview.reading import (
    SHOWN_BODY_LENGTH,
    Earned,
    FailedPostback,
    Overview,
    read_overview,
)
from postbacks.insights.overview.steps_chart import StepsChart
from postbacks.models import CallbackRule, PostbackStatus, RuleStatus, SkipReason

_LATE = timedelta(minutes=1)
_NOTABLE_POINTS = 0.1
_BAD_PERCENT = 95


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
            f"Postbacks by {chart.unit}, {scope.label}: "
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
    chosen = _within(overview.asked, "app", "campaign")
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
            **_within(overview.asked, "app", "campaign"),
            rule=str(trouble.rule_id),
            test="no",
        ),
    )


def cards(overview: Overview) -> list[FigureCard]:
    """Return the figures in the order in which things happen, each beside the period before."""
    figures, before, scope = overview.figures, overview.before, overview.asked
    return [
        FigureCard(
            "Events received",
            wording.number(figures.events),
            _change(figures.events, before.events, scope),
            "" if scope.only.partner else _events_url(scope),
        ),
        FigureCard(
            "Installs", wording.number(figures.installs), _credit(overview), _installs_url(scope)
        ),
        FigureCard(
            "Revenue",
            str(overview.revenue),
            _revenue_note(overview),
        ),
        FigureCard(
            "Delivered",
            wording.number(figures.delivered),
            _change(figures.delivered, before.delivered, scope),
            _postbacks_url(scope, PostbackStatus.DELIVERED),
        ),
        _success(overview),
        _delivery_time(overview),
        _attempts(overview),
        _pending(overview),
    ]


def _revenue_note(overview: Overview) -> str:
    revenue, before = overview.revenue, overview.revenue_before
    change = _change(round(revenue.amount), round(before.amount), overview.asked)
    return " · ".join(filter(None, (change, revenue.note)))


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
            _events_url(scope),
        ),
        FlowStage(
            "Wanted",
            wording.number(figures.wanted),
            "postbacks that your rules made of them: two rules may want one event",
            parts(("owed", figures.owed), ("skipped", skipped)),
            _postbacks_url(scope),
        ),
        FlowStage(
            "Skipped",
            wording.number(skipped),
            "nothing was left out",
            parts(("hidden", figures.owed), ("skipped", skipped)),
            _postbacks_url(scope, PostbackStatus.SKIPPED),
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
                FlowLink(
                    wording.number(count), label, _postbacks_url(scope, status, attempts=tries)
                )
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


def _skipped_links(figures: Figures, asked: AskedOverview) -> list[FlowLink]:
    """Return each reason with its rows, the most frequent first."""
    reasons = sorted(figures.skipped.items(), key=lambda each: (-each[1], each[0]))
    return [
        FlowLink(
            wording.number(count),
            wording.lower_first(reason_words(code)),
            _postbacks_url(asked, PostbackStatus.SKIPPED, reason=code),
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


def _change(count: int, before: int, asked: AskedOverview) -> str:
    return wording.change(count, before, asked.previous_name)


def _within(asked: AskedOverview, *names: str) -> dict[str, str]:
    """Return the filters of a log that leave what the period counts, of those that it has."""
    values = {"since": asked.of.since.isoformat(), "until": asked.of.until.isoformat()}
    chosen = {choice.name: choice.chosen for choice in asked.filters if choice.name in names}
    return values | {name: value for name, value in chosen.items() if value}


def _postbacks_url(asked: AskedOverview, status: str = "", **more: str) -> str:
    filters = {name: value for name, value in {"status": status, **more}.items() if value}
    within = _within(asked, "app", "partner", "campaign", "rule")
    return list_url("postback", **filters, **within, test="no")


def _events_url(asked: AskedOverview) -> str:
    """Return the log with the events of a period; empty where it can't say who was credited."""
    return "" if asked.only.campaign else list_url("event", **_within(asked, "app"))


def _installs_url(asked: AskedOverview) -> str:
    return list_url("install", **_within(asked, "app", "partner", "campaign"))


def list_url(model: str, **filters: str) -> str:
    """Return the address of the admin's list of a model, filtered."""
    query = f"?{urlencode(filters)}" if filters else ""
    return reverse(f"admin:postbacks_{model}_changelist") + query


def _credit(overview: Overview) -> str:
    installs, attributed = overview.figures.installs, overview.figures.attributed
    shares = (
        f"{wording.number(attributed)} attributed, {wording.number(installs - attributed)} organic"
        if attributed
        else ""
    )
    change = _change(installs, overview.before.installs, overview.asked)
    return " · ".join(filter(None, (shares, change)))


def _success(overview: Overview) -> FigureCard:
    success, before = overview.figures.success_percent, overview.before.success_percent
    failed = overview.figures.failed
    if success is None:
        return FigureCard("Success rate", "\N{EN DASH}", "no postback has ended")
    notes = [f"{wording.number(failed)} given up" if failed else "none given up"]
    if before is not None and abs(success - before) >= _NOTABLE_POINTS:
        sign = "+" if success > before else "\N{MINUS SIGN}"
        notes.append(f"{sign}{abs(success - before):.1f} points to {overview.asked.previous_name}")
    return FigureCard(
        "Success rate",
        wording.percent(success),
        " · ".join(notes),
        _postbacks_url(overview.asked, PostbackStatus.FAILED) if failed else "",
        tone="bad" if success < _BAD_PERCENT else "",
    )


def _attempts(overview: Overview) -> FigureCard:
    attempts = overview.figures.attempts_per_delivery
    if attempts is None:
        return FigureCard("Attempts per delivery", "\N{EN DASH}", "nothing delivered yet")
    total = overview.figures.attempts
    noun = "request was" if total == 1 else "requests were"
    return FigureCard(
        "Attempts per delivery", f"{attempts:.2f}", f"{wording.number(total)} {noun} sent"
    )


def _pending(overview: Overview) -> FigureCard:
    queue = overview.queue
    note, tone = "nothing in the queue", ""
    if queue.oldest_due_at:
        late = overview.now - queue.oldest_due_at
        note = "right now"
        if late > _LATE:
            note, tone = f"the first is {wording.span(late)} late", "busy"
        elif late < -_LATE:
            note = f"next try in {wording.span(-late)}"
    if queue.held:
        held = f"{wording.number(queue.held)} wait: their rule is off or suspended"
        if queue.held == 1:
            held = "1 waits: its rule is off or suspended"
        note = f"{note} · {held}" if queue.waiting else held
    url = list_url("postback", status=PostbackStatus.PENDING, time="30d")
    return FigureCard("Pending", wording.number(queue.waiting + queue.held), note, url, tone)


def _delivery_time(overview: Overview) -> FigureCard:
    median, most, nearly_all = (
        overview.figures.delivery_seconds(share) for share in (0.5, 0.95, 0.99)
    )
    if median is None or most is None or nearly_all is None:
        return FigureCard("Delivery time", "\N{EN DASH}", "nothing delivered yet")
    note = f"median · 95\N{NO-BREAK SPACE}% within {wording.seconds(most)}"
    return FigureCard(
        "Delivery time",
        wording.seconds(median),
        f"{note}, 99\N{NO-BREAK SPACE}% within {wording.seconds(nearly_all)}",
    )
