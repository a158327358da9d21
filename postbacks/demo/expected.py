"""What must come of a simulated day, counted from what was sent and without asking the product.

Nothing here depends on the order in which the product takes the events: which of a device's events
counts as its install is open, how many installs there are is not.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from postbacks.demo.calls import SdkCall, SentEvent
from postbacks.demo.rules import DemoApp, DemoRule, Frequency

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


@dataclass(frozen=True, slots=True)
class _Accepted:
    """This is one stored event with the trigger names that it stands for."""

    app: DemoApp
    event: SentEvent
    triggers: frozenset[str]


def expect(calls: Iterable[SdkCall], rules: Collection[DemoRule]) -> Expectation:
    """Count what the calls must lead to under the rules.

    Raises ValueError for a rule whose postbacks can't be counted from the outside.
    """
    for rule in rules:
        _check_countable(rule)
    sent = [(call.app, event) for call in calls for event in call.events]
    well_formed = [(app, event) for app, event in sent if event.well_formed]
    stored = {(app, event.event_id): event for app, event in well_formed}
    accepted = _with_triggers((app, event) for (app, _), event in stored.items())
    owed = {rule.name: _owed(rule, accepted) for rule in rules}
    return Expectation(
        sent_events=len(sent),
        events=len(accepted),
        duplicates=len(well_formed) - len(stored),
        rejected=len(sent) - len(well_formed),
        installs=sum(1 for one in accepted if _INSTALL in one.triggers),
        postbacks=sum(len(events) for events in owed.values()),
        skipped=sum(_skipped(rule, owed[rule.name]) for rule in rules),
        by_rule=MappingProxyType({name: len(events) for name, events in owed.items()}),
    )


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


def _with_triggers(stored: Iterable[tuple[DemoApp, SentEvent]]) -> list[_Accepted]:
    """Name the triggers of each event: the first sign of a device is its install, once."""
    known: set[tuple[DemoApp, str]] = set()
    accepted = []
    for app, event in stored:
        triggers = {event.name, _ANY_EVENT} - {_INSTALL}
        device = (app, event.install_id)
        if event.name in _FIRST_SIGNS and device not in known:
            known.add(device)
            triggers.add(_INSTALL)
        accepted.append(_Accepted(app, event, frozenset(triggers)))
    return accepted


def _owed(rule: DemoRule, accepted: Iterable[_Accepted]) -> list[SentEvent]:
    """Return the events that the rule owes a postback for, sent or skipped."""
    wanted = [
        one.event
        for one in accepted
        if rule.app in (None, one.app)
        and not one.triggers.isdisjoint(rule.triggers)
        and _fulfils(rule, one.event)
    ]
    if rule.frequency is Frequency.FIRST:
        return list({event.install_id: event for event in wanted}.values())
    return wanted


def _fulfils(rule: DemoRule, event: SentEvent) -> bool:
    """Return whether the event comes from where the rule wants it, and from far enough."""
    if rule.countries and event.fields.get("country") not in rule.countries:
        return False
    params = event.fields.get("params")
    level = params.get("level", 0) if isinstance(params, Mapping) else 0
    return bool(level >= rule.least_level)


def _skipped(rule: DemoRule, owed: Iterable[SentEvent]) -> int:
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
