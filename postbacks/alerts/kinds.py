"""The five kinds of alerts: what each watches, by which limits, and what a new one begins with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from postbacks.alerts.judging import (
    DAYS_COMPARED,
    FEWEST_ATTEMPTS,
    FEWEST_EVENTS,
    LEVELS,
    Limits,
)
from postbacks.models import Alert, AlertKind, AlertTopic, JumpDirection
from postbacks.models.alerts import LONGEST_MINUTES

SCOPES = ("rule", "partner", "app")  # the fields that narrow what an alert watches


@dataclass(frozen=True, slots=True)
class LimitField:
    """A number of a kind, with its bounds and what a form says of it."""

    label: str
    help: str
    least: int
    most: int
    choices: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class KindOfAlert:
    """One kind. `scopes` are the fields that narrow what is watched; at most one of them is set.

    `well_for` is how long all must be well before an incident is over, so that a value that moves
    around its limit does not notify anew each minute.
    """

    kind: AlertKind
    title: str
    explained: str
    example: str
    scopes: tuple[str, ...]
    subject: str  # what is watched without a scope, one by one
    threshold: LimitField | None = None
    minutes: LimitField | None = None
    has_direction: bool = False
    defaults: Mapping[str, object] = field(default_factory=dict)
    well_for: timedelta = timedelta(0)
    raised: AlertTopic = AlertTopic.RAISED
    cleared: AlertTopic = AlertTopic.CLEARED

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the fields of an alert that count for this kind."""
        return (
            *self.scopes,
            *(("threshold",) if self.threshold else ()),
            *(("minutes",) if self.minutes else ()),
            *(("direction",) if self.has_direction else ()),
        )


KINDS: Mapping[AlertKind, KindOfAlert] = {
    kind.kind: kind
    for kind in (
        KindOfAlert(
            AlertKind.SUCCESS_RATE,
            title="Postbacks to a partner fail",
            explained="The share of requests that a partner answers with success falls below a "
            "limit.",
            example="for example fewer than 90 % during 15 minutes",
            scopes=("rule", "partner"),
            subject="rule",
            threshold=LimitField(
                "Fewer than (percent)",
                f"Of all requests, retries too, for example 90. With fewer than {FEWEST_ATTEMPTS} "
                "requests in the time below a rate says nothing, and nothing changes.",
                1,
                100,
            ),
            minutes=LimitField(
                "During (minutes)",
                "Over how long the rate is taken, for example 15. Take longer for rules that send "
                f"seldom, up to {LONGEST_MINUTES:,}.",
                5,
                LONGEST_MINUTES,
            ),
            defaults={"name": "Postbacks fail", "threshold": 90, "minutes": 15},
            well_for=timedelta(minutes=5),
        ),
        KindOfAlert(
            AlertKind.NO_EVENTS,
            title="An app sends no events",
            explained="An app that sent events this week has been silent for a while.",
            example="for example for 60 minutes, after a release with a wrong key",
            scopes=("app",),
            subject="app",
            minutes=LimitField(
                "For (minutes)",
                "For how long no event came, for example 60. Take longer for an app that few "
                "people use at night. An app without events for a week is not in use, and raises "
                "nothing.",
                5,
                LONGEST_MINUTES,
            ),
            defaults={"name": "No events from an app", "minutes": 60},
        ),
        KindOfAlert(
            AlertKind.VOLUME_JUMP,
            title="Many more or fewer events than usual",
            explained="An hour has far more or far fewer events than the same hour of the days "
            "before.",
            example="for example half as many again, or half as many",
            scopes=("app",),
            subject="app",
            threshold=LimitField(
                "By at least (percent)",
                f"Compared with the middle of the same hour of the last {DAYS_COMPARED} days, for "
                "example 50: 150 or 50 events in place of 100. Counts below "
                f"{FEWEST_EVENTS} events an hour say nothing.",
                10,
                1_000,
            ),
            has_direction=True,
            defaults={
                "name": "Unusual number of events",
                "threshold": 50,
                "direction": JumpDirection.EITHER.value,
            },
            well_for=timedelta(minutes=5),
        ),
        KindOfAlert(
            AlertKind.RULE_SUSPENDED,
            title="A rule fails for days, or is suspended",
            explained="A rule delivers nothing any more: you hear of it at 50, 70 and 90 % of the "
            "way to its suspension, and when it is suspended.",
            example="or at once, when a partner answers that an address is gone",
            scopes=("rule", "partner", "app"),
            subject="rule",
            threshold=LimitField(
                "Tell from (percent of the way)",
                "A rule that delivers nothing for five days, with at least twenty postbacks given "
                "up, is suspended. 50 tells you at 50, 70, 90 and 100 %; 100 only when it is "
                "suspended.",
                50,
                100,
                LEVELS,
            ),
            defaults={"name": "A rule is failing or suspended", "threshold": 50},
            raised=AlertTopic.RULE_FAILING,
            cleared=AlertTopic.RULE_RECOVERED,
        ),
        KindOfAlert(
            AlertKind.BREAKER_OPEN,
            title="A partner's server does not answer",
            explained="A circuit breaker is open: a partner's host fails again and again, and its "
            "postbacks wait until it answers.",
            example="for example for 5 minutes",
            scopes=("rule", "partner"),
            subject="host",
            minutes=LimitField(
                "For (minutes)",
                "How long the breaker must be open, for example 5, so that a short failure wakes "
                "nobody.",
                1,
                LONGEST_MINUTES,
            ),
            defaults={"name": "A partner does not answer", "minutes": 5},
            raised=AlertTopic.BREAKER_OPENED,
            cleared=AlertTopic.BREAKER_CLOSED,
        ),
    )
}


def kind_of(alert: Alert) -> KindOfAlert:
    return KINDS[AlertKind(alert.kind)]


def limits_of(alert: Alert) -> Limits:
    """Return an alert's limits as its judge takes them."""
    direction = JumpDirection(alert.direction)
    return Limits(
        alert.threshold or 0,
        alert.minutes or 0,
        counts_rises=direction is not JumpDirection.DROP,
        counts_drops=direction is not JumpDirection.RISE,
    )


def topic_of(kind: KindOfAlert, level: int) -> AlertTopic:
    """Return the topic of the notices of an incident of a level."""
    is_suspended = kind.kind is AlertKind.RULE_SUSPENDED and level == LEVELS[-1]
    return AlertTopic.RULE_SUSPENDED if is_suspended else kind.raised
