"""A period of an organization: figures, steps, and failures with the partner's answer.

All but the queue and the newest failures comes from figures: no log is counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef, Q

from apps_registry.models import Campaign, Partner
from apps_registry.tenancy import TenantModel
from postbacks.callbacks.currency.conversion import USD
from postbacks.delivery.lasting_failure import WARNINGS, current_failure, percent_of_way
from postbacks.delivery.outcome import Outcome
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import fetch_row, fetch_rows
from postbacks.insights.figure_parts import Subject
from postbacks.insights.figures import FigureFilter, Figures, read_figures, revenues, sum_up
from postbacks.insights.overview.asked import AskedOverview, asked_overview
from postbacks.insights.overview.checklist import FirstSteps, read_first_steps
from postbacks.insights.overview.flow import (
    RuleTrouble,
    StepTally,
    most_troubled,
    tally_steps,
)
from postbacks.insights.revenue import Revenue
from postbacks.models import (
    CallbackRule,
    FigureKind,
    HeldPostback,
    HeldReason,
    PostbackJob,
    PostbackStatus,
    RuleStatus,
)

SHOWN_BODY_LENGTH = 200
_MOST_EARNERS = 8
_FAILURE_LOOKBACK = timedelta(days=4)  # after some 73 hours the usual retries have ended
_MOST_ATTEMPTS = 500  # failed attempts of the newest events; some got through after all

_READ_QUEUE = load_sql("postbacks.insights.overview", "read_queue")
_READ_FAILURES = load_sql(
    "postbacks.insights.overview", "read_newest_failures", Outcome, PostbackStatus
)


@dataclass(frozen=True, slots=True)
class QueueNow:
    """What waits to be sent right now, whatever the period.

    `oldest_due_at` is when the postback at the head of the queue was or will be due. `held` ones
    are outside of it, since their rule is off or was suspended.
    """

    waiting: int
    oldest_due_at: datetime | None
    held: int


@dataclass(frozen=True, slots=True)
class Earned:
    """What a partner or campaign brought in. `name` is empty for what nobody earned."""

    id: int
    name: str
    installs: int
    events: int
    revenue: Revenue


@dataclass(frozen=True, slots=True)
class FailedPostback:
    """The newest of `count` postbacks of one rule whose last attempt failed in the same way.

    `next_attempt_at` is None once it was given up. `body` is the beginning of the partner's answer,
    one character longer than pages show, so that they can mark a cut. `since` is when the first
    event of the group arrived.
    """

    postback_id: int
    rule_id: int
    event_name: str
    status: str
    next_attempt_at: datetime | None
    tried_at: datetime
    number: int
    status_code: int | None
    error: str
    detail: str
    body: str | None
    count: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the first page shows.

    `rules` has each rule with a failure by id, every one that is suspended or on its way there,
    and every one whose held postbacks nobody has sent or dropped yet.
    """

    now: datetime
    zone: ZoneInfo
    asked: AskedOverview
    first_steps: FirstSteps
    queue: QueueNow
    figures: Figures
    before: Figures
    events: int  # before any rule: those of a filtered partner's rules are all events
    revenue: Revenue
    revenue_before: Revenue
    steps: list[StepTally]
    troubles: list[RuleTrouble]
    partners: list[Earned]
    campaigns: list[Earned]
    failures: list[FailedPostback]
    rules: Mapping[int, CallbackRule]

    @property
    def failing(self) -> list[tuple[CallbackRule, int]]:
        """Return the rules that are half way to their suspension, and how far in percent."""
        on_their_way = [
            (rule, percent_of_way(failure.failing_since, failure.given_up, self.now))
            for rule in self.rules.values()
            if rule.status == RuleStatus.ACTIVE
            and (failure := current_failure(rule))
            and failure.failing_since
        ]
        half_way = [(rule, percent) for rule, percent in on_their_way if percent >= WARNINGS[0]]
        return sorted(half_way, key=lambda each: each[0].name)

    @property
    def suspended(self) -> list[CallbackRule]:
        """Return the rules that no longer send because their partner says it is gone."""
        suspended = [rule for rule in self.rules.values() if rule.status == RuleStatus.SUSPENDED]
        return sorted(suspended, key=lambda rule: rule.name)

    @property
    def holding(self) -> list[CallbackRule]:
        """Return the rules that are suspended no more and still hold postbacks."""
        others = {RuleStatus.SUSPENDED, RuleStatus.ARCHIVED}
        holding = [
            rule
            for rule in self.rules.values()
            if rule.status not in others and rule.holds  # type: ignore[attr-defined]  # annotated
        ]
        return sorted(holding, key=lambda rule: rule.name)


def read_overview(
    *, now: datetime, zone: ZoneInfo, asked: AskedOverview | None = None, currency: str = USD
) -> Overview:
    """Read a period in a few statements, whatever it holds, for the current organization."""
    asked = asked or asked_overview({}, now=now, zone=zone)
    only, whole = asked.only, asked.total
    by_step = read_figures(asked.of, only=only)
    figures = sum_up(by_step.values())
    before = read_figures(asked.before, only=only).get((0, "")) or Figures()
    flow, earning = (
        (FigureKind.POSTBACK, FigureKind.ATTEMPT),
        (FigureKind.EVENT, FigureKind.INSTALL),
    )
    by_rule = read_figures(whole, by=Subject.RULE, only=only, kinds=flow)
    by_partner = read_figures(whole, by=Subject.PARTNER, only=only, kinds=earning)
    by_campaign = read_figures(whole, by=Subject.CAMPAIGN, only=only, kinds=earning)
    all_events = figures
    if only.partner is not None:  # whose rules could want each event, whoever earned it
        of_everybody = replace(only, partner=None)
        all_events = sum_up(
            read_figures(whole, only=of_everybody, kinds=(FigureKind.EVENT,)).values()
        )
    earners = [*by_partner.values(), *by_campaign.values()]
    revenue, revenue_before, *earned = revenues(
        [figures, before, *earners], now=now, currency=currency
    )
    troubles = most_troubled(by_rule)
    failures = read_newest_failures(now, only=only)
    failing = {trouble.rule_id for trouble in troubles}
    failing |= {failure.rule_id for failure in failures}
    return Overview(
        now=now,
        zone=zone,
        asked=asked,
        first_steps=read_first_steps(),
        queue=fetch_row(QueueNow, _READ_QUEUE),
        figures=figures,
        before=before,
        events=all_events.events,
        revenue=revenue,
        revenue_before=revenue_before,
        steps=tally_steps(asked.of, by_step),
        troubles=troubles,
        partners=_earned(Partner, by_partner, earned[: len(by_partner)]),
        campaigns=_earned(Campaign, by_campaign, earned[len(by_partner) :]),
        failures=failures,
        rules={rule.pk: rule for rule in _rules(failing)},
    )


def read_newest_failures(
    now: datetime, limit: int = 5, *, only: FigureFilter | None = None
) -> list[FailedPostback]:
    """Read the newest failures among the events of the last four days, alike ones in one group."""
    only = only or FigureFilter()
    return fetch_rows(
        FailedPostback,
        _READ_FAILURES,
        since=now - _FAILURE_LOOKBACK,
        until=now,
        limit=limit,
        body_length=SHOWN_BODY_LENGTH + 1,
        most_attempts=_MOST_ATTEMPTS,
        app=only.app,
        rule=only.rule,
        partner=only.partner,
        campaign=only.campaign,
    )


def _earned(
    model: type[TenantModel],
    figures: Mapping[tuple[int, str], Figures],
    revenue: Sequence[Revenue],
) -> list[Earned]:
    """Return those who brought in most, and last what nobody earned."""
    names = dict(_names(model, [int(subject) for _, subject in figures]))
    earned = [
        Earned(int(subject), names.get(int(subject), ""), part.installs, part.events, money)
        for ((_, subject), part), money in zip(figures.items(), revenue, strict=True)
    ]
    earned.sort(key=lambda each: (not each.name, -each.revenue.amount, -each.installs, each.name))
    named = [each for each in earned if each.name]
    return [*named[:_MOST_EARNERS], *(each for each in earned if not each.name)]


def _names(model: type[TenantModel], ids: Sequence[int]) -> list[tuple[int, str]]:
    manager: Any = model.objects
    return list(manager.filter(pk__in=ids).values_list("pk", "name"))


def _rules(ids: set[int]) -> list[CallbackRule]:
    of_rule = {"rule": OuterRef("pk"), "reason": HeldReason.RULE_SUSPENDED}
    held_postbacks = HeldPostback.objects.filter(**of_rule)
    running = PostbackJob.objects.filter(**of_rule, finished_at=None)
    return list(
        CallbackRule.objects.annotate(holds=Exists(held_postbacks) & ~Exists(running))
        .filter(
            Q(pk__in=ids)
            | Q(status=RuleStatus.SUSPENDED)
            | Q(holds=True)
            | Q(failure__failing_since__isnull=False)
        )
        .select_related("partner", "failure")
        .only(
            *("name", "status", "version", "judged_since", "partner__name"),
            *("failure__version", "failure__failing_since", "failure__given_up"),
        )
    )
