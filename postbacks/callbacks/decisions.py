"""④ Decides what is owed for an event: one postback for each rule that wants it."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.callbacks.disclosure import every_value, facts_of, lacks_consent, values_for
from postbacks.callbacks.facts import Facts, PostbackFacts
from postbacks.callbacks.macros import Rates, TemplateError
from postbacks.callbacks.rules.compiled import CompiledRule, load_active_rules
from postbacks.callbacks.rules.conditions import Refusal
from postbacks.callbacks.rules.matching import EventContext, partner_event_name, wants, why_not
from postbacks.infrastructure.database import prepared
from postbacks.models import SkipReason
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import InstallContext
from postbacks.values.uuid7 import uuid7

logger = logging.getLogger(__name__)

NOBODY: Mapping[tuple[int, int], bool] = {}


@dataclass(frozen=True, slots=True)
class Decision:
    """One postback to be written: owed after its rule's delay, or skipped for `reason`."""

    public_id: str
    event: StoredEvent
    rule: CompiledRule
    standing: InstallContext
    host: str = ""
    reason: str = ""


def decide_postbacks(
    events: Sequence[StoredEvent],
    standings: Mapping[int, InstallContext],
    *,
    now: datetime,
    told: Mapping[tuple[int, int], bool] = NOBODY,
) -> list[Decision]:
    """Return what the active rules want of these events, “first time per device” included.

    `told` are the event and the rule of postbacks that there are from an earlier decision; False
    of those that were skipped, which another skip would only repeat.
    """
    rules = load_active_rules(event.organization_id for event in events)
    rates = load_rates(event.event_time for event in events if event.has_money)
    decisions = []
    for event in events:
        standing = standings.get(event.id, InstallContext())
        occasion = _occasion(event, standing)
        known_rates = rates.of(event.event_time, known_at=now)
        for rule in rules.get(event.organization_id, []):
            decision = _decide_or_note(rule, event, standing, occasion, now, known_rates)
            if decision is not None and not _is_repeated(decision, told):
                decisions.append(decision)
    return _first_times_only(decisions)


def _is_repeated(decision: Decision, told: Mapping[tuple[int, int], bool]) -> bool:
    is_told = told.get((decision.event.id, decision.rule.rule_id))
    return is_told is not None and (is_told or bool(decision.reason))


def _decide_or_note(
    rule: CompiledRule,
    event: StoredEvent,
    standing: InstallContext,
    occasion: EventContext,
    now: datetime,
    rates: Rates,
) -> Decision | None:
    """Decide for one rule; a surprise is noted as a skip and never keeps other rules from it."""
    try:
        if not wants(rule.definition, occasion):
            return None
        decided = _decide(rule, event, standing, now, rates)
        return decided if isinstance(decided, Decision) else None
    except Exception:
        logger.exception("Rule %d could not be applied to event %s", rule.rule_id, event.event_id)
        public_id = str(uuid7(event.received_at))
        return Decision(public_id, event, rule, standing, reason=SkipReason.RULE_ERROR)


def decide_or_refuse(
    rule: CompiledRule, event: StoredEvent, standing: InstallContext, *, now: datetime, rates: Rates
) -> Decision | Refusal:
    """Decide for one rule, or say what keeps the event from it first; asks and writes nothing.

    “First time per device” is left to `is_once` and `first_time`, since others decide as well.
    """
    refusal = next(why_not(rule.definition, _occasion(event, standing)), None)
    return refusal or _decide(rule, event, standing, now, rates)


def weigh(
    rule: CompiledRule, event: StoredEvent, standing: InstallContext, *, now: datetime, rates: Rates
) -> tuple[list[Refusal], Decision | None]:
    """Say everything that keeps the event from one rule, and what would be decided otherwise."""
    refusals = list(why_not(rule.definition, _occasion(event, standing)))
    decided = _decide(rule, event, standing, now, rates)
    if isinstance(decided, Refusal):
        return [*refusals, decided], None
    return refusals, decided


def _occasion(event: StoredEvent, standing: InstallContext) -> EventContext:
    return EventContext(
        app_id=event.app.id,
        event_name=event.event_name,
        event_time=event.event_time,
        device=event.device,
        event_id=str(event.event_id),
        began=standing.began,
        installed_at=standing.installed_at,
        attribution_type=standing.attribution.type,
        attributed_partner_id=standing.attribution.partner_id,
    )


def facts_by_standing(
    rule: CompiledRule,
    event: StoredEvent,
    standing: InstallContext,
    *,
    postback: UUID,
    now: datetime,
) -> Facts:
    """Return what a postback of this id would be made of if it were decided now."""
    return facts_of(
        event,
        installed_at=standing.installed_at,
        postback=PostbackFacts(
            id=postback,
            created_at=now,
            partner_event_name=partner_event_name(
                rule.definition, event.event_name, standing.began
            ),
            partner=rule.partner.public_id if rule.partner else None,
        ),
        attribution=standing.attribution,
        is_begun=bool(standing.began),
    )


def _decide(
    rule: CompiledRule, event: StoredEvent, standing: InstallContext, now: datetime, rates: Rates
) -> Decision | Refusal:
    public_id = uuid7(event.received_at)
    facts = facts_by_standing(rule, event, standing, postback=public_id, now=now)
    if rule.conditions.lines:
        refusal = rule.conditions.refusal(every_value(facts, rates), rates=rates)
        if refusal is not None:
            return refusal
    reason, host = "", ""
    if facts.postback is not None and facts.postback.partner_event_name is None:
        reason = SkipReason.NOT_MAPPED
    elif rule.definition.without_consent == "skip" and lacks_consent(rule, facts):
        reason = SkipReason.NO_CONSENT
    else:
        try:
            host = rule.request.host
            values = values_for(rule, facts, rates)
            if rule.request.missing_required(values, rates=rates) is not None:
                reason = SkipReason.MISSING_MACRO
        except TemplateError:
            # The rule was good when it was saved; sending it will say what is wrong by now.
            host = ""
    return Decision(str(public_id), event, rule, standing, host, reason)


_FIRST_TIMES = """
INSERT INTO rule_device (organization_id, rule_id, device)
SELECT organization_id, rule_id, device
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
    organization_id bigint, rule_id bigint, device text
)
ORDER BY organization_id, rule_id, device  -- the same for all workers, so that none waits in a ring
ON CONFLICT DO NOTHING
RETURNING rule_id, device
"""


def _first_times_only(decisions: Sequence[Decision]) -> list[Decision]:
    """Drop what a rule for first times has already sent for the device.

    A skip does not use the first time up, and without a device nothing can be known to be second.
    """
    earliest: dict[tuple[int, str], Decision] = {}
    for decision in decisions:
        if is_once(decision):
            earliest.setdefault(first_time(decision), decision)
    won = _claim_first_times(earliest.values())
    return [
        decision
        for decision in decisions
        if not is_once(decision)
        or ((key := first_time(decision)) in won and earliest[key] is decision)
    ]


def is_once(decision: Decision) -> bool:
    """Tell whether the decision uses up the device's first time."""
    return (
        decision.rule.definition.frequency == "first"
        and not decision.reason
        and bool(decision.event.device)
    )


def first_time(decision: Decision) -> tuple[int, str]:
    """Return the rule, and the device as `rule_device` names it."""
    return decision.rule.rule_id, f"{decision.event.app.id}:{decision.event.device}"


def _claim_first_times(decisions: Iterable[Decision]) -> set[tuple[int, str]]:
    rows = [
        {
            "organization_id": decision.event.organization_id,
            "rule_id": decision.rule.rule_id,
            "device": first_time(decision)[1],
        }
        for decision in decisions
    ]
    if not rows:
        return set()
    won = prepared.run(_FIRST_TIMES, {"rows": msgspec.json.encode(rows).decode()})
    return {(rule_id, device) for rule_id, device in won}
