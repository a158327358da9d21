"""④ Which rules want an event: a pure decision over plain data."""

import hashlib
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from postbacks.callbacks.rules.conditions import Refusal
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.values.attribution import ORGANIC
from postbacks.values.events import ANY_EVENT, INSTALL, OPEN
from postbacks.values.rule_choices import AttributionScope

TRIGGER: Final = "trigger"  # the code of a refusal of an event by its name


@dataclass(slots=True)  # not frozen: one is made for each event, and this halves the time
class EventContext:
    """An event as rules see it.

    `began_kind` is install, reinstall or reattribution, if the event began one. `triggers` are
    those that the event fires. A first `open` counts as the install; an `install` of a device that
    was known before is not a second one, but the reinstall or the reattribution that it began.
    """

    app_id: int
    event_name: str
    event_time: datetime
    device: str
    event_id: str
    began_kind: str = ""
    installed_at: datetime | None = None
    attribution_type: str = ORGANIC
    attributed_partner_id: int | None = None
    triggers: Set[str] = field(init=False)  # made once for all rules

    def __post_init__(self) -> None:
        names = {self.event_name, ANY_EVENT}
        names.discard(INSTALL)
        if self.began_kind:
            names.add(self.began_kind)
        self.triggers = names


def wants(rule: RuleDefinition, event: EventContext) -> bool:
    """Tell whether a rule wants an event, its conditions aside."""
    for _, passes, _ in _CHECKS:  # noqa: SIM110  # all() takes twice as long
        if not passes(rule, event):
            return False
    return True


def refusals_of(rule: RuleDefinition, event: EventContext) -> Iterator[Refusal]:
    """Yield every reason why a rule does not want an event, its conditions aside."""
    for code, passes, explain in _CHECKS:
        if not passes(rule, event):
            yield Refusal(code, explain(rule, event))


def partner_event_name(rule: RuleDefinition, event_name: str, began_kind: str = "") -> str | None:
    """Return the partner's name of an event; None if the rule's map leaves the event out.

    A first `open` counts as the install. A rule for installs and not for opens sends no other
    open, so its partner is sent an install; likewise the reinstall or reattribution in
    `began_kind`.
    """
    if event_name in {OPEN, INSTALL} and not _wants_opens(rule):
        if began_kind in rule.triggers:
            event_name = began_kind
        elif event_name == OPEN and INSTALL in rule.triggers:
            event_name = INSTALL
    return rule.event_map.get(event_name) if rule.event_map else event_name


def _wants_opens(rule: RuleDefinition) -> bool:
    return OPEN in rule.triggers or ANY_EVENT in rule.triggers


def _is_of_app(rule: RuleDefinition, event: EventContext) -> bool:
    return rule.app_id is None or rule.app_id == event.app_id


def _is_triggered(rule: RuleDefinition, event: EventContext) -> bool:
    return not event.triggers.isdisjoint(rule.triggers)


def _is_in_scope(rule: RuleDefinition, event: EventContext) -> bool:
    scope = rule.attribution_scope
    if scope == AttributionScope.EVERYONE:
        return True
    is_organic = event.attribution_type == ORGANIC
    if scope == AttributionScope.ANY_ATTRIBUTED:
        return not is_organic
    if rule.partner_id is not None and event.attributed_partner_id == rule.partner_id:
        return True
    return is_organic and scope == AttributionScope.PARTNER_AND_ORGANIC


def _is_in_window(rule: RuleDefinition, event: EventContext) -> bool:
    if rule.window_days is None:
        return True
    if event.installed_at is None:
        return False
    return event.event_time - event.installed_at <= timedelta(days=rule.window_days)


def _is_in_sample(rule: RuleDefinition, event: EventContext) -> bool:
    """Decide by the device, so that a device is either always in the sample or never."""
    if rule.sampling_percent >= 100:
        return True
    sampled = (event.device or event.event_id).encode()
    digest = hashlib.blake2b(sampled, digest_size=8).digest()
    return int.from_bytes(digest) % 100 < rule.sampling_percent


def _explain_app(rule: RuleDefinition, event: EventContext) -> str:
    return "The rule is for another app."


def _explain_trigger(rule: RuleDefinition, event: EventContext) -> str:
    what = f"the event is {event.event_name}"
    if event.event_name in {INSTALL, OPEN} and INSTALL in rule.triggers:
        what = f"this {event.event_name} is {_OPENINGS.get(event.began_kind, _KNOWN_BEFORE)}"
    return f"The rule is for {', '.join(rule.triggers)}; {what}."


def _explain_scope(rule: RuleDefinition, event: EventContext) -> str:
    if rule.attribution_scope == AttributionScope.PARTNER and event.installed_at is None:
        return "The rule is for what its partner earned; no install of this device is known."
    return _OUT_OF_SCOPE[rule.attribution_scope]


def _explain_window(rule: RuleDefinition, event: EventContext) -> str:
    window = f"{rule.window_days} day{'' if rule.window_days == 1 else 's'}"
    if event.installed_at is None:
        return f"The rule sends for {window} after the install; no install of this device is known."
    days = (event.event_time - event.installed_at) / timedelta(days=1)
    return f"The rule sends for {window} after the install; the event came {days:.1f} days after."


def _explain_sampling(rule: RuleDefinition, event: EventContext) -> str:
    return f"The device is not among the {rule.sampling_percent} % that are sent."


_KNOWN_BEFORE: Final = "of a device that was known before"
_OPENINGS: Final = {"reinstall": "a reinstall", "reattribution": "a reattribution"}

_OUT_OF_SCOPE: Final = {
    AttributionScope.PARTNER: (
        "The rule is for what its partner earned; it did not earn this install."
    ),
    AttributionScope.PARTNER_AND_ORGANIC: (
        "The rule is for organic installs and what its partner earned; somebody else earned this "
        "install."
    ),
    AttributionScope.ANY_ATTRIBUTED: (
        "The rule is for installs that somebody earned; this one is organic."
    ),
}

# A refusal's code, whether an event passes, and the sentence for one that does not. Plain tuples:
# these run for each rule and event.
_CHECKS: Final[
    tuple[
        tuple[
            str,
            Callable[[RuleDefinition, EventContext], bool],
            Callable[[RuleDefinition, EventContext], str],
        ],
        ...,
    ]
] = (
    ("app", _is_of_app, _explain_app),
    (TRIGGER, _is_triggered, _explain_trigger),
    ("attribution_scope", _is_in_scope, _explain_scope),
    ("window", _is_in_window, _explain_window),
    ("sampling", _is_in_sample, _explain_sampling),
)
