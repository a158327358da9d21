"""Checks, previews and saves rules, for the API and for people alike.

A rule touches both rendering and delivery: its macros must compile, and its address must be one
that may be reached. Neither step knows the other, so they meet here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings

from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models import App, Partner, User
from apps_registry.models.signing import ensure_signing_secret
from postbacks.attribution.known_installs import load_known_installs
from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.callbacks.disclosure import facts_of, values_for
from postbacks.callbacks.facts import Facts, PostbackFacts, sample_facts
from postbacks.callbacks.lint import RuleWarning, lint
from postbacks.callbacks.macros import Rates, RenderError, RuleError, TemplateError
from postbacks.callbacks.partner_templates import RuleTemplate, rule_in_use, template_named
from postbacks.callbacks.rules import versions
from postbacks.callbacks.rules.compiled import UNSAVED, CompiledRule, PartnerSecrets
from postbacks.callbacks.rules.conditions import compile_conditions
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.callbacks.rules.matching import ANY_EVENT, partner_event_name
from postbacks.delivery.http.destinations import Destinations, problem_with_url
from postbacks.delivery.resend import release_held
from postbacks.delivery.success import parse_success
from postbacks.intake.events.validation import check_event
from postbacks.intake.sdk_keys import Reporter
from postbacks.models import CallbackRule, Event, RuleStatus
from postbacks.models.stored import load_events, stored_app
from postbacks.values.events import StoredApp, StoredEvent
from postbacks.values.install_context import install_context

# FOLDED from rule_remarks.py


def remarks_on(definition: RuleDefinition) -> tuple[RuleWarning, ...]:
    """Return what is odd about a rule and keeps nobody from saving it."""
    return lint(definition, platform=platform_of(definition), template=template_in_use(definition))


def platform_of(definition: RuleDefinition) -> str:
    """Return where the rule's app runs; nothing if the rule is for all apps."""
    app = App.objects.filter(pk=definition.app_id).first() if definition.app_id else None
    return app.platform if app is not None else ""


def template_in_use(definition: RuleDefinition) -> RuleTemplate | None:
    """Return the request of its partner's template that a rule still is, if any."""
    partner = (
        Partner.objects.filter(pk=definition.partner_id).first() if definition.partner_id else None
    )
    template = template_named(partner.template) if partner and partner.template else None
    if template is None:
        return None
    return rule_in_use(
        template, url=definition.url, method=definition.method, body_type=definition.body_type
    )


SAMPLE_ID = UUID("01890000-0000-7000-8000-000000000000")


class RuleProblemsError(Exception):
    """A rule can't be saved; `problems` names every reason."""

    def __init__(self, problems: tuple[RuleError, ...]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


class SampleEventError(Exception):
    """The event to preview is not valid; `faults` are pointers and reasons."""

    def __init__(self, faults: tuple[tuple[str, str], ...]) -> None:
        super().__init__("; ".join(detail for _, detail in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule would send, credentials masked, and what is wrong with it."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None
    problems: tuple[RuleError, ...]
    missing: tuple[str, ...]
    remarks: tuple[RuleWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class Unrendered(Preview):
    """The template as it was written: its problems say why it could not be filled in."""


def check(definition: RuleDefinition, *, promised: Collection[str] = ()) -> tuple[RuleError, ...]:
    """Return every reason why a rule can't be saved.

    Its partner's credentials may be `promised`: an imported draft waits for them.
    """
    problems = [
        *_template_problems(definition, promised),
        *_condition_problems(definition),
    ]
    destinations = Destinations(settings.ALLOW_PRIVATE_DESTINATIONS)
    if not any(problem.field == "url" for problem in problems):
        sentence = _problem_with_destination(definition, destinations)
        problems += [RuleError("url", 0, sentence)] if sentence else []
    try:
        parse_success(definition.success)
    except ValueError as error:
        problems.append(RuleError("success", 0, str(error)))
    return (*problems, *_trigger_problems(definition))


def save(rule: CallbackRule, *, by: User | None, promised: Collection[str] = ()) -> None:
    """Save a rule and its version. Raises RuleProblemsError and then saves nothing."""
    problems = check(versions.definition_from(rule), promised=promised)
    if problems:
        raise RuleProblemsError(problems)
    if rule.sign:
        ensure_signing_secret()
    before = CallbackRule.objects.filter(pk=rule.pk).values_list("status", flat=True).first()
    versions.save_rule(rule, by=by)
    if rule.status == RuleStatus.ACTIVE and before not in {None, RuleStatus.ACTIVE}:
        release_held(rule)


def preview(
    definition: RuleDefinition,
    *,
    event: Event | None = None,
    sdk_event: Mapping[str, object] | None = None,
    app: App | None = None,
) -> Preview:
    """Render a rule with the code that sends, for a stored event, a given one, or a sample.

    Saves and sends nothing. Raises SampleEventError where a given event is not valid.
    """
    seen = _rendered(definition, event=event, sdk_event=sdk_event, app=app)
    return replace(seen, remarks=remarks_on(definition))


def _rendered(
    definition: RuleDefinition,
    *,
    event: Event | None,
    sdk_event: Mapping[str, object] | None,
    app: App | None,
) -> Preview:
    problems = check(definition)
    rule = compiled(definition)
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
    redacted = rendering.redacted
    body = None if redacted.body is None else redacted.body.decode("utf-8", "replace")
    return Preview(
        redacted.method, redacted.url, redacted.headers, body, problems, rendering.missing
    )


def rates_for(facts: Facts, *, is_sample: bool) -> Rates:
    """Return the rates that would count if the postback were decided now."""
    now = datetime.now(UTC)
    moment = now if is_sample else facts.event.event_time
    return load_rates([moment]).of(moment, known_at=now)


def _template_problems(
    definition: RuleDefinition, promised: Collection[str]
) -> tuple[RuleError, ...]:
    try:
        _ = compiled(definition, promised).request
    except TemplateError as error:
        return error.problems
    return ()


def _condition_problems(definition: RuleDefinition) -> tuple[RuleError, ...]:
    try:
        compile_conditions(definition.conditions)
    except TemplateError as error:
        return error.problems
    return ()


def _problem_with_destination(definition: RuleDefinition, destinations: Destinations) -> str | None:
    host_is_credential = definition.url.partition("://")[2].lstrip().startswith("{{")
    return None if host_is_credential else problem_with_url(definition.url, destinations)


def _trigger_problems(definition: RuleDefinition) -> list[RuleError]:
    if not definition.triggers:
        return [RuleError("triggers", 0, "Name at least one event, or * for any event.")]
    return [
        RuleError("triggers", 0, f"“{name}” is not an event name of 1 to 64 visible characters.")
        for name in definition.triggers
        if not 1 <= len(name) <= 64 or not name.isprintable() or name != name.strip()
    ]


def compiled(definition: RuleDefinition, promised: Collection[str] = ()) -> CompiledRule:
    """Return a rule, saved or not, ready to be asked; it is not cached."""
    return CompiledRule(
        organization_id=0,
        rule_id=UNSAVED,
        version=0,
        status=RuleStatus.DRAFT,
        definition=definition,
        partner=_partner(definition.partner_id, promised),
    )


def _partner(partner_id: int | None, promised: Collection[str]) -> PartnerSecrets | None:
    partner = Partner.objects.filter(pk=partner_id).first() if partner_id else None
    if partner is None:
        return None
    return PartnerSecrets(
        organization_id=partner.organization_id,
        id=partner.pk,
        public_id=str(partner.public_id),
        name=partner.name,
        status=partner.status,
        allowed_hosts=frozenset(partner.allowed_hosts),
        sealed={
            **dict.fromkeys(promised, ""),
            **dict(partner.credentials.values_list("name", "sealed")),
        },
    )


def facts_for(
    definition: RuleDefinition,
    *,
    event: Event | None,
    sdk_event: Mapping[str, object] | None,
    app: App | None,
) -> Facts:
    """Return what is known of a stored event, a given one, or the sample.

    Raises SampleEventError where a given event is not valid.
    """
    if event is None and sdk_event is None:
        return _sample(definition)
    stored = _stored(event) if event is not None else _given(sdk_event or {}, app)
    known = load_known_installs([stored]).of(stored) if event is not None else None
    standing = install_context(stored, known)
    called = partner_event_name(definition, stored.event_name, standing.began)
    name = called or stored.event_name
    postback = PostbackFacts(id=SAMPLE_ID, created_at=stored.received_at, partner_event_name=name)
    return facts_of(
        stored,
        installed_at=standing.installed_at,
        postback=postback,
        attribution=standing.attribution,
        is_begun=bool(standing.began),
    )


def _sample(definition: RuleDefinition) -> Facts:
    """Return the sample as an event that the rule wants, by the name that its partner knows."""
    sample = sample_facts()
    wanted = next((name for name in definition.triggers if name != ANY_EVENT), None)
    event = replace(sample.event, event_name=wanted or sample.event.event_name)
    postback = PostbackFacts(
        id=SAMPLE_ID,
        created_at=event.received_at,
        partner_event_name=partner_event_name(definition, event.event_name),
    )
    return replace(sample, event=event, postback=postback)


def _stored(event: Event) -> StoredEvent:
    (stored,) = load_events([(event.pk, event.received_at)])
    return stored


def _given(sdk_event: Mapping[str, object], app: App | None) -> StoredEvent:
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
    named = sdk_event.get("bundle_id")
    return (named,) if isinstance(named, str) else ()
