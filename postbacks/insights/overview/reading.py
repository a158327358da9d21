"""The last 24 hours of an organization: figures, hours, and failures with the partner's answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef, Q

from postbacks.delivery.lasting_failure import WARNINGS, current_failure, percent_of_way
from postbacks.delivery.outcome import Outcome
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import fetch_row, fetch_rows
from postbacks.insights.overview.checklist import FirstSteps, read_first_steps
from postbacks.insights.overview.last_day import LastDay, clock_hours, read_last_day
from postbacks.models import (
    CallbackRule,
    HeldPostback,
    HeldReason,
    PostbackJob,
    PostbackStatus,
    RuleStatus,
)

SHOWN_BODY_LENGTH = 200
_DAY = timedelta(hours=24)
_FAILURE_LOOKBACK = timedelta(days=4)  # after some 73 hours the usual retries have ended
_MOST_ATTEMPTS = 500  # failed attempts of the newest events; some got through after all

_READ_VOLUME = load_sql("postbacks.insights.overview", "read_volume")
_READ_FAILURES = load_sql(
    "postbacks.insights.overview", "read_newest_failures", Outcome, PostbackStatus
)


@dataclass(frozen=True, slots=True)
class Volume:
    """A day's events and installs, those of the day before, and the queue right now.

    `oldest_due_at` is when the postback at the head of the queue was or will be due. `held` ones
    are outside of it, since their rule is off or was suspended.
    """

    events: int
    events_before: int
    installs: int
    attributed: int
    installs_before: int
    waiting: int
    oldest_due_at: datetime | None
    held: int


@dataclass(frozen=True, slots=True)
class FailedPostback:
    """The newest of `count` postbacks of one rule whose last attempt failed in the same way.

    `next_attempt_at` is None once it was given up. `body` is the beginning of the partner's answer,
    one character longer than pages show, so that they can mark a cut.
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


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the first page shows.

    `rules` has each rule with a failure by id, every one that is suspended or on its way there,
    and every one whose held postbacks nobody has sent or dropped yet.
    """

    now: datetime
    zone: ZoneInfo
    steps: FirstSteps
    volume: Volume
    day: LastDay
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


def read_overview(*, now: datetime, zone: ZoneInfo) -> Overview:
    """Read the 24 hours before `now` in five statements, for the current organization.

    Each statement names the days that it needs, so that PostgreSQL reads their partitions alone.
    """
    since = now - _DAY
    day = read_last_day(clock_hours(since, now, zone))
    failures = read_newest_failures(now)
    failing = {trouble.rule_id for trouble in day.troubles}
    failing |= {failure.rule_id for failure in failures}
    return Overview(
        now=now,
        zone=zone,
        steps=read_first_steps(),
        volume=_read_volume(since, now),
        day=day,
        failures=failures,
        rules={rule.pk: rule for rule in _rules(failing)},
    )


def read_newest_failures(now: datetime, limit: int = 5) -> list[FailedPostback]:
    """Read the newest failures among the events of the last four days, alike ones in one group."""
    return fetch_rows(
        FailedPostback,
        _READ_FAILURES,
        since=now - _FAILURE_LOOKBACK,
        until=now,
        limit=limit,
        body_length=SHOWN_BODY_LENGTH + 1,
        most_attempts=_MOST_ATTEMPTS,
    )


def _read_volume(since: datetime, until: datetime) -> Volume:
    before = since - (until - since)
    return fetch_row(Volume, _READ_VOLUME, before=before, since=since, until=until)


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
