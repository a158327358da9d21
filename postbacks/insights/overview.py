"""The last 24 hours of an organization: figures, hours, failures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Q

from postbacks.insights.clock_hours import clock_hours
from postbacks.insights.first_steps import FirstSteps, read_first_steps
from postbacks.insights.last_day import LastDay, read_last_day
from postbacks.insights.newest_failures import FailedPostback, read_newest_failures
from postbacks.insights.volume import Volume, read_volume
from postbacks.models import CallbackRule, RuleStatus

_DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Overview:
    """This is all that the first page says.

    `rules` has each rule that is spoken of, by id; suspended ones always are.
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
        found = [rule for rule in self.rules.values() if rule.status == RuleStatus.SUSPENDED]
        return sorted(found, key=lambda rule: rule.name)


def read_overview(*, now: datetime, zone: ZoneInfo) -> Overview:
    """Read the 24 hours before `now` in five statements, for the current organization.

    Each statement names the days that it wants, so that PostgreSQL reads their partitions alone.
    """
    since = now - _DAY
    day = read_last_day(clock_hours(since, now, zone))
    failures = read_newest_failures(now)
    spoken_of = {it.rule_id for it in day.troubles} | {it.rule_id for it in failures}
    return Overview(
        now=now,
        zone=zone,
        steps=read_first_steps(),
        volume=read_volume(since, now),
        day=day,
        failures=failures,
        rules={rule.pk: rule for rule in _rules(spoken_of)},
    )


def _rules(ids: set[int]) -> list[CallbackRule]:
    return list(
        CallbackRule.objects.filter(Q(pk__in=ids) | Q(status=RuleStatus.SUSPENDED))
        .select_related("partner")
        .only("name", "status", "partner__name")
    )
