"""④ Decides an event's postbacks: one for each rule that wants the event."""

import itertools
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

import msgspec

from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.callbacks.disclosure import event_facts, every_value, skip_reason
from postbacks.callbacks.facts import Facts, PostbackFacts
from postbacks.callbacks.macros import Rates, TemplateError
from postbacks.callbacks.rules.compiled import CompiledRule, DecidingRules, RuleVersion
from postbacks.callbacks.rules.conditions import EVENT_SECONDS, Effort, Refusal, TooExpensiveError
from postbacks.callbacks.rules.matching import (
    EventContext,
    partner_event_name,
    refusals_of,
    wants,
)
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import SkipReason
from postbacks.values.events import StoredEvent
from postbacks.values.identifiers import device_spellings
from postbacks.values.install_context import InstallContext
from postbacks.values.rule_choices import Frequency
from postbacks.values.uuid7 import uuid7

logger = logging.getLogger(__name__)

NOTABLE_SECONDS: Final = 0.005  # that a rule's conditions take for one event

_LEAST_SHARE: Final = 0.1  # of an event's time, for a rule that is named too expensive

FIRST_TIME: Final = "first_time"  # the code of a refusal for a device that was served before

RuleOfEvent = tuple[int, int]  # our numbers of an event and a rule
_NONE_APPLIED: Final[Mapping[RuleOfEvent, bool]] = MappingProxyType({})
_NO_INSTALL: Final = InstallContext()

_CLAIM_FIRST_TIMES = load_sql("postbacks.callbacks", "claim_first_times")


class OverBudgetError(Exception):
    """The rules of a batch took more processor time than it has, or those of one of its events.

    Nothing of the batch is decided.
    """


@dataclass(slots=True)  # not frozen: one is made for each postback
class Decision:
    """One postback to write: pending after its rule's delay, or skipped for `reason`."""

    public_id: str
    event: StoredEvent
    rule: CompiledRule
    install: InstallContext
    reason: str = ""


@dataclass(slots=True)
class Budget:
    """The processor time that the rules of a batch may take, and what it went to.

    With `event_seconds` a batch is aborted at the first event that needs more than these. Its rules
    are not to blame then: `aborted_by` is its organization. `spent` holds the events and
    seconds of each organization; `slow_rules` the most that the conditions of a rule took for one
    event, if that is much, and whether any event was skipped.
    """

    seconds: float
    event_seconds: float | None = None
    aborted_by: int | None = None
    spent: dict[int, tuple[int, float]] = field(default_factory=dict)
    slow_rules: dict[tuple[int, RuleVersion], tuple[float, bool]] = field(default_factory=dict)

    def effort(self) -> Effort:
        """Return what the rules may take for one event."""
        return Effort(self.event_seconds, self.event_seconds) if self.event_seconds else Effort()

    def abort_if_bounded(self, event: StoredEvent) -> None:
        """Raise OverBudgetError if each event has its bound: this one took longer."""
        if self.event_seconds:
            self.aborted_by = event.organization_id
            raise OverBudgetError

    def note_rule(self, rule: CompiledRule, seconds: float, decision: Decision | None) -> None:
        if seconds > NOTABLE_SECONDS:
            is_skip = decision is not None and decision.reason == SkipReason.RULE_TOO_EXPENSIVE
            key = (rule.organization_id, (rule.rule_id, rule.version))
            before, was_skip = self.slow_rules.get(key, (0.0, False))
            self.slow_rules[key] = max(seconds, before), is_skip or was_skip

    def expensive_rules(self, limit: float) -> dict[RuleVersion, float]:
        """Return the slow rules that skipped events, or whose organization is over a limit.

        `limit` is in seconds for one event.
        """
        return {
            rule: seconds
            for (organization_id, rule), (seconds, is_skip) in self.slow_rules.items()
            if is_skip or self._mean(organization_id) > limit
        }

    def _mean(self, organization_id: int) -> float:
        events, seconds = self.spent.get(organization_id, (1, 0.0))
        return seconds / events


def decide_postbacks(
    events: Sequence[StoredEvent],
    installs: Mapping[int, InstallContext],
    *,
    now: datetime,
    budget: Budget,
    already_applied: Mapping[RuleOfEvent, bool] = _NONE_APPLIED,
) -> list[Decision]:
    """Return the postbacks that active and suspended rules want, “first time per device” included.

    `already_applied` holds the events and rules of earlier postbacks; False marks those that were
    skipped, which another skip would only repeat.

    Raises OverBudgetError if the rules of several events take longer than the budget.
    """
    rules = DecidingRules(event.organization_id for event in events)
    rates = load_rates(event.event_time for event in events if event.has_money)
    decisions = []
    for event in _metered(events, budget):
        install = installs.get(event.id, _NO_INSTALL)
        context = _event_context(event, install)
        offered = _OfferedEvent(event, install, now, rates.of(event.event_time, known_at=now))
        effort, patience = budget.effort(), _Patience(budget.event_seconds or EVENT_SECONDS)
        for rule in rules.of(event.organization_id):
            if patience.is_over():
                budget.abort_if_bounded(event)
                decision = _skip_unread(rule, event, install, context)
            else:
                try:
                    decision = _decide_or_skip(rule, offered, context, effort)
                except TooExpensiveError:
                    budget.abort_if_bounded(event)
                    decision = _skipped_as_expensive(rule, event, install, effort)
                if effort.has_begun:
                    budget.note_rule(rule, effort.seconds_of_rule(), decision)
            if decision is not None and not _is_repeated(decision, already_applied):
                decisions.append(decision)
    return _first_times_only(decisions)


class _Patience:
    """Ends when the rules of one event take too long, whatever of them does.

    The clock on the wall is read for each rule, which is quick; once it has run long, processor
    time counts, for a busy machine is no one's fault.
    """

    __slots__ = ("_began", "_cpu_began", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = time.monotonic()
        self._cpu_began: float | None = None

    def is_over(self) -> bool:
        if time.monotonic() - self._began < self._seconds:
            return False
        if self._cpu_began is None:
            self._cpu_began = time.thread_time()
        return time.thread_time() - self._cpu_began > self._seconds


def _metered(events: Sequence[StoredEvent], budget: Budget) -> Iterator[StoredEvent]:
    """Yield events by organization, and note in the budget what each organization takes."""
    began = before = time.thread_time()
    until = time.monotonic() + budget.seconds
    by_organization = sorted(events, key=lambda event: event.organization_id)
    for organization, of_one in itertools.groupby(
        by_organization, key=lambda event: event.organization_id
    ):
        count = 0
        try:
            for event in of_one:
                # The clock on the wall is quick to read; a busy machine is no one's fault.
                if (
                    time.monotonic() > until
                    and (count or budget.spent)
                    and time.thread_time() - began > budget.seconds
                ):
                    raise OverBudgetError
                count += 1
                yield event
        finally:
            now = time.thread_time()
            if count:
                budget.spent[organization] = (count, now - before)
            before = now


def first_refusal_or_decision(
    rule: CompiledRule, event: StoredEvent, install: InstallContext, *, now: datetime, rates: Rates
) -> Decision | Refusal:
    """Decide for one rule, or return its first refusal; reads and writes no rows.

    “First time per device” is left to the caller, by `uses_first_time` and `first_time_key`.
    """
    refusal = next(refusals_of(rule.definition, _event_context(event, install)), None)
    return refusal or _decide(rule, event, install, now=now, rates=rates)


def all_refusals_and_decision(
    rule: CompiledRule, event: StoredEvent, install: InstallContext, *, now: datetime, rates: Rates
) -> tuple[list[Refusal], Decision | None]:
    """Return everything that keeps an event from one rule, and the decision without these."""
    refusals = list(refusals_of(rule.definition, _event_context(event, install)))
    decided = _decide(rule, event, install, now=now, rates=rates)
    if isinstance(decided, Refusal):
        return [*refusals, decided], None
    return refusals, decided


def facts_if_decided(
    rule: CompiledRule,
    event: StoredEvent,
    install: InstallContext,
    *,
    postback: UUID,
    now: datetime,
) -> Facts:
    """Return the facts of a postback with this id, if it were decided now."""
    return _OfferedEvent(event, install, now).facts_if_decided(rule, postback)


@dataclass(slots=True)
class _OfferedEvent:
    """An event that rules are offered: what is the same for all of them is made once."""

    event: StoredEvent
    install: InstallContext
    now: datetime
    rates: Rates | None = None
    _facts: Facts | None = None

    def facts_if_decided(self, rule: CompiledRule, postback: UUID) -> Facts:
        """Return the facts of a postback with this id, if this rule sent it now."""
        install = self.install
        if self._facts is None:
            self._facts = event_facts(
                self.event,
                installed_at=install.installed_at,
                postback=None,
                attribution=install.attribution,
                began_install=bool(install.began_kind),
            )
        own = PostbackFacts(
            id=postback,
            created_at=self.now,
            partner_event_name=partner_event_name(
                rule.definition, self.event.event_name, install.began_kind
            ),
            partner=rule.partner.public_id if rule.partner else None,
        )
        shared = self._facts
        return Facts(shared.event, shared.app, shared.install, shared.attribution, own)


def uses_first_time(decision: Decision) -> bool:
    """Tell whether the decision uses up its device's first time.

    A skip does not, and without a device no event can be known to be the second.
    """
    return (
        decision.rule.definition.frequency == Frequency.FIRST
        and not decision.reason
        and bool(decision.event.device)
    )


def first_time_key(decision: Decision) -> tuple[int, str]:
    """Return the rule, and the device as `rule_device` names it."""
    return decision.rule.rule_id, f"{decision.event.app.id}:{decision.event.device}"


def claim_first_times(decisions: Iterable[Decision]) -> set[tuple[int, str]]:
    """Use up the first times of these decisions' devices; return the keys that were free."""
    rows = [
        {
            "organization_id": decision.event.organization_id,
            "rule_id": decision.rule.rule_id,
            "device": first_time_key(decision)[1],
            "others": first_time_devices(decision.event),
        }
        for decision in decisions
    ]
    if not rows:
        return set()
    claimed = prepared.run(_CLAIM_FIRST_TIMES, {"rows": msgspec.json.encode(rows).decode()})
    return {(rule_id, device) for rule_id, device in claimed}


def first_time_devices(event: StoredEvent) -> list[str]:
    """Return the names that `rule_device` may have of an event's device."""
    return [f"{event.app.id}:{device}" for device in device_spellings(event.device, event.fields)]


def _event_context(event: StoredEvent, install: InstallContext) -> EventContext:
    return EventContext(
        app_id=event.app.id,
        event_name=event.event_name,
        event_time=event.event_time,
        device=install.device or event.device,
        event_id=str(event.event_id),
        began_kind=install.began_kind,
        installed_at=install.installed_at,
        attribution_type=install.attribution.type,
        attributed_partner_id=install.attribution.partner_id,
    )


def _is_repeated(decision: Decision, already_applied: Mapping[RuleOfEvent, bool]) -> bool:
    was_sent = already_applied.get((decision.event.id, decision.rule.rule_id))
    return was_sent is not None and (was_sent or bool(decision.reason))


def _decide_or_skip(
    rule: CompiledRule, offered: _OfferedEvent, context: EventContext, effort: Effort
) -> Decision | None:
    """Decide for one rule; an unexpected error becomes a skip and never stops other rules.

    Raises TooExpensiveError.
    """
    event, install, rates = offered.event, offered.install, offered.rates
    try:
        if not wants(rule.definition, context):
            return None
        effort.begin_rule()
        public_id = uuid7(event.received_at)
        facts = offered.facts_if_decided(rule, public_id)
        if rule.conditions.lines and not rule.conditions.hold(
            every_value(facts, rates), rates=rates, effort=effort
        ):
            return None
        return Decision(str(public_id), event, rule, install, _skip_reason(rule, facts, rates))
    except TooExpensiveError:
        raise
    except Exception:
        logger.exception("Rule %d could not be applied to event %s", rule.rule_id, event.event_id)
        return _skipped(rule, event, install, SkipReason.RULE_ERROR)


def _skip_unread(
    rule: CompiledRule, event: StoredEvent, install: InstallContext, context: EventContext
) -> Decision | None:
    """Skip an event for a rule that wants it, without looking at its conditions."""
    if not wants(rule.definition, context):
        return None
    return _skipped(rule, event, install, SkipReason.NO_TIME_LEFT)


def _skipped_as_expensive(
    rule: CompiledRule, event: StoredEvent, install: InstallContext, effort: Effort
) -> Decision:
    """Skip an event for a rule that took too long, or whose event had no time left for it."""
    reason = SkipReason.NO_TIME_LEFT
    if effort.seconds_of_rule() > _LEAST_SHARE * EVENT_SECONDS:
        reason = SkipReason.RULE_TOO_EXPENSIVE
    return _skipped(rule, event, install, reason)


def _decide(
    rule: CompiledRule, event: StoredEvent, install: InstallContext, *, now: datetime, rates: Rates
) -> Decision | Refusal:
    """Decide for one rule, conditions included, or return in words why they do not hold."""
    public_id = uuid7(event.received_at)
    facts = facts_if_decided(rule, event, install, postback=public_id, now=now)
    if rule.conditions.lines:
        try:
            refusal = rule.conditions.refusal(every_value(facts, rates), rates=rates)
        except TooExpensiveError:
            return _skipped(rule, event, install, SkipReason.RULE_TOO_EXPENSIVE)
        if refusal is not None:
            return refusal
    return Decision(str(public_id), event, rule, install, _skip_reason(rule, facts, rates))


def _skip_reason(rule: CompiledRule, facts: Facts, rates: Rates | None) -> str:
    try:
        return skip_reason(rule, facts, rates) or ""
    except TemplateError:
        return ""  # it was valid when it was saved; sending it will say what is wrong by now


def _skipped(
    rule: CompiledRule, event: StoredEvent, install: InstallContext, reason: SkipReason
) -> Decision:
    return Decision(str(uuid7(event.received_at)), event, rule, install, reason)


def _first_times_only(decisions: Sequence[Decision]) -> list[Decision]:
    """Drop the decisions for devices that a rule for first times has already served."""
    earliest: dict[tuple[int, str], Decision] = {}
    for decision in decisions:
        if uses_first_time(decision):
            earliest.setdefault(first_time_key(decision), decision)
    claimed = claim_first_times(earliest.values())
    return [
        decision
        for decision in decisions
        if not uses_first_time(decision)
        or ((key := first_time_key(decision)) in claimed and earliest[key] is decision)
    ]
