"""Says refusals and skips with the names and values that the pure decisions don't know."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from postbacks.callbacks.disclosure import (
    consent_refusal,
    empty_macros_of,
    skip_reason,
    values_for,
)
from postbacks.callbacks.facts import Facts
from postbacks.callbacks.macros import Rates, TemplateError
from postbacks.callbacks.rules.compiled import CompiledRule
from postbacks.callbacks.rules.conditions import Refusal
from postbacks.insights.touchpoint_outcomes import judged_touchpoints
from postbacks.insights.wording import lower_first
from postbacks.models import Attribution, CallbackRule, SkipReason
from postbacks.values.attribution import ORGANIC
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import InstallContext
from postbacks.values.rule_choices import AttributionScope

_MOST_NAMED = 3  # touchpoints of one partner that a sentence names

_SCOPES: Mapping[str, str] = {
    AttributionScope.PARTNER: "The rule is for installs that its partner earned",
    AttributionScope.PARTNER_AND_ORGANIC: (
        "The rule is for organic installs and those that its partner earned"
    ),
    AttributionScope.ANY_ATTRIBUTED: "The rule is for installs that somebody earned",
}


def skip_refusal(
    reason: SkipReason, rule: CompiledRule, facts: Facts, rates: Rates | None
) -> Refusal:
    """Return why a rule skips an event, with the evidence.

    Raises TemplateError if the rule's template is no longer valid.
    """
    detail, macro = f"{reason.label}.", ""
    if reason is SkipReason.NOT_MAPPED:
        detail = f"The event map does not name {facts.event.event_name}."
    elif reason is SkipReason.NO_CONSENT:
        detail = f"The person did not consent ({consent_refusal(rule, facts)})."
    elif reason is SkipReason.MISSING_MACRO:
        values = values_for(rule, facts, rates)
        macro = rule.request.missing_required(values, rates=rates) or ""
        detail = _why_missing(macro, rule, facts, rates)
    return Refusal(reason, detail, macro)


def skip_refusal_of(
    reason: str, rule: CompiledRule | None, facts: Facts, rates: Rates | None
) -> Refusal | None:
    """Return why a postback was skipped, if this version of its rule skips it for this reason."""
    try:
        if rule is None or not reason or skip_reason(rule, facts, rates) != reason:
            return None
        return skip_refusal(SkipReason(reason), rule, facts, rates)
    except TemplateError:
        return None


def _why_missing(macro: str, rule: CompiledRule, facts: Facts, rates: Rates | None) -> str:
    for empty in empty_macros_of(rule, facts, rates):
        if empty.macro == macro:
            return empty.detail
    return f"{{{{{macro}}}}} is required and has no value."


@dataclass
class RefusalWording:
    """Names what an event's refusals are about: the apps, who earned the install, who lost it."""

    event: StoredEvent
    install: InstallContext
    _outcomes: dict[str, str] = field(default_factory=dict)  # by partner

    def named(self, refusal: Refusal, rule: CallbackRule, scope: str) -> Refusal:
        """Return a refusal in words that name both sides."""
        if refusal.code == "app" and rule.app is not None:
            detail = f"The rule is for {rule.app.name}; the event is of {self.event.app.name}."
            return replace(refusal, detail=detail)
        if refusal.code == "attribution_scope" and self.install.installed_at is not None:
            partner = rule.partner.name if rule.partner else ""
            detail = f"{_SCOPES[scope]}; {self._who_earned}{self._own_touchpoints(partner)}"
            return replace(refusal, detail=detail)
        return refusal

    @property
    def _who_earned(self) -> str:
        attribution = self.install.attribution
        if attribution.type == ORGANIC:
            return "this one is organic."
        return f"{attribution.partner_name or 'another partner'} earned this one."

    def _own_touchpoints(self, partner: str) -> str:
        """Return what became of a partner's own touchpoints, as the decision says it."""
        if partner not in self._outcomes:
            rows = [row for row in self._judged if partner and row.get("partner") == partner]
            outcomes = [
                f" Its {row.get('kind') or 'touchpoint'} did not earn it: {_continued(row)}"
                for row in rows[:_MOST_NAMED]
                if row.get("sentence")
            ]
            self._outcomes[partner] = "".join(outcomes)
        return self._outcomes[partner]

    @cached_property
    def _judged(self) -> tuple[Mapping[str, Any], ...]:
        """Return the touchpoints that the credit's decision names, each once."""
        decisions = Attribution.objects.filter(
            install=self.install.install_id, version=self.install.attribution_version
        )
        rows = [row for decision in decisions for row, _ in judged_touchpoints(decision)]
        return tuple({str(row.get("touchpoint")): row for row in rows}.values())


def _continued(row: Mapping[str, Any]) -> str:
    return lower_first(str(row["sentence"]))
