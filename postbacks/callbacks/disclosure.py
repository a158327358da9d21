"""Turns stored rows into facts, and facts into the values that a rule may disclose."""

from collections.abc import Mapping
from datetime import datetime

from postbacks.callbacks.empty_macros import EmptyMacro, empty_macros
from postbacks.callbacks.facts import AppFacts, EventFacts, Facts, InstallFacts, PostbackFacts
from postbacks.callbacks.macros import Rates, Value
from postbacks.callbacks.rules.compiled import CompiledRule
from postbacks.callbacks.values import consent_evidence, consent_is_missing, macro_values
from postbacks.models import SkipReason
from postbacks.values.attribution import NOT_CREDITED, AttributionFacts
from postbacks.values.events import StoredEvent
from postbacks.values.rule_choices import WithoutConsent


def event_facts(
    event: StoredEvent,
    *,
    installed_at: datetime | None,
    postback: PostbackFacts | None,
    attribution: AttributionFacts = NOT_CREDITED,
    began_install: bool = False,
) -> Facts:
    """Return the facts of a stored event.

    `attribution` is its install's; with `began_install` the event began that install.
    """
    return Facts(
        event=EventFacts(
            event_id=event.event_id,
            event_name=event.event_name,
            event_time=event.event_time,
            received_at=event.received_at,
            source=event.source,
            platform=event.platform or None,
            bundle_id=event.bundle_id or None,
            revenue=event.revenue,
            currency=event.currency or None,
            fields=event.fields,
            params=event.params,
        ),
        app=AppFacts(
            id=event.app.public_id,
            name=event.app.name,
            platform=event.app.platform,
            store_id=event.app.store_id,
            store_share=event.app.store_share,
        ),
        install=InstallFacts(installed_at, began_install) if installed_at else None,
        attribution=attribution,
        postback=postback,
    )


def skip_reason(rule: CompiledRule, facts: Facts, rates: Rates | None = None) -> SkipReason | None:
    """Return why the rule may not send an event that it wants, None if it may.

    Raises TemplateError if the rule's template is no longer valid.
    """
    if reason := forbidden_reason(rule, facts):
        return reason
    values = values_for(rule, facts, rates)
    is_missing = rule.request.missing_required(values, rates=rates) is not None
    return SkipReason.MISSING_MACRO if is_missing else None


def forbidden_reason(rule: CompiledRule, facts: Facts) -> SkipReason | None:
    """Return why the rule's event map or the person's consent forbids an event, or None."""
    if facts.postback is not None and facts.postback.partner_event_name is None:
        return SkipReason.NOT_MAPPED
    if rule.definition.without_consent == WithoutConsent.SKIP and lacks_consent(rule, facts):
        return SkipReason.NO_CONSENT
    return None


def values_for(rule: CompiledRule, facts: Facts, rates: Rates | None = None) -> Mapping[str, Value]:
    """Return the values that this rule may disclose."""
    return macro_values(
        facts,
        rates=rates,
        withhold_personal=(
            rule.definition.without_consent != WithoutConsent.SEND and lacks_consent(rule, facts)
        ),
        withhold_revenue=not rule.definition.send_revenue,
    )


def every_value(facts: Facts, rates: Rates | None = None) -> Mapping[str, Value]:
    """Return all values, for conditions, which disclose nothing."""
    return macro_values(facts, rates=rates)


def consent_refusal(rule: CompiledRule, facts: Facts) -> str:
    """Return how an event forbids sharing data with this rule's partner, "" if it does not."""
    return consent_evidence(facts.event.fields, partner=_partner_names(rule))


def empty_macros_of(
    rule: CompiledRule, facts: Facts, rates: Rates | None
) -> tuple[EmptyMacro, ...]:
    """Return the macros without a value in the request that this rule sends, and why.

    Raises TemplateError if the template is no longer valid.
    """
    withholds = rule.definition.without_consent != WithoutConsent.SEND
    return empty_macros(
        rule.request,
        facts,
        rates=rates,
        consent_refusal=consent_refusal(rule, facts) if withholds else "",
        sends_revenue=rule.definition.send_revenue,
    )


def lacks_consent(rule: CompiledRule, facts: Facts) -> bool:
    """Tell whether the event's person refused to share data with this rule's partner."""
    return consent_is_missing(facts.event.fields, partner=_partner_names(rule))


def _partner_names(rule: CompiledRule) -> tuple[str, ...]:
    return (rule.partner.name, rule.partner.public_id) if rule.partner else ()
