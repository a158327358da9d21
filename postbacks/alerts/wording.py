"""Says in plain words what an alert will do, and what an incident is.

Sentences hold names that strangers chose. On a page each stands in an element of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps_registry.mail_text import one_line
from postbacks.alerts.evidence import Observation
from postbacks.alerts.judging import (
    BreakerEvidence,
    RateEvidence,
    SilenceEvidence,
    SuspensionEvidence,
    Verdict,
    VolumeEvidence,
)
from postbacks.alerts.kinds import kind_of
from postbacks.insights import wording
from postbacks.models import Alert, AlertKind, JumpDirection

_JUMPS = {
    JumpDirection.EITHER: "more or fewer",
    JumpDirection.RISE: "more",
    JumpDirection.DROP: "fewer",
}


@dataclass(frozen=True, slots=True)
class ForeignText:
    """A text of somebody else inside a sentence of ours."""

    text: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence in parts, so that a page can set names apart."""

    parts: Sequence[str | ForeignText]

    def __str__(self) -> str:
        return "".join(
            f"“{one_line(part.text)}”" if isinstance(part, ForeignText) else part
            for part in self.parts
        )

    @property
    def html(self) -> SafeString:
        return format_html_join(
            "",
            "{}",
            (
                (
                    format_html("<bdi>{}</bdi>", part.text)
                    if isinstance(part, ForeignText)
                    else part,
                )
                for part in self.parts
            ),
        )


def alert_sentence(alert: Alert) -> Sentence:
    """Return what an alert does: Tell ana@example.com when …"""
    whom = _whom(alert)
    when: list[str | ForeignText] = ["when ", *_condition(alert)]
    quiet = (
        f" Not between {alert.quiet_from:%H:%M} and {alert.quiet_until:%H:%M}: then you are told"
        " afterwards what is still wrong."
        if alert.quiet_from is not None and alert.quiet_until is not None
        else ""
    )
    return Sentence([*whom, *when, f".{quiet}"])


def _whom(alert: Alert) -> list[str | ForeignText]:
    whom: list[str | ForeignText] = []
    if alert.emails:
        whom = [ForeignText(alert.emails[0])]
        if more := len(alert.emails) - 1:
            whom.append(f" and {more} other{'s' if more > 1 else ''}")
    if alert.webhook_url:
        whom += [" and your program" if whom else "your program"]
    if not whom:
        return ["Show on the Overview "]
    return ["Tell ", *whom, " "]


def _condition(alert: Alert) -> list[str | ForeignText]:
    minutes = alert.minutes or 0
    match AlertKind(alert.kind):
        case AlertKind.SUCCESS_RATE:
            return [
                f"fewer than {alert.threshold} % of the requests ",
                *_scope(alert, rule="of the rule ", partner="to ", each="of any one rule"),
                f" succeed during {minutes} minutes",
            ]
        case AlertKind.NO_EVENTS:
            return [
                *_scope(alert, app="the app ", each="any one app"),
                f" sends no event for {minutes} minutes",
            ]
        case AlertKind.VOLUME_JUMP:
            return [
                *_scope(alert, app="the app ", each="any one app"),
                f" sends at least {alert.threshold} % {_JUMPS[JumpDirection(alert.direction)]}"
                " events in an hour than usual at this time of the day",
            ]
        case AlertKind.RULE_SUSPENDED:
            only = alert.threshold == 100
            return [
                *_scope(
                    alert,
                    rule="the rule ",
                    partner="a rule of the partner ",
                    app="a rule of the app ",
                    each="any rule",
                ),
                " is suspended"
                if only
                else f" is suspended, and from {alert.threshold} % of the way there",
            ]
        case AlertKind.BREAKER_OPEN:
            return [
                "the server ",
                *_scope(alert, rule="of the rule ", partner="of ", each="of any partner"),
                f" has not answered for {minutes} minute{'s' if minutes != 1 else ''}",
            ]


def _scope(alert: Alert, *, each: str, **words: str) -> list[str | ForeignText]:
    """Return what an alert is about; `words` stand before the name of a scope."""
    for scope in kind_of(alert).scopes:
        if (row := getattr(alert, scope)) is not None:
            return [words[scope], ForeignText(str(row))]
    return [each]


def incident_detail(observation: Observation, verdict: Verdict) -> str:
    """Return what was seen, without a name: 42 % of 120 requests succeeded, mostly HTTP 500."""
    match observation.evidence:
        case RateEvidence(attempts, _):
            mostly = _mostly(observation.failure)
            return (
                f"{wording.percent(verdict.value or 0)} of {wording.number(attempts)} requests "
                f"succeeded{mostly}"
            )
        case SilenceEvidence(events, _):
            return "No event came" if not events else f"{wording.number(events)} events came"
        case VolumeEvidence(events, _):
            usual = round(observation.evidence.usual)
            return f"{wording.number(events)} events in an hour; usual are {wording.number(usual)}"
        case SuspensionEvidence(percent):
            if percent >= 100:
                return "The rule is suspended and sends nothing"
            return f"The rule delivers nothing, and is {percent} % on the way to its suspension"
        case BreakerEvidence(open_for):
            mostly = _mostly(observation.failure)
            return f"It has not answered for {wording.span(open_for)}{mostly}"


def _mostly(failure: str) -> str:
    if not failure:
        return ""
    code = f"http_{failure}" if failure.isdigit() else failure
    return f", mostly {wording.lower_first(wording.answer(code))}"
