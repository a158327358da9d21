"""Previews rules with the code that sends: for a stored event, a given one, or a sample."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models import App, Partner
from postbacks.attribution.known_installs import load_known_installs
from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.callbacks.disclosure import event_facts, values_for
from postbacks.callbacks.facts import Facts, PostbackFacts, sample_facts
from postbacks.callbacks.lint import KnownEvents, RuleWarning, lint
from postbacks.callbacks.macros import Rates, RenderError, RuleError, TemplateError
from postbacks.callbacks.partner_templates import RuleTemplate, rule_in_use, template_named
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.callbacks.rules.matching import partner_event_name
from postbacks.insights.recent_events import names_of_latest_events
from postbacks.intake.events.validation import check_event
from postbacks.intake.sdk_keys import Reporter
from postbacks.models import Event
from postbacks.models.stored import load_events, stored_app
from postbacks.rulebook.saving import check_compiled, compiled
from postbacks.values.events import ANY_EVENT, StoredApp, StoredEvent
from postbacks.values.install_context import install_context

SAMPLE_ID: Final = UUID("01890000-0000-7000-8000-000000000000")


class SampleEventError(Exception):
    """The event to preview is not valid; `faults` are pointers and reasons."""

    def __init__(self, faults: tuple[tuple[str, str], ...]) -> None:
        super().__init__("; ".join(detail for _, detail in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Preview:
    """A rule's request, credentials masked, and what is wrong or odd about the rule."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None
    problems: tuple[RuleError, ...]
    missing: tuple[str, ...]
    remarks: tuple[RuleWarning, ...] = ()


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
    preview = _rendered(definition, event=event, sdk_event=sdk_event, app=app)
    return replace(preview, remarks=warnings_about(definition))


def warnings_about(definition: RuleDefinition) -> tuple[RuleWarning, ...]:
    """Return the warnings about a rule, none of which keeps it from being saved."""
    return lint(
        definition,
        platform=platform_of(definition),
        template=template_in_use(definition),
        known_events=known_events(),
    )


def known_events() -> KnownEvents:
    """Return the names that the organization's events have had of late."""
    names, is_all = names_of_latest_events()
    return KnownEvents(names, is_all)


def platform_of(definition: RuleDefinition) -> str:
    """Return the platform of the rule's app; empty if the rule is for all apps."""
    app = App.objects.filter(pk=definition.app_id).first() if definition.app_id else None
    return app.platform if app is not None else ""


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


def rates_for(facts: Facts, *, is_sample: bool) -> Rates:
    """Return the rates that would count if the postback were decided now."""
    now = datetime.now(UTC)
    moment = now if is_sample else facts.event.event_time
    return load_rates([moment]).of(moment, known_at=now)


def facts_for(
    definition: RuleDefinition,
    *,
    event: Event | None,
    sdk_event: Mapping[str, object] | None,
    app: App | None,
) -> Facts:
    """Return the facts of a stored event, a given one, or the sample.

    Raises SampleEventError if a given event is not valid.
    """
    if event is None and sdk_event is None:
        return _sample_facts(definition)
    stored = _stored_event(event) if event is not None else _given_event(sdk_event or {}, app)
    known_install = load_known_installs([stored]).of(stored) if event is not None else None
    install = install_context(stored, known_install)
    name = (
        partner_event_name(definition, stored.event_name, install.began_kind) or stored.event_name
    )
    return event_facts(
        stored,
        installed_at=install.installed_at,
        postback=PostbackFacts(
            id=SAMPLE_ID, created_at=stored.received_at, partner_event_name=name
        ),
        attribution=install.attribution,
        began_install=bool(install.began_kind),
    )


def _rendered(
    definition: RuleDefinition,
    *,
    event: Event | None,
    sdk_event: Mapping[str, object] | None,
    app: App | None,
) -> Preview:
    rule = compiled(definition)
    problems = check_compiled(rule)
    try:
        facts = facts_for(definition, event=event, sdk_event=sdk_event, app=app)
        rates = rates_for(facts, is_sample=event is None and sdk_event is None)
        values = values_for(rule, facts, rates)
        rendering = rule.request.render(values, credentials=rule.credentials, rates=rates)
    except TemplateError:
        return Unrendered(definition.method, definition.url, {}, None, problems, ())
    except (RenderError, SecretUnreadableError) as error:
        detail = error.detail if isinstance(error, RenderError) else str(error)
        problems = (*problems, RuleError("url", 0, detail))
        return Unrendered(definition.method, definition.url, {}, None, problems, ())
    request = rendering.redacted
    body = None if request.body is None else request.body.decode("utf-8", "replace")
    return Preview(request.method, request.url, request.headers, body, problems, rendering.missing)


def _sample_facts(definition: RuleDefinition) -> Facts:
    """Return the sample as an event that the rule wants, by the name that its partner knows."""
    sample = sample_facts()
    trigger = next((name for name in definition.triggers if name != ANY_EVENT), None)
    event = replace(sample.event, event_name=trigger or sample.event.event_name)
    postback = PostbackFacts(
        id=SAMPLE_ID,
        created_at=event.received_at,
        partner_event_name=partner_event_name(definition, event.event_name),
    )
    return replace(sample, event=event, postback=postback)


def _stored_event(event: Event) -> StoredEvent:
    (stored,) = load_events([(event.pk, event.received_at)])
    return stored


def _given_event(sdk_event: Mapping[str, object], app: App | None) -> StoredEvent:
    now = datetime.now(UTC)
    reporter = Reporter(
        organization_id=app.organization_id if app else 0,
        app_id=app.pk if app else 0,
        is_server=True,
        platform=app.platform if app else "",
        bundle_ids=_bundle_ids(sdk_event, app),
    )
    checked = check_event(dict(sdk_event), reporter=reporter, now=now)
    if checked.errors:
        raise SampleEventError(tuple((error.pointer, error.detail) for error in checked.errors))
    return StoredEvent.from_checked(
        checked.row, app=stored_app(app) if app else StoredApp.unknown(), received_at=now
    )


def _bundle_ids(sdk_event: Mapping[str, object], app: App | None) -> tuple[str, ...]:
    if app is not None:
        return tuple(app.bundle_ids.values_list("identifier", flat=True))
    bundle_id = sdk_event.get("bundle_id")
    return (bundle_id,) if isinstance(bundle_id, str) else ()
