"""④ Warnings about rules that can be saved and still may not do what was meant. Plain Python.

The compiler's errors keep a rule from being saved. A warning blocks nothing; if there is one
obvious fix, it carries it.
"""

from collections.abc import Iterator

from postbacks.callbacks.lint import addresses, amounts, audience, meaning
from postbacks.callbacks.lint.audience import STANDARD_EVENTS, KnownEvents
from postbacks.callbacks.lint.meaning import is_personal, platform_names
from postbacks.callbacks.lint.placeholders import placeholders_in
from postbacks.callbacks.lint.rule_warnings import (
    LOSES_IN_SILENCE,
    Fix,
    RuleWarning,
    WarningCode,
    fix_of,
)
from postbacks.callbacks.lint.texts import RequestText, names_in, texts_of
from postbacks.callbacks.macros import BodyType, RuleError
from postbacks.callbacks.partner_templates.shape import RuleTemplate, TemplateParameter
from postbacks.callbacks.rules.definition import RuleDefinition

__all__ = [
    "LOSES_IN_SILENCE",
    "STANDARD_EVENTS",
    "Fix",
    "KnownEvents",
    "RuleWarning",
    "WarningCode",
    "amount_errors",
    "fix_of",
    "is_personal",
    "lint",
    "missing_rows",
    "names_in",
    "platform_names",
]


def lint(
    definition: RuleDefinition,
    *,
    platform: str = "",
    template: RuleTemplate | None = None,
    known_events: KnownEvents | None = None,
) -> tuple[RuleWarning, ...]:
    """Return the warnings about a rule, field by field.

    `platform` is that of the rule's app, empty if the rule is for all apps. `template` is the
    request of a partner template that the rule was made from. Without `known_events` no event name
    is doubted.
    """
    texts = texts_of(definition)
    conditions = audience.readable_conditions(definition)
    warnings = [warning for text in texts for warning in _on_text(text, definition, template)]
    warnings += meaning.personal(definition, texts)
    warnings += audience.empty_for_organic(definition, conditions, texts, template)
    warnings += audience.without_partner(definition, conditions, texts)
    warnings += audience.unmapped(definition)
    warnings += audience.withheld_money(definition, texts)
    warnings += audience.sampled_away(definition)
    if known_events is not None:
        warnings += audience.unknown_events(definition, conditions, known_events)
        warnings += audience.without_currency(definition, texts, known_events)
    if platform:
        warnings += meaning.absent_on(platform, texts)
    if template is not None:
        warnings += meaning.required(definition, texts, template)
    return tuple(warnings)


def amount_errors(definition: RuleDefinition) -> tuple[RuleError, ...]:
    """Return the filters of money that keep a rule from being saved.

    They compile all the same: versions that were saved before go on being sent.
    """
    return tuple(amounts.amount_errors(texts_of(definition)))


def missing_rows(
    definition: RuleDefinition, template: RuleTemplate
) -> tuple[TemplateParameter, ...]:
    """Return the template's rows that `required_missing` warns of, in the same order."""
    return meaning.absent_rows(texts_of(definition), template)


def _on_text(
    text: RequestText, definition: RuleDefinition, template: RuleTemplate | None
) -> Iterator[RuleWarning]:
    placeholders = placeholders_in(text)
    yield from placeholders
    yield from amounts.odd_amounts(text)
    is_form = text.field == "body" and definition.body_type == BodyType.FORM
    if text.field == "url" and not (template and template.url.startswith("http://")):
        yield from addresses.unencrypted(text)
    if text.field == "url" or is_form:
        spans = [(warning.position, warning.position + warning.length) for warning in placeholders]
        yield from addresses.unencoded(text, spans)
        yield from addresses.entities(text)
        yield from addresses.duplicates(text)
    if text.field == "body" and definition.body_type == BodyType.JSON:
        yield from addresses.duplicate_members(text)
