"""Answers a partner that asks after the install of its click: was it sent, and if not, why not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from postbacks.callbacks.rules.matching import TRIGGER
from postbacks.insights import wording
from postbacks.insights.touchpoint_outcomes import TouchpointOutcome, TouchpointStatus
from postbacks.models import Event, RefusedEvent, Touchpoint
from postbacks.rulebook.explain import Explanation, explain
from postbacks.rulebook.postback_reasons import RuleDecision
from postbacks.values import identifiers

_MOST_REFUSED = 5
# What a partner's rules did, the most telling first.
_PRECEDENCE = (
    RuleDecision.SENT,
    RuleDecision.PENDING,
    RuleDecision.HELD,
    RuleDecision.FAILED,
    RuleDecision.SKIPPED,
    RuleDecision.NOT_MATCHED,
)
_ANSWERS = {
    RuleDecision.PENDING: "Not yet:",
    RuleDecision.HELD: "Not yet:",
    RuleDecision.FAILED: "It was sent, but the partner did not take it:",
    RuleDecision.SKIPPED: "No, it was skipped:",
    RuleDecision.NOT_MATCHED: "No:",
}


@dataclass(frozen=True, slots=True)
class PartnerAnswer:
    """Whether the partner of a touchpoint was sent the install, in a sentence.

    `explanations` are those of the partner's rules for the event of the install; `refused` are
    reports of the app with the touchpoint's ids that were refused on arrival.
    """

    sentence: str
    event: Event | None = None
    explanations: Sequence[Explanation] = ()
    refused: Sequence[RefusedEvent] = ()


def answer_partner(touchpoint: Touchpoint, outcome: TouchpointOutcome) -> PartnerAnswer:
    """Say whether the install that a touchpoint was considered for was sent to its partner."""
    install = outcome.install
    if install is None:
        return _without_install(touchpoint, outcome)
    event = Event.objects.filter(
        pk=install.event_ref, received_at=install.event_received_at
    ).first()
    if event is None:
        return PartnerAnswer("The event of the install is no longer kept, so nobody can tell.")
    explanations = explain(event, partner_id=touchpoint.partner_id)
    # Rules for other events say nothing of interest beside one for this event.
    of_this_event = [rule for rule in explanations if rule.reasons[0].code != TRIGGER]
    explanations = sorted(
        of_this_event or explanations, key=lambda rule: _PRECEDENCE.index(rule.decision)
    )
    return PartnerAnswer(_sentence(explanations), event, explanations)


def _without_install(touchpoint: Touchpoint, outcome: TouchpointOutcome) -> PartnerAnswer:
    if outcome.status == TouchpointStatus.REJECTED:
        return PartnerAnswer("No: it was rejected as fraud on arrival, so it could earn nothing.")
    keys = [identifiers.key_of(touchpoint.app_id, str(name)) for name in touchpoint.names]
    rows = RefusedEvent.objects.filter(keys__overlap=keys, received_at__gte=touchpoint.occurred_at)
    refused = list(rows.order_by("-received_at", "-pk")[:_MOST_REFUSED])
    if not refused:
        return PartnerAnswer(
            "No: no install of it is known. The app was not opened, or did not report it here."
        )
    details = " ".join(error.get("detail", "") for error in refused[0].error_views)
    name = refused[0].event_name or "event"
    return PartnerAnswer(
        f"No: the app reported its {name}, which was refused on arrival. {details}".strip(),
        refused=refused,
    )


def _sentence(explanations: Sequence[Explanation]) -> str:
    if not explanations:
        return "No: this partner has no callback rule, so nothing is sent to it."
    first = explanations[0]
    if first.decision is RuleDecision.SENT and first.postback is not None:
        delivered_at = first.postback.delivered_at
        at = f" at {_moment(delivered_at)}" if delivered_at else ""
        code = first.postback.last_status_code
        return f"Yes: the partner took it{at}{f' (HTTP {code})' if code else ''}."
    details = " ".join(reason.detail for reason in first.decided)
    return f"{_ANSWERS.get(first.decision, 'No:')} {wording.lower_first(details)}"


def _moment(at: datetime) -> str:
    return wording.format_moment(timezone.localtime(at), to_seconds=True)
