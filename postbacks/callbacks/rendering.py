"""⑤ Renders claimed postbacks: a pure function of rule version, event, credit, rates, credentials.

The credit of the install is the version that the postback remembers; the rates are those of the
event's day as they were known when the postback was decided.
"""

import logging
from collections.abc import Sequence

from apps_registry.crypto.encryption import SecretUnreadableError
from postbacks.callbacks.credits import KnownCredit, load_credits
from postbacks.callbacks.currency.stored_rates import RatesOfDays, load_rates
from postbacks.callbacks.disclosure import facts_of, values_for
from postbacks.callbacks.facts import Facts, PostbackFacts
from postbacks.callbacks.macros import Rates, RenderError, TemplateError
from postbacks.callbacks.rules.compiled import CompiledRule, load_rule_versions
from postbacks.callbacks.rules.matching import partner_event_name
from postbacks.callbacks.signing_secrets import load_signing_secrets
from postbacks.models import Postback
from postbacks.models.stored import load_events
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import own_attribution
from postbacks.values.outgoing_request import ClaimedPostback, RenderedPostback

logger = logging.getLogger(__name__)

_NOT_CREDITED = KnownCredit()

_NO_SIGNING_SECRET = "The organization has no signing secret that can be read; rotate it."  # noqa: S105  # a sentence


def prepare(batch: Sequence[ClaimedPostback]) -> list[RenderedPostback]:
    """Return how each postback of a batch is to be sent, in the batch's order."""
    rules = load_rule_versions((owed.rule_id, owed.rule_version) for owed in batch)
    keys = {(owed.event_id, owed.event_received_at) for owed in batch}
    events = {event.id: event for event in load_events(keys)}
    told = load_credits(owed.credit_version for owed in batch if owed.install_id is not None)
    signing = load_signing_secrets(
        rule.organization_id for rule in rules.values() if rule.definition.sign
    )
    rates = load_rates(event.event_time for event in events.values() if event.has_money)
    return [
        _prepare_or_hold(
            owed,
            rules.get((owed.rule_id, owed.rule_version)),
            events.get(owed.event_id),
            told.get(owed.credit_version, _NOT_CREDITED),
            rates,
            signing.get(owed.organization_id, ()),
        )
        for owed in batch
    ]


def _prepare_or_hold(
    owed: ClaimedPostback,
    rule: CompiledRule | None,
    event: StoredEvent | None,
    credit: KnownCredit,
    rates: RatesOfDays,
    signing: tuple[str, ...],
) -> RenderedPostback:
    """Prepare one postback; a surprise holds this one back and never its neighbors."""
    if event is None:
        return RenderedPostback(
            error="event_gone", refusal="The event's data are no longer stored."
        )
    if rule is None:  # its version can't be read, which the operator's log says
        return RenderedPostback(held=True)
    try:
        return _prepare(owed, rule, event, credit, rates, signing)
    except Exception:
        logger.exception("Postback %s could not be rendered", owed.public_id)
        return RenderedPostback(held=True)


def _prepare(
    owed: ClaimedPostback,
    rule: CompiledRule,
    event: StoredEvent,
    credit: KnownCredit,
    rates_of_days: RatesOfDays,
    signing: tuple[str, ...],
) -> RenderedPostback:
    if rule.is_archived:
        return RenderedPostback(
            error="rule_archived", refusal="The rule or its partner was archived."
        )
    if not rule.is_on:
        return RenderedPostback(held=True)
    facts = facts_by_credit(rule, event, credit, owed, attempt=owed.attempts_made + 1)
    rates = rates_of_days.of(event.event_time, known_at=owed.created_at)
    return prepare_for(rule, facts, rates, signing)


def facts_by_credit(
    rule: CompiledRule,
    event: StoredEvent,
    credit: KnownCredit,
    postback: ClaimedPostback | Postback,
    *,
    attempt: int = 1,
) -> Facts:
    """Return what a postback is made of, with the version of the credit that it remembers."""
    is_begun = credit.event_ref == event.id
    began = credit.facts.install_kind if is_begun else ""
    return facts_of(
        event,
        installed_at=postback.installed_at,
        postback=PostbackFacts(
            id=postback.public_id,
            created_at=postback.created_at,
            partner_event_name=partner_event_name(rule.definition, event.event_name, began),
            partner=rule.partner.public_id if rule.partner else None,
            attempt=attempt,
        ),
        attribution=own_attribution(event) or credit.facts,
        is_begun=is_begun,
    )


def prepare_for(
    rule: CompiledRule, facts: Facts, rates: Rates, signing: tuple[str, ...]
) -> RenderedPostback:
    """Return how a rule's request for these facts is to be sent, or why it can't be.

    It asks nobody whether the rule is switched on.
    """
    definition = rule.definition
    if definition.sign and not signing:
        return RenderedPostback(error="signing_secret", refusal=_NO_SIGNING_SECRET)
    try:
        values = values_for(rule, facts, rates)
        rendering = rule.request.render(values, credentials=rule.credentials, rates=rates)
    except TemplateError as error:
        return RenderedPostback(error="template", refusal=error.problems[0].message)
    except RenderError as error:
        return RenderedPostback(error=error.code, refusal=error.detail)
    except SecretUnreadableError as error:
        return RenderedPostback(error="credential", refusal=str(error))
    return RenderedPostback(
        rendering=rendering,
        timeout_seconds=definition.timeout_seconds,
        success=definition.success,
        retry_delays=definition.retry_delays,
        varies="attempt" in rule.request.macros,
        secrets=(*rule.credentials.values(), *rendering.secrets, *signing),
        signing=signing if definition.sign else (),
    )
