"""The events for which a rule is tried, and why the rule would send nothing for one.

A rule is tried for an event that was received, for one that a program gives, or for a sample. What
is known of each differs: a received event has its install and credit; a given one is only itself;
the sample is made to suit the rule.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from apps_registry.models import App
from postbacks.attribution.installs import KnownInstalls, foresee_installs
from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.callbacks.decisions import all_refusals_and_decision
from postbacks.callbacks.disclosure import event_facts, skip_reason
from postbacks.callbacks.facts import Facts, PostbackFacts, sample_facts
from postbacks.callbacks.macros import Rates, TemplateError
from postbacks.callbacks.rules.compiled import CompiledRule
from postbacks.callbacks.rules.conditions import Refusal
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.callbacks.rules.matching import TRIGGER, partner_event_name
from postbacks.insights.wording import lower_first
from postbacks.intake.events.validation import NO_CURRENCY, check_event, lacks_currency
from postbacks.intake.sdk_keys import Reporter
from postbacks.models import Event, SkipReason
from postbacks.models.stored import load_events, stored_app
from postbacks.rulebook.refusal_details import skip_refusal
from postbacks.values.events import ANY_EVENT, INSTALL, LIFE_CYCLE, StoredApp, StoredEvent
from postbacks.values.install_context import InstallContext, install_context

SAMPLE_ID: Final = UUID("01890000-0000-7000-8000-000000000000")
WOULD_BE_SKIPPED: Final = "This event would be skipped"
PARTNER_ARCHIVED: Final = "partner_archived"
_KNOWN_OF_GIVEN: Final = frozenset({TRIGGER, "condition"})


class SampleEventError(Exception):
    """The event to preview is not valid; `faults` are pointers and reasons."""

    def __init__(self, faults: tuple[tuple[str, str], ...]) -> None:
        super().__init__("; ".join(detail for _, detail in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class TrialEvent:
    """An event to try a rule with. Without `stored` it is the sample.

    `is_received`: its install and credit are known. `warnings` say by field what the intake
    remarks on the event.
    """

    facts: Facts
    rates: Rates
    stored: StoredEvent | None = None
    install: InstallContext = field(default_factory=InstallContext)
    is_received: bool = False
    warnings: Mapping[str, str] = field(default_factory=dict)


def trial_event(
    definition: RuleDefinition,
    *,
    event: Event | None,
    sdk_event: Mapping[str, object] | None,
    app: App | None,
) -> TrialEvent:
    """Return a received event, a given one, or the sample, as a sample postback renders it.

    Raises SampleEventError if a given event is not valid.
    """
    if event is None and sdk_event is None:
        return TrialEvent(_sample_for(definition), _rates_at(datetime.now(UTC)))
    warnings: Mapping[str, str] = {}
    if event is not None:
        (stored,) = load_events([(event.pk, event.received_at)])
        known_install = foresee_installs([stored], KnownInstalls()).get(stored.id)
        install = install_context(stored, known_install)
        if lacks_currency(stored.revenue, stored.fields.get("price"), stored.currency):
            warnings = {"currency": NO_CURRENCY}
    else:
        stored, warnings = _given_event(sdk_event or {}, app)
        install = install_context(stored, None)
    name = (
        partner_event_name(definition, stored.event_name, install.began_kind) or stored.event_name
    )
    facts = event_facts(
        stored,
        installed_at=install.installed_at,
        postback=PostbackFacts(SAMPLE_ID, stored.received_at, name),
        attribution=install.attribution,
        began_install=bool(install.began_kind),
    )
    return TrialEvent(
        facts,
        _rates_at(stored.event_time),
        stored,
        install,
        is_received=event is not None,
        warnings=warnings,
    )


def platform_of(definition: RuleDefinition) -> str:
    """Return the platform of the rule's app; empty if the rule is for all apps."""
    app = App.objects.filter(pk=definition.app_id).first() if definition.app_id else None
    return app.platform if app is not None else ""


def reasons_to_skip(rule: CompiledRule, trial: TrialEvent) -> tuple[Refusal, ...]:
    """Return everything that would keep a rule, switched on, from sending the event.

    Of a given event neither install, credit nor sample of devices is known, so these are not
    asked; the sample is one that the triggers and conditions let pass.
    """
    return tuple(_reasons(rule, trial))


def skip_sentence(reasons: tuple[Refusal, ...]) -> str:
    """Return the reasons as one sentence; empty without any."""
    return f"{WOULD_BE_SKIPPED}: {'; '.join(skip_details(reasons))}." if reasons else ""


def skip_details(reasons: tuple[Refusal, ...]) -> tuple[str, ...]:
    """Return the reasons as they go on after a colon."""
    return tuple(lower_first(reason.detail.removesuffix(".")) for reason in reasons)


def _sample_for(definition: RuleDefinition) -> Facts:
    """Return the sample as an event that the rule wants, on the platform of the rule's app."""
    sample = sample_facts(platform_of(definition))
    names = [name for name in definition.triggers if name != ANY_EVENT]
    if len(names) < len(definition.triggers):
        names += [sample.event.event_name, *definition.event_map]
    sent = [name for name in names if partner_event_name(definition, name) is not None]
    name = next(iter((*sent, *names)), sample.event.event_name)
    return replace(
        sample,
        event=replace(sample.event, event_name=name),
        postback=PostbackFacts(
            SAMPLE_ID, sample.event.received_at, partner_event_name(definition, name)
        ),
    )


def _reasons(rule: CompiledRule, trial: TrialEvent) -> Iterator[Refusal]:
    if rule.is_archived:
        yield Refusal(PARTNER_ARCHIVED, "Its partner is archived.")
    if trial.stored is None:
        reason = _skip_reason(rule, trial)
        refusals: list[Refusal] = []
    else:
        refusals, reason = _refusals_and_skip(rule, trial.stored, trial)
    for refusal in refusals:
        if trial.is_received or refusal.code in _KNOWN_OF_GIVEN:
            yield _named(refusal, trial)
    if reason:
        yield skip_refusal(SkipReason(reason), rule, trial.facts, trial.rates)


def _refusals_and_skip(
    rule: CompiledRule, stored: StoredEvent, trial: TrialEvent
) -> tuple[list[Refusal], str]:
    install = trial.install
    if not trial.is_received and stored.event_name in LIFE_CYCLE:
        install = replace(install, began_kind=INSTALL)  # a given open may be the first
    try:
        refusals, decision = all_refusals_and_decision(
            rule, stored, install, now=datetime.now(UTC), rates=trial.rates
        )
    except TemplateError:
        return [], ""  # the conditions' own errors are named
    return refusals, decision.reason if decision is not None else ""


def _skip_reason(rule: CompiledRule, trial: TrialEvent) -> str:
    try:
        return skip_reason(rule, trial.facts, trial.rates) or ""
    except TemplateError:
        return ""  # the template's own errors are named


def _named(refusal: Refusal, trial: TrialEvent) -> Refusal:
    if refusal.code != TRIGGER:
        return refusal
    return Refusal(TRIGGER, f"{trial.facts.event.event_name} is not among its events.")


def _rates_at(moment: datetime) -> Rates:
    """Return the rates that would count if the postback were decided now."""
    return load_rates([moment]).of(moment, known_at=datetime.now(UTC))


def _given_event(
    sdk_event: Mapping[str, object], app: App | None
) -> tuple[StoredEvent, Mapping[str, str]]:
    """Return the event as it would be stored, and what its intake would remark on it."""
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
    known_app = stored_app(app) if app else StoredApp.unknown()
    stored = StoredEvent.from_checked(checked.row, app=known_app, received_at=now)
    return stored, checked.warnings


def _bundle_ids(sdk_event: Mapping[str, object], app: App | None) -> tuple[str, ...]:
    if app is not None:
        return tuple(app.bundle_ids.values_list("identifier", flat=True))
    bundle_id = sdk_event.get("bundle_id")
    return (bundle_id,) if isinstance(bundle_id, str) else ()
