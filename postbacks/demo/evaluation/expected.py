"""The expected figures of a simulated day, counted from its calls without asking the product.

Nothing here depends on the order in which the product processes events: which of a device's events
becomes its install may vary, the number of installs may not. The attribution is the simulator's
ground truth, not a second implementation of the product's rules.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from postbacks.demo.networks import NETWORKS, DemoApp, Network
from postbacks.demo.rules import DemoRule
from postbacks.demo.simulation.model import (
    DeviceKey,
    GroundTruth,
    OpenKind,
    SdkCall,
    SentEvent,
    SimulatedTouch,
)
from postbacks.demo.simulation.skan_copies import SkanCopy
from postbacks.values.rule_choices import Frequency

_INSTALL = "install"
_INSTALL_EVENTS = (_INSTALL, "open")
_ANY_EVENT = "*"
_COUNTABLE_MACROS = frozenset({"idfa", "gaid"})
_ATT_REFUSALS = (1, 2)  # Apple's numbers for restricted and denied


@dataclass(frozen=True, slots=True)
class Expectation:
    """The figures that the product must report; `postbacks` includes the skipped ones."""

    sent_events: int
    events: int
    duplicates: int
    rejected: int
    installs: int
    postbacks: int
    skipped: int
    by_rule: Mapping[str, int]
    attributed: int = 0
    refused: int = 0
    skan_postbacks: int = 0
    earned: Mapping[str, frozenset[str]] = field(default_factory=dict)  # click ids by network


@dataclass(frozen=True, slots=True)
class _TriggeringEvent:
    """A stored event with its triggers and the network that gets its credit."""

    app: DemoApp
    event: SentEvent
    triggers: frozenset[str]
    network: Network | None = None


def expect(
    calls: Iterable[SdkCall],
    rules: Collection[DemoRule],
    truths: Mapping[DeviceKey, GroundTruth] = MappingProxyType({}),
    copies: Iterable[SkanCopy] = (),
) -> Expectation:
    """Count the expected results of the calls under the rules.

    Raises ValueError for a rule whose postbacks can't be counted from the outside.
    """
    for rule in rules:
        _check_countable(rule)
    sent = [(call.app, event) for call in calls for event in call.events]
    well_formed = [(app, event) for app, event in sent if event.well_formed]
    stored = {(app, event.event_id): event for app, event in well_formed}
    accepted = _with_triggers(((app, event) for (app, _), event in stored.items()), truths)
    skan_events = [_skan_event(copy) for copy in copies if copy.counts]
    triggering = [*accepted, *_system_events(truths), *skan_events]
    enqueued = {rule.name: _enqueued(rule, triggering) for rule in rules}
    return Expectation(
        sent_events=len(sent),
        events=len(accepted),
        duplicates=len(well_formed) - len(stored),
        rejected=len(sent) - len(well_formed),
        installs=sum(1 for event in accepted if _INSTALL in event.triggers),
        postbacks=sum(len(events) for events in enqueued.values()),
        skipped=sum(_count_skipped(rule, enqueued[rule.name]) for rule in rules),
        by_rule=MappingProxyType({name: len(events) for name, events in enqueued.items()}),
        attributed=sum(1 for truth in _installs(truths) if truth.earned),
        refused=sum(len(truth.refused) for truth in truths.values()),
        skan_postbacks=len(skan_events),
        earned=MappingProxyType({network.name: _earned(network, truths) for network in NETWORKS}),
    )


def _installs(truths: Mapping[DeviceKey, GroundTruth]) -> Iterator[GroundTruth]:
    return (truth for truth in truths.values() if truth.open_kind is OpenKind.INSTALL)


def _earned(network: Network, truths: Mapping[DeviceKey, GroundTruth]) -> frozenset[str]:
    """Return the click ids of the touches that earned the network an install."""
    touches = (truth.earned for truth in _installs(truths))
    return frozenset(touch.click_id for touch in touches if touch and touch.network is network)


def _check_countable(rule: DemoRule) -> None:
    """Raise ValueError for a rule that the events alone do not decide.

    With both triggers, a device's first open may be the install itself or a second event; and only
    an id that is sent unchanged is known to have a value.
    """
    if set(_INSTALL_EVENTS) <= set(rule.triggers):
        raise ValueError(f"What “{rule.name}” sends depends on the order of processing.")
    if unknown := rule.required_macros - _COUNTABLE_MACROS:
        raise ValueError(
            f"“{rule.name}” requires {sorted(unknown)}, which may have a value or not."
        )


def _with_triggers(
    stored: Iterable[tuple[DemoApp, SentEvent]], truths: Mapping[DeviceKey, GroundTruth]
) -> list[_TriggeringEvent]:
    """Return the events with their triggers; a device's first install or open is its install.

    A network is notified of its install even if its report came late, but events before that report
    stay without credit.
    """
    installed: set[DeviceKey] = set()
    accepted = []
    for app, event in stored:
        triggers = {event.name, _ANY_EVENT} - {_INSTALL}
        device = (app, event.install_id)
        truth = truths.get(device, GroundTruth())
        touch = truth.at_first
        if event.name in _INSTALL_EVENTS and device not in installed:
            installed.add(device)
            triggers.add(truth.open_kind)
            touch = truth.earned
        accepted.append(_TriggeringEvent(app, event, frozenset(triggers), _network(touch)))
    return accepted


def _system_events(truths: Mapping[DeviceKey, GroundTruth]) -> Iterator[_TriggeringEvent]:
    """Yield the system events that the product emits about attribution."""
    for (app, install_id), truth in truths.items():
        for touch in truth.refused:
            yield _system_event(app, install_id, "rejected_install", touch)
        if truth.earned is not truth.at_first:
            yield _system_event(app, install_id, "attribution_updated", truth.earned)


def _system_event(
    app: DemoApp, install_id: str, name: str, touch: SimulatedTouch | None
) -> _TriggeringEvent:
    event = SentEvent({"event_name": name, "install_id": install_id})
    return _TriggeringEvent(app, event, frozenset({name, _ANY_EVENT}), _network(touch))


def _skan_event(copy: SkanCopy) -> _TriggeringEvent:
    """Return the event of a copy: without a device, credited to the network that it names."""
    event = SentEvent({"event_name": "skan_postback", "install_id": ""})
    return _TriggeringEvent(DemoApp.IOS, event, frozenset({event.name, _ANY_EVENT}), copy.network)


def _network(touch: SimulatedTouch | None) -> Network | None:
    return touch.network if touch else None


def _enqueued(rule: DemoRule, accepted: Iterable[_TriggeringEvent]) -> list[SentEvent]:
    matching = [
        triggering.event
        for triggering in accepted
        if rule.app in (None, triggering.app)
        and not triggering.triggers.isdisjoint(rule.triggers)
        and (not rule.only_earned or triggering.network is rule.network)
        and _meets_conditions(rule, triggering.event)
    ]
    if rule.frequency is Frequency.FIRST:
        return list({event.install_id: event for event in matching}.values())
    return matching


def _meets_conditions(rule: DemoRule, event: SentEvent) -> bool:
    if rule.countries and event.fields.get("country") not in rule.countries:
        return False
    params = event.fields.get("params")
    level = params.get("level", 0) if isinstance(params, Mapping) else 0
    return bool(level >= rule.least_level)


def _count_skipped(rule: DemoRule, enqueued: Iterable[SentEvent]) -> int:
    required = rule.required_macros
    return sum(1 for event in enqueued if not all(_has_value(event, name) for name in required))


def _has_value(event: SentEvent, name: str) -> bool:
    """Return whether the event has the id, not all zeros, and consent to share it."""
    identifier = str(event.fields.get(name, ""))
    return bool(identifier.strip("0-")) and not _consent_is_missing(event)


def _consent_is_missing(event: SentEvent) -> bool:
    fields = event.fields
    european = fields.get("eea") is True or fields.get("gdpr_applies") is True
    return (
        fields.get("limit_ad_tracking") is True
        or fields.get("att_status") in _ATT_REFUSALS
        or (european and fields.get("ad_user_data") is not True)
    )
