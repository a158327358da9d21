"""Why each rule told a partner of an event, or did not: asked of the very functions that decide.

What was sent is read from the log. Where nothing was, the rule of today is asked, with the credit
of today: whatever keeps the event from it now is named, and if nothing does, that it is so now.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from postbacks.attribution.installs import KnownInstalls, foresee_installs
from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.callbacks.decisions import (
    Decision,
    first_time_key,
    refuse_and_decide,
    uses_first_time,
)
from postbacks.callbacks.macros import Rates
from postbacks.callbacks.rules.compiled import CompiledRule, load_rule_versions
from postbacks.callbacks.rules.conditions import Refusal
from postbacks.delivery.attempt_log import RULE_OFF
from postbacks.models import (
    CallbackRule,
    Event,
    Postback,
    PostbackStatus,
    RuleDevice,
    RuleStatus,
    SkipReason,
    UndecidedEvent,
)
from postbacks.models.stored import load_events
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import InstallContext, install_context

logger = logging.getLogger(__name__)

OWED, SENT, FAILED, SKIPPED, NOT_MATCHED, HELD = (
    "owed", "sent", "failed", "skipped", "not_matched", "held",
)  # fmt: skip
DECISIONS = (OWED, SENT, FAILED, SKIPPED, NOT_MATCHED, HELD)

_OFF: Mapping[str, str] = {
    RuleStatus.DRAFT: "The rule is a draft; only active rules send.",
    RuleStatus.PAUSED: "The rule is paused.",
    RuleStatus.SUSPENDED: "We suspended the rule after lasting failure.",
    RuleStatus.ARCHIVED: "The rule was archived.",
}
# Where an event has led to several postbacks of a rule, the one that says most.
_WEIGHTS = (
    PostbackStatus.DELIVERED, PostbackStatus.PENDING, PostbackStatus.FAILED, PostbackStatus.SKIPPED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Explained:
    """What became of an event under one rule, and why; without a `postback` nothing was decided."""

    rule: CallbackRule
    decision: str
    reasons: tuple[Refusal, ...]
    postback: Postback | None = None


def explain(event: Event) -> list[Explained]:
    """Return for each rule in use, and for each that told of the event, what it made of it."""
    (stored,) = load_events([(event.pk, event.received_at)])
    told = _postbacks(event)
    rules = CallbackRule.objects.select_related("partner", "app").order_by("name", "pk")
    wanted = [it for it in rules if it.status != RuleStatus.ARCHIVED or it.pk in told]
    silent = [it for it in wanted if it.pk not in told]
    refused = dict(_refusals(stored, silent))
    return [
        _told(rule, told[rule.pk])
        if rule.pk in told
        else Explained(rule, _silence(refused[rule.pk]), refused[rule.pk])
        for rule in wanted
    ]


def _postbacks(event: Event) -> dict[int, Postback]:
    """Return by rule the postback that says most."""
    rows = Postback.objects.filter(
        event_received_at=event.received_at, event_id=event.pk, test=False
    ).order_by("id")
    ordered = sorted(rows, key=lambda it: -_WEIGHTS.index(PostbackStatus(it.status)))
    return {postback.rule_id: postback for postback in ordered}


def _told(rule: CallbackRule, postback: Postback) -> Explained:
    if postback.status == PostbackStatus.DELIVERED:
        return Explained(rule, SENT, (Refusal("delivered", "The partner took it."),), postback)
    if postback.status == PostbackStatus.SKIPPED:
        why = Refusal(postback.reason, _skip_words(postback.reason))
        return Explained(rule, SKIPPED, (why,), postback)
    if postback.status == PostbackStatus.FAILED:
        detail = f"Given up after {postback.attempts_made} attempts; the last one says why."
        return Explained(rule, FAILED, (Refusal(postback.reason or "failed", detail),), postback)
    if postback.reason == RULE_OFF or rule.status != RuleStatus.ACTIVE:
        detail = f"{_OFF.get(rule.status, 'The rule was off.')} It waits until the rule is on."
        return Explained(rule, HELD, (Refusal(RULE_OFF, detail),), postback)
    tries = postback.attempts_made
    detail = f"It is tried again after {tries} attempts." if tries else "It is about to be sent."
    return Explained(rule, OWED, (Refusal("due", detail),), postback)


def _skip_words(reason: str) -> str:
    words = {str(value): str(label) for value, label in SkipReason.choices}
    return f"{words.get(reason, 'The rule says so')}."


def _silence(reasons: Sequence[Refusal]) -> str:
    return HELD if any(it.code == _UNDECIDED.code for it in reasons) else NOT_MATCHED


_UNDECIDED = Refusal("undecided", "The event has not been decided yet.")
_FIRST_TIME = Refusal("first_time", "The rule has told of this device before.")
_UNREADABLE = Refusal("rule_error", "The rule can't be applied; the operator's log says why.")


def _refusals(
    event: StoredEvent, rules: Sequence[CallbackRule]
) -> Iterator[tuple[int, tuple[Refusal, ...]]]:
    """Yield by rule whatever keeps an event from it now."""
    now = datetime.now(UTC)
    install = foresee_installs([event], KnownInstalls()).get(event.id)
    standing = install_context(event, install)
    rates = load_rates([event.event_time] if event.has_money else []).of(
        event.event_time, known_at=now
    )
    compiled = load_rule_versions((rule.pk, rule.version) for rule in rules)
    is_undecided = UndecidedEvent.objects.filter(pk=event.id).exists()
    for rule in rules:
        ready = compiled.get((rule.pk, rule.version))
        if is_undecided:
            yield rule.pk, (_UNDECIDED,)
        elif ready is None:
            yield rule.pk, (_UNREADABLE,)
        else:
            found = (*_off(ready), *_weighed(ready, event, standing, now, rates))
            yield rule.pk, found or (_as_of_now(rule, event),)


def _off(rule: CompiledRule) -> Iterator[Refusal]:
    if rule.status != RuleStatus.ACTIVE:
        yield Refusal(rule.status, _OFF[rule.status])
    elif rule.is_archived:
        yield Refusal("partner_archived", "The rule's partner was archived.")


def _weighed(
    rule: CompiledRule, event: StoredEvent, standing: InstallContext, now: datetime, rates: Rates
) -> Iterable[Refusal]:
    try:
        refusals, decision = refuse_and_decide(rule, event, standing, now=now, rates=rates)
    except Exception:
        logger.exception("Rule %d could not be asked about event %s", rule.rule_id, event.event_id)
        return (_UNREADABLE,)
    if refusals or decision is None:
        return refusals
    if decision.reason:
        return (Refusal(decision.reason, _skip_words(decision.reason)),)
    return (_FIRST_TIME,) if _is_served(decision) else ()


def _is_served(decision: Decision) -> bool:
    if not uses_first_time(decision):
        return False
    rule_id, device = first_time_key(decision)
    return RuleDevice.objects.filter(rule_id=rule_id, device=device).exists()


def _as_of_now(rule: CallbackRule, event: StoredEvent) -> Refusal:
    """Say that the rule would want the event now: what was decided once is not decided again."""
    if rule.created_at > event.received_at:
        return Refusal("rule_is_newer", "The rule was made after the event had been decided.")
    return Refusal(
        "changed_since",
        "The rule would want the event now. When the event was decided, the rule was another or "
        "off, or the install was credited to somebody else.",
    )
