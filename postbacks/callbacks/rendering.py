"""⑤ Renders claimed postbacks: a pure function of rule version, event, credit, rates, credentials.

An attempt goes by the current version of its rule, and whether the event may go is judged again by
that version. Only a resend may ask for the version that decided its postback.

The install's credit is the version that the postback remembers; the rates are those of the event's
day as they were known when the postback was decided.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from apps_registry.crypto.encryption import SecretUnreadableError
from postbacks.callbacks.credits import CreditVersion, KnownCredit, load_credit_versions
from postbacks.callbacks.currency.stored_rates import RatesOfDays, load_rates
from postbacks.callbacks.disclosure import event_facts, forbidden_reason, values_for
from postbacks.callbacks.facts import Facts, PostbackFacts
from postbacks.callbacks.macros import Rates, RenderError, TemplateError, Value
from postbacks.callbacks.rules.compiled import CompiledRule, RenderingRules, load_rendering_rules
from postbacks.callbacks.rules.matching import partner_event_name
from postbacks.callbacks.signing_secrets import load_signing_secrets
from postbacks.models import Postback, SkipReason
from postbacks.models.stored import UndecodedEvent, load_undecoded_events
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import own_attribution
from postbacks.values.outgoing_request import ClaimedPostback, RenderedPostback

logger = logging.getLogger(__name__)

BATCH_BYTES: Final = 24 * 1024 * 1024  # of rendered requests
BATCH_SECONDS: Final = 1.0
_NOTABLE_SECONDS: Final = 0.005
_NOT_CREDITED = KnownCredit()
_NOT_KNOWN: Mapping[int, StoredEvent] = MappingProxyType({})
_OVER_BUDGET = RenderedPostback(over_budget=True)
_EVENT_GONE = RenderedPostback(error="event_gone", refusal="The event's data are no longer stored.")

_NO_SIGNING_SECRET = "The organization has no signing secret that can be read; rotate it."  # noqa: S105  # a sentence


@dataclass(slots=True)
class _Batch:
    """Everything that a batch of postbacks is rendered from, each loaded by one statement."""

    rules: RenderingRules
    credits: Mapping[CreditVersion, KnownCredit]
    rates: RatesOfDays
    signing: Mapping[int, tuple[str, ...]]


def render_postbacks(
    postbacks: Sequence[ClaimedPostback], known_events: Mapping[int, StoredEvent] = _NOT_KNOWN
) -> list[RenderedPostback]:
    """Render a batch of postbacks, in its order; events that are not known are loaded.

    Each of these is decoded when it is needed, and forgotten after its postbacks. What is left
    when `BATCH_BYTES` or `BATCH_SECONDS` are used up is `over_budget`, and so are those whose rules
    are too large together.
    """
    rules = load_rendering_rules(
        (postback.rule_id, postback.rule_version, postback.pinned_version is not None)
        for postback in postbacks
    )
    keys = {
        (postback.event_id, postback.event_received_at)
        for postback in postbacks
        if postback.event_id not in known_events
    }
    rows = load_undecoded_events(keys)
    places: dict[int, list[int]] = {}
    for index, postback in enumerate(postbacks):
        places.setdefault(postback.event_id, []).append(index)
    listed = [known_events[event_id] for event_id in places if event_id in known_events]
    sources: list[StoredEvent | UndecodedEvent] = [*listed, *rows]
    batch = _Batch(
        rules=rules,
        credits=load_credit_versions(
            postback.credit_version for postback in postbacks if postback.install_id is not None
        ),
        rates=load_rates(
            [
                *(event.event_time for event in listed if event.has_money),
                *(row.money_at for row in rows if row.money_at is not None),
            ]
        ),
        signing=load_signing_secrets(
            rule.organization_id for rule in rules.rules.values() if rule.definition.sign
        ),
    )
    rendered = [_EVENT_GONE] * len(postbacks)
    size, began = 0, time.perf_counter()
    before = began
    for source in sources:
        event = None
        for index in places[source.id]:
            if size > BATCH_BYTES or before - began > BATCH_SECONDS:
                rendered[index] = _OVER_BUDGET
                continue
            event = event or (source if isinstance(source, StoredEvent) else source.event())
            each = rendered[index] = _render_or_hold(postbacks[index], event, batch)
            size += each.size
            now = time.perf_counter()
            if now - before > _NOTABLE_SECONDS:
                each.seconds = now - before
            before = now
    return rendered


def render_postback(
    rule: CompiledRule, facts: Facts, rates: Rates, signing: tuple[str, ...]
) -> RenderedPostback:
    """Render a rule's request for these facts, or say why it can't be sent.

    The caller decides whether the rule is switched on, and whether it may send the event.
    """
    return _render_values(rule, values_for(rule, facts, rates), rates, signing)


def _render_values(
    rule: CompiledRule, values: Mapping[str, Value], rates: Rates, signing: tuple[str, ...]
) -> RenderedPostback:
    definition = rule.definition
    if definition.sign and not signing:
        return _refused(rule, "signing_secret", _NO_SIGNING_SECRET)
    try:
        rendering = rule.request.render(values, credentials=rule.credentials, rates=rates)
    except TemplateError as error:
        return _refused(rule, "template", error.problems[0].message)
    except RenderError as error:
        return _refused(rule, error.code, error.detail)
    except SecretUnreadableError as error:
        return _refused(rule, "credential", str(error))
    return RenderedPostback(
        rendering=rendering,
        rule_version=rule.version,
        lane=rule.lane,
        is_paced=definition.is_paced,
        timeout_seconds=definition.timeout_seconds,
        success=definition.success,
        retry_delays=definition.retry_delays,
        varies="attempt" in rule.request.macros,
        secrets=(*rule.credentials.values(), *rendering.secrets, *signing),
        signing=signing if definition.sign else (),
    )


def facts_with_credit(
    rule: CompiledRule,
    event: StoredEvent,
    credit: KnownCredit,
    postback: ClaimedPostback | Postback,
    *,
    attempt: int = 1,
) -> Facts:
    """Return a postback's facts, with the version of the credit that it remembers."""
    began_install = credit.event_ref == event.id
    began_kind = credit.facts.install_kind if began_install else ""
    return event_facts(
        event,
        installed_at=postback.installed_at,
        postback=PostbackFacts(
            id=postback.public_id,
            created_at=postback.created_at,
            partner_event_name=partner_event_name(rule.definition, event.event_name, began_kind),
            partner=rule.partner.public_id if rule.partner else None,
            attempt=attempt,
        ),
        attribution=own_attribution(event) or credit.facts,
        began_install=began_install,
    )


def _render_or_hold(
    postback: ClaimedPostback, event: StoredEvent, batch: _Batch
) -> RenderedPostback:
    """Render one postback; an unexpected error postpones this one and never its neighbors."""
    known, decided_by = batch.rules, (postback.rule_id, postback.rule_version)
    current_version = (postback.rule_id, known.current.get(postback.rule_id, 0))
    version = decided_by if postback.pinned_version else current_version
    if version in known.beyond:
        return _OVER_BUDGET
    rule = known.rules.get(version)
    if rule is None or decided_by not in known.partners:
        return RenderedPostback(postponed=True)  # the operator's log says what can't be read
    try:
        rendered = _render(postback, rule, event, batch)
    except Exception:
        logger.exception("Postback %s could not be rendered", postback.public_id)
        return RenderedPostback(postponed=True)
    current = known.rules.get(current_version, rule)
    if rule is not current:  # the limits are those of now, whatever version is sent
        rendered = replace(rendered, is_paced=current.definition.is_paced)
    return rendered


def _render(
    postback: ClaimedPostback, rule: CompiledRule, event: StoredEvent, batch: _Batch
) -> RenderedPostback:
    if rule.is_archived:
        return _skipped(rule, SkipReason.RULE_ARCHIVED)
    if not rule.is_on:
        return RenderedPostback(held=True)
    decided_by = (postback.rule_id, postback.rule_version)
    if rule.definition.partner_id != batch.rules.partners[decided_by]:
        return _skipped(rule, SkipReason.PARTNER_CHANGED)
    credit = batch.credits.get(postback.credit_version, _NOT_CREDITED)
    facts = facts_with_credit(rule, event, credit, postback, attempt=postback.attempts_made + 1)
    rates = batch.rates.of(event.event_time, known_at=postback.created_at)
    signing = batch.signing.get(postback.organization_id, ())
    if reason := forbidden_reason(rule, facts):
        return _skipped(rule, reason)
    values = values_for(rule, facts, rates)
    if _lacks_required(rule, values, rates):
        return _skipped(rule, SkipReason.MISSING_MACRO)
    return _render_values(rule, values, rates, signing)


def _lacks_required(rule: CompiledRule, values: Mapping[str, Value], rates: Rates) -> bool:
    try:
        return rule.request.missing_required(values, rates=rates) is not None
    except TemplateError:
        return False  # rendering says what is wrong


def _refused(rule: CompiledRule, error: str, refusal: str) -> RenderedPostback:
    return RenderedPostback(
        error=error,
        refusal=refusal,
        rule_version=rule.version,
        lane=rule.lane,
        is_paced=rule.definition.is_paced,
    )


def _skipped(rule: CompiledRule, reason: SkipReason) -> RenderedPostback:
    return RenderedPostback(skipped=reason.value, rule_version=rule.version)
