"""Previews rules with the code that sends: for a stored event, a given one, or a sample."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models import App, Partner
from postbacks.callbacks.disclosure import empty_macros_of, values_for
from postbacks.callbacks.empty_macros import EmptyMacro
from postbacks.callbacks.lint import KnownEvents, RuleWarning, WarningCode, lint
from postbacks.callbacks.macros import RenderError, RuleError, TemplateError
from postbacks.callbacks.partner_templates import RuleTemplate, rule_in_use, template_named
from postbacks.callbacks.rules.conditions import Refusal
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.insights.recent_events import latest_events
from postbacks.models import Event
from postbacks.rulebook.saving import check_compiled, compiled, size_problems
from postbacks.rulebook.trial_events import (
    TrialEvent,
    platform_of,
    reasons_to_skip,
    trial_event,
)


@dataclass(frozen=True, slots=True)
class Preview:
    """A rule's request, credentials masked, and what is wrong or odd about the rule.

    `skips` says why the rule, switched on, would not send the event, `empty_macros` why macros of
    its request have no value.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None
    problems: tuple[RuleError, ...]
    missing: tuple[str, ...]
    remarks: tuple[RuleWarning, ...] = ()
    skips: tuple[Refusal, ...] = ()
    empty_macros: tuple[EmptyMacro, ...] = ()


@dataclass(frozen=True, slots=True)
class Unrendered(Preview):
    """The template as it was written; its problems say why it could not be rendered."""


def preview_definition(
    definition: RuleDefinition,
    *,
    event: Event | None = None,
    sdk_event: Mapping[str, object] | None = None,
    app: App | None = None,
) -> Preview:
    """Render a rule for a stored event, a given one, or a sample; saves and sends nothing.

    Raises SampleEventError if a given event is not valid.
    """
    if too_much := size_problems(definition):
        return Unrendered(definition.method, definition.url, {}, None, too_much, ())
    trial = trial_event(definition, event=event, sdk_event=sdk_event, app=app)
    on_event = (
        RuleWarning(f"event.{name}", 0, 0, WarningCode.EVENT, detail)
        for name, detail in trial.warnings.items()
    )
    remarks = (*warnings_about(definition), *on_event)
    return replace(_rendered(definition, trial), remarks=remarks)


def warnings_about(definition: RuleDefinition) -> tuple[RuleWarning, ...]:
    """Return the warnings about a rule, none of which keeps it from being saved."""
    return lint(
        definition,
        platform=platform_of(definition),
        template=template_in_use(definition),
        known_events=known_events(),
    )


def known_events() -> KnownEvents:
    """Return what is known of the organization's recent events."""
    latest = latest_events()
    return KnownEvents(latest.names, latest.is_all, latest.without_currency)


def template_in_use(definition: RuleDefinition) -> RuleTemplate | None:
    """Return the request of the partner's template that the rule still is, if any."""
    partner = (
        Partner.objects.filter(pk=definition.partner_id).first() if definition.partner_id else None
    )
    template = template_named(partner.template) if partner and partner.template else None
    if template is None:
        return None
    return rule_in_use(
        template, url=definition.url, method=definition.method, body_type=definition.body_type
    )


def _rendered(definition: RuleDefinition, trial: TrialEvent) -> Preview:
    rule = compiled(definition)
    problems = check_compiled(rule)
    skips = reasons_to_skip(rule, trial)
    broken = Unrendered(definition.method, definition.url, {}, None, problems, (), skips=skips)
    try:
        values = values_for(rule, trial.facts, trial.rates)
        rendering = rule.request.render(values, credentials=rule.credentials, rates=trial.rates)
    except TemplateError:
        return broken
    except (RenderError, SecretUnreadableError) as error:
        detail = error.detail if isinstance(error, RenderError) else str(error)
        return replace(broken, problems=(*problems, RuleError("url", 0, detail)))
    request = rendering.redacted
    body = None if request.body is None else request.body.decode("utf-8", "replace")
    return Preview(
        request.method,
        request.url,
        request.headers,
        body,
        problems,
        rendering.missing,
        skips=skips,
        empty_macros=(empty_macros_of(rule, trial.facts, trial.rates) if rendering.missing else ()),
    )
