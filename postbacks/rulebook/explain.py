"""Why each rule sent an event to its partner, or did not.

What was sent is read from the log. If nothing was, the functions that decide postbacks decide the
event again, with the rule and the credit of today, and their refusals are the reasons.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from postbacks.attribution.installs import KnownInstalls, foresee_installs
from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.callbacks.decisions import (
    FIRST_TIME,
    Decision,
    all_refusals_and_decision,
    first_time_devices,
    uses_first_time,
)
from postbacks.callbacks.macros import Rates
from postbacks.callbacks.rules.compiled import CompiledRule, load_rule_versions
from postbacks.callbacks.rules.conditions import Refusal
from postbacks.insights import wording
from postbacks.models import (
    CallbackRule,
    DeliveryAttempt,
    Event,
    HeldReason,
    Postback,
    PostbackStatus,
    RuleDevice,
    RuleStatus,
    SkipReason,
    UndecidedEvent,
)
from postbacks.models.stored import load_events
from postbacks.rulebook.postback_reasons import (
    EmptyMacros,
    empty_macros_by_request,
    last_answer,
    last_attempts,
    version_of,
)
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import InstallContext, install_context

logger = logging.getLogger(__name__)

_UNDECIDED = Refusal("undecided", "The event has not been decided yet.")
_FIRST_TIME = Refusal(FIRST_TIME, "The rule has sent for this device before.")
_UNREADABLE = Refusal("rule_error", "The rule can't be applied; the operator's log says why.")
_OFF: Mapping[str, str] = {
    RuleStatus.DRAFT: "The rule is a draft; only active rules send.",
    RuleStatus.PAUSED: "The rule is paused.",
    RuleStatus.SUSPENDED: "We suspended the rule after lasting failure.",
    RuleStatus.ARCHIVED: "The rule was archived.",
}
_MOST_IN_A_SENTENCE = 4
# If a rule made several postbacks of an event, the first of these is explained.
_PRECEDENCE = (
    PostbackStatus.DELIVERED,
    PostbackStatus.PENDING,
    PostbackStatus.FAILED,
    PostbackStatus.SKIPPED,
)


class RuleDecision(StrEnum):
    """What a rule did with an event, as the API says it."""

    PENDING = "owed"
    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_MATCHED = "not_matched"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One rule's decision about an event, and the reasons.

    `postback` is None if the rule made none; `empty_macros` have no value in its request.
    """

    rule: CallbackRule
    decision: RuleDecision
    reasons: tuple[Refusal, ...]
    postback: Postback | None = None
    empty_macros: EmptyMacros = ()


def explain(event: Event) -> list[Explanation]:
    """Explain an event for each rule in use, and for each archived one that made a postback."""
    (stored,) = load_events([(event.pk, event.received_at)])
    postbacks = _postbacks(event)
    rules = [
        rule
        for rule in CallbackRule.objects.select_related("partner", "app").order_by("name", "pk")
        if rule.status != RuleStatus.ARCHIVED or rule.pk in postbacks
    ]
    refusals = dict(_refusals(stored, [rule for rule in rules if rule.pk not in postbacks]))
    attempts = last_attempts(list(postbacks.values()))
    empty = empty_macros_by_request(
        (p, version_of(p, attempts.get(p.pk))) for p in postbacks.values()
    )
    return [
        _explain_postback(
            rule,
            (postback := postbacks[rule.pk]),
            empty=empty.get((postback.pk, version_of(postback, attempts.get(postback.pk))), ()),
            last=attempts.get(postback.pk),
        )
        if rule.pk in postbacks
        else Explanation(rule, _decision_without_postback(refusals[rule.pk]), refusals[rule.pk])
        for rule in rules
    ]


def _postbacks(event: Event) -> dict[int, Postback]:
    """Return the postback to explain, by rule."""
    rows = Postback.objects.filter(
        event_received_at=event.received_at, event_id=event.pk, test=False
    ).order_by("id")
    ordered = sorted(rows, key=lambda row: -_PRECEDENCE.index(PostbackStatus(row.status)))
    return {postback.rule_id: postback for postback in ordered}


def _explain_postback(
    rule: CallbackRule, postback: Postback, *, empty: EmptyMacros, last: DeliveryAttempt | None
) -> Explanation:
    decision, reason = _state_of(rule, postback, last)
    if postback.attempts_made:
        reason = Refusal(reason.code, " ".join([reason.detail, *_first_details(empty)]))
    return Explanation(rule, decision, (reason,), postback, empty)


def _state_of(
    rule: CallbackRule, postback: Postback, last: DeliveryAttempt | None
) -> tuple[RuleDecision, Refusal]:
    tries = wording.times(postback.attempts_made)
    if postback.status == PostbackStatus.DELIVERED:
        return RuleDecision.SENT, Refusal("delivered", "The partner took it.")
    if postback.status == PostbackStatus.SKIPPED:
        return RuleDecision.SKIPPED, Refusal(postback.reason, _skip_sentence(postback.reason))
    if postback.status == PostbackStatus.FAILED:
        detail = f"Given up after {tries}. {last_answer(last, postback.reason)}".strip()
        return RuleDecision.FAILED, Refusal(postback.reason or "failed", detail)
    if held := _held(postback, rule):
        return RuleDecision.HELD, held
    if not postback.attempts_made:
        return RuleDecision.PENDING, Refusal("due", "It is about to be sent.")
    detail = f"It is tried again after {tries}. {last_answer(last, '')}".strip()
    return RuleDecision.PENDING, Refusal("due", detail)


def _first_details(empty: EmptyMacros) -> Iterator[str]:
    yield from (macro.detail for macro in empty[:_MOST_IN_A_SENTENCE])
    more = len(empty) - _MOST_IN_A_SENTENCE
    if more > 0:
        yield f"{more} more {'macro has' if more == 1 else 'macros have'} no value."


def _held(postback: Postback, rule: CallbackRule) -> Refusal | None:
    if postback.reason == HeldReason.RULE_SUSPENDED or rule.status == RuleStatus.SUSPENDED:
        is_on = rule.status == RuleStatus.ACTIVE
        to_do = "Send" if is_on else "Correct the rule and switch it on, then send"
        return Refusal(
            HeldReason.RULE_SUSPENDED.value,
            f"It is held since we suspended the rule. {to_do} or drop what the rule holds on its "
            "page; after 7 days it is skipped.",
        )
    if postback.reason == HeldReason.RULE_OFF or rule.status != RuleStatus.ACTIVE:
        detail = f"{_OFF.get(rule.status, 'The rule was off.')} It waits until the rule is on."
        return Refusal(HeldReason.RULE_OFF.value, detail)
    return None


def _skip_sentence(reason: str) -> str:
    labels = {str(value): str(label) for value, label in SkipReason.choices}
    return f"{labels.get(reason, 'The rule says so')}."


def _decision_without_postback(reasons: Sequence[Refusal]) -> RuleDecision:
    is_undecided = any(reason.code == _UNDECIDED.code for reason in reasons)
    return RuleDecision.HELD if is_undecided else RuleDecision.NOT_MATCHED


def _refusals(
    event: StoredEvent, rules: Sequence[CallbackRule]
) -> Iterator[tuple[int, tuple[Refusal, ...]]]:
    """Yield each rule with everything that keeps the event from it now."""
    now = datetime.now(UTC)
    known_install = foresee_installs([event], KnownInstalls()).get(event.id)
    install = install_context(event, known_install)
    rates = load_rates([event.event_time] if event.has_money else []).of(
        event.event_time, known_at=now
    )
    compiled = load_rule_versions((rule.pk, rule.version) for rule in rules)
    is_undecided = UndecidedEvent.objects.filter(pk=event.id).exists()
    for rule in rules:
        version = compiled.get((rule.pk, rule.version))
        if is_undecided:
            yield rule.pk, (_UNDECIDED,)
        elif version is None:
            yield rule.pk, (_UNREADABLE,)
        else:
            refusals = (
                *_switched_off(version),
                *_refusals_if_decided(version, event, install, now=now, rates=rates),
            )
            yield rule.pk, refusals or (_changed_since(rule, event),)


def _switched_off(rule: CompiledRule) -> Iterator[Refusal]:
    if rule.status not in {RuleStatus.ACTIVE, RuleStatus.SUSPENDED}:  # both decide
        yield Refusal(rule.status, _OFF[rule.status])
    elif rule.is_archived:
        yield Refusal("partner_archived", "The rule's partner was archived.")


def _refusals_if_decided(
    rule: CompiledRule, event: StoredEvent, install: InstallContext, *, now: datetime, rates: Rates
) -> Iterable[Refusal]:
    try:
        refusals, decision = all_refusals_and_decision(rule, event, install, now=now, rates=rates)
    except Exception:
        logger.exception("Rule %d could not be applied to event %s", rule.rule_id, event.event_id)
        return (_UNREADABLE,)
    if refusals or decision is None:
        return refusals
    if decision.reason:
        return (Refusal(decision.reason, _skip_sentence(decision.reason)),)
    return (_FIRST_TIME,) if _is_served(decision) else ()


def _is_served(decision: Decision) -> bool:
    if not uses_first_time(decision):
        return False
    devices = first_time_devices(decision.event)
    return RuleDevice.objects.filter(rule_id=decision.rule.rule_id, device__in=devices).exists()


def _changed_since(rule: CallbackRule, event: StoredEvent) -> Refusal:
    """Say why a rule that wants the event now did not when the event was decided, once."""
    if rule.created_at > event.received_at:
        return Refusal("rule_is_newer", "The rule was made after the event had been decided.")
    return Refusal(
        "changed_since",
        "The rule would want the event now. When the event was decided, the rule was "
        "different or switched off, or the install was credited to somebody else.",
    )
