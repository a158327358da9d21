"""The last 24 hours of an organization: figures, hours and failures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Q

from postbacks.infrastructure.database.prepared import load_sql
from postbacks.insights.overview.checklist import FirstSteps, read_first_steps
from postbacks.insights.overview.last_day import LastDay, clock_hours, read_last_day
from postbacks.insights.overview.newest_failures import FailedPostback, read_newest_failures
from postbacks.insights.statements import fetch_row
from postbacks.models import CallbackRule, RuleStatus

_DAY = timedelta(hours=24)

_READ_VOLUME = load_sql("postbacks.insights.overview", "read_volume")


@dataclass(frozen=True, slots=True)
class Volume:
    """A day's events and installs, those of the day before, and the queue right now.

    `oldest_due_at` is when the postback at the head of the queue was or will be due.
    """

    events: int
    events_before: int
    installs: int
    attributed: int
    installs_before: int
    waiting: int
    oldest_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the first page shows.

    `rules` has each rule with a failure by id, and every suspended one.
    """

    now: datetime
    zone: ZoneInfo
    steps: FirstSteps
    volume: Volume
    day: LastDay
    failures: list[FailedPostback]
    rules: Mapping[int, CallbackRule]

    @property
    def suspended(self) -> list[CallbackRule]:
        """Return the rules that no longer send because their partner says it is gone."""
        suspended = [rule for rule in self.rules.values() if rule.status == RuleStatus.SUSPENDED]
        return sorted(suspended, key=lambda rule: rule.name)


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


def _read_volume(since: datetime, until: datetime) -> Volume:
    before = since - (until - since)
    return fetch_row(Volume, _READ_VOLUME, before=before, since=since, until=until)


def _rules(ids: set[int]) -> list[CallbackRule]:
    return list(
        CallbackRule.objects.filter(Q(pk__in=ids) | Q(status=RuleStatus.SUSPENDED))
        .select_related("partner")
        .only("name", "status", "partner__name")
    )
