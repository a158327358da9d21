"""What must come of a simulated day, counted from what was sent and without asking the product.

Nothing here depends on the order in which the product takes the events: which of a device's events
counts as its install is open, how many installs there are is not. Who earned an install says the
story that the simulator told (`truths`), not the rules by which the product finds it out.
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
_FIRST_SIGNS = (_INSTALL, "open")
_ANY_EVENT = "*"
_COUNTABLE_MACROS = frozenset({"idfa", "gaid"})
_ATT_REFUSALS = (1, 2)  # restricted and denied, as Apple numbers them


@dataclass(frozen=True, slots=True)
class Expectation:
    """This is what the product must report; `postbacks` includes the skipped ones."""

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
    """This is one stored event with the trigger names that it stands for, and to whose credit."""

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
    """Count what the calls must lead to under the rules; `truths` say who earned an install.

    Raises ValueError for a rule whose postbacks can't be counted from the outside.
    """
    for rule in rules:
        _check_countable(rule)
    sent = [(call.app, event) for call in calls for event in call.events]
    well_formed = [(app, event) for app, event in sent if event.well_formed]
    stored = {(app, event.event_id): event for app, event in well_formed}
    accepted = _with_triggers(((app, event) for (app, _), event in stored.items()), truths)
    told = [_skan_event(copy) for copy in copies if copy.counts]
    occasions = [*accepted, *_system_events(truths), *told]
    owed = {rule.name: _enqueued(rule, occasions) for rule in rules}
    return Expectation(
        sent_events=len(sent),
        events=len(accepted),
        duplicates=len(well_formed) - len(stored),
        rejected=len(sent) - len(well_formed),
        installs=sum(1 for one in accepted if _INSTALL in one.triggers),
        postbacks=sum(len(events) for events in owed.values()),
        skipped=sum(_count_skipped(rule, owed[rule.name]) for rule in rules),
        by_rule=MappingProxyType({name: len(events) for name, events in owed.items()}),
        attributed=sum(1 for truth in _installs(truths) if truth.earned),
        refused=sum(len(truth.refused) for truth in truths.values()),
        skan_postbacks=len(told),
        earned=MappingProxyType({network.name: _earned(network, truths) for network in NETWORKS}),
    )


def _installs(truths: Mapping[DeviceKey, GroundTruth]) -> Iterator[GroundTruth]:
    """Yield the truths of those who had not had the game before."""
    return (truth for truth in truths.values() if truth.open_kind is OpenKind.INSTALL)


def _earned(network: Network, truths: Mapping[DeviceKey, GroundTruth]) -> frozenset[str]:
    """Return the network's ids of the clicks and impressions that earned it an install."""
    touches = (truth.earned for truth in _installs(truths))
    return frozenset(touch.click_id for touch in touches if touch and touch.network is network)


def _check_countable(rule: DemoRule) -> None:
    """Refuse what can't be told from the events alone.

    On installs and opens, a device's first open may be a second event or the install itself; and
    only an id that is sent as it stands is known to have a value.
    """
    if set(_FIRST_SIGNS) <= set(rule.triggers):
        raise ValueError(f"What “{rule.name}” sends depends on the order of processing.")
    if unknown := rule.required_macros - _COUNTABLE_MACROS:
        raise ValueError(
            f"“{rule.name}” requires {sorted(unknown)}, which may have a value or not."
        )


def _with_triggers(
    stored: Iterable[tuple[DemoApp, SentEvent]], truths: Mapping[DeviceKey, GroundTruth]
) -> list[_TriggeringEvent]:
    """Name the triggers of each event: the first sign of a device is its install, once.

    A network is told of the install that it earned even if its report came late; what the player
    did before that report stays nobody's.
    """
    known: set[DeviceKey] = set()
    accepted = []
    for app, event in stored:
        triggers = {event.name, _ANY_EVENT} - {_INSTALL}
        device = (app, event.install_id)
        truth = truths.get(device, GroundTruth())
        touch = truth.at_first
        if event.name in _FIRST_SIGNS and device not in known:
            known.add(device)
            triggers.add(truth.open_kind)
            touch = truth.earned
        accepted.append(_TriggeringEvent(app, event, frozenset(triggers), _network(touch)))
    return accepted


def _system_events(truths: Mapping[DeviceKey, GroundTruth]) -> Iterator[_TriggeringEvent]:
    """Yield the events that the product itself reports, of what it finds out."""
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
    """Return the event of a copy: of no device, and to the credit of the network that it names."""
    event = SentEvent({"event_name": "skan_postback", "install_id": ""})
    return _TriggeringEvent(DemoApp.IOS, event, frozenset({event.name, _ANY_EVENT}), copy.network)


def _network(touch: SimulatedTouch | None) -> Network | None:
    return touch.network if touch else None


def _enqueued(rule: DemoRule, accepted: Iterable[_TriggeringEvent]) -> list[SentEvent]:
    """Return the events that the rule owes a postback for, sent or skipped."""
    wanted = [
        one.event
        for one in accepted
        if rule.app in (None, one.app)
        and not one.triggers.isdisjoint(rule.triggers)
        and (not rule.only_earned or one.network is rule.network)
        and _meets_conditions(rule, one.event)
    ]
    if rule.frequency is Frequency.FIRST:
        return list({event.install_id: event for event in wanted}.values())
    return wanted


def _meets_conditions(rule: DemoRule, event: SentEvent) -> bool:
    """Return whether the event comes from where the rule wants it, and from far enough."""
    if rule.countries and event.fields.get("country") not in rule.countries:
        return False
    params = event.fields.get("params")
    level = params.get("level", 0) if isinstance(params, Mapping) else 0
    return bool(level >= rule.least_level)


def _count_skipped(rule: DemoRule, owed: Iterable[SentEvent]) -> int:
    """Count the postbacks that lack a macro which the rule can't do without."""
    required = rule.required_macros
    return sum(1 for event in owed if not all(_has_value(event, name) for name in required))


def _has_value(event: SentEvent, name: str) -> bool:
    """Return whether the id may be passed on and is one: all-zero ids are no ids."""
    identifier = str(event.fields.get(name, ""))
    return bool(identifier.strip("0-")) and not _consent_is_missing(event)


def _consent_is_missing(event: SentEvent) -> bool:
    """Return whether the event holds evidence that its person did not agree."""
    fields = event.fields
    european = fields.get("eea") is True or fields.get("gdpr_applies") is True
    return (
        fields.get("limit_ad_tracking") is True
        or fields.get("att_status") in _ATT_REFUSALS
        or (european and fields.get("ad_user_data") is not True)
    )
