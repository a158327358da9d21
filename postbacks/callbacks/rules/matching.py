"""④ Which rules want an event: a pure decision over plain data."""

import hashlib
from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from postbacks.callbacks.rules.conditions import Refusal
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.values.attribution import ORGANIC

ANY_EVENT = "*"
INSTALL = "install"
OPEN = "open"
_OUT_OF_SCOPE = {
    "partner": "The rule is for what its partner earned; it did not earn this install.",
    "partner_and_organic": "The rule is for organic installs and what its partner earned; somebody "
    "else earned this install.",
    "any_attributed": "The rule is for installs that somebody earned; this one is organic.",
}


@dataclass(frozen=True, slots=True)
class EventContext:
    """An event as rules see it."""

    app_id: int
    event_name: str
    event_time: datetime
    device: str
    event_id: str
    began: str = ""  # install, reinstall or reattribution, if the event began one
    installed_at: datetime | None = None
    attribution_type: str = ORGANIC
    attributed_partner_id: int | None = None

    @property
    def triggers(self) -> Set[str]:
        """Return the triggers that this event fires.

        A first `open` counts as the install; an `install` of a device that was known before is
        not a second one, but the reinstall or the reattribution that it began.
        """
        names = {self.event_name, ANY_EVENT} - {INSTALL}
        return names | {self.began} if self.began else names


def wants(rule: RuleDefinition, occasion: EventContext) -> bool:
    """Tell whether a rule wants an event."""
    return (
        (rule.app_id is None or rule.app_id == occasion.app_id)
        and not occasion.triggers.isdisjoint(rule.triggers)
        and _in_scope(rule, occasion)
        and _in_window(rule, occasion)
        and _in_sample(rule, occasion)
    )


def why_not(rule: RuleDefinition, occasion: EventContext) -> Iterator[Refusal]:
    """Yield what keeps an event from a rule, before its conditions are asked; nothing if all fits.

    It asks what `wants` asks, in the same order.
    """
    if not (rule.app_id is None or rule.app_id == occasion.app_id):
        yield Refusal("app", "The rule is for another app.")
    if occasion.triggers.isdisjoint(rule.triggers):
        names = ", ".join(rule.triggers)
        yield Refusal("trigger", f"The rule is for {names}; the event is {occasion.event_name}.")
    if not _in_scope(rule, occasion):
        yield Refusal("attribution_scope", _OUT_OF_SCOPE[rule.attribution_scope])
    if not _in_window(rule, occasion):
        yield Refusal("window", f"The install is not within the last {rule.window_days} days.")
    if not _in_sample(rule, occasion):
        percent = rule.sampling_percent
        yield Refusal("sampling", f"The device is not among the {percent} % that are sent.")


def partner_event_name(rule: RuleDefinition, event_name: str, began: str = "") -> str | None:
    """Return what the partner calls the event; None where a map leaves the event out.

    A first `open` counts as the install. A rule that asks for installs and not for opens hears of
    no other open, and its partner is told of an install; likewise of the reinstall or the
    reattribution that `began`.
    """
    if event_name in {OPEN, INSTALL} and not _wants_opens(rule):
        if began in rule.triggers:
            event_name = began
        elif event_name == OPEN and INSTALL in rule.triggers:
            event_name = INSTALL
    return rule.event_map.get(event_name) if rule.event_map else event_name


def _wants_opens(rule: RuleDefinition) -> bool:
    return OPEN in rule.triggers or ANY_EVENT in rule.triggers


def _in_scope(rule: RuleDefinition, occasion: EventContext) -> bool:
    organic = occasion.attribution_type == ORGANIC
    to_partner = rule.partner_id is not None and occasion.attributed_partner_id == rule.partner_id
    return {
        "everyone": True,
        "partner": to_partner,
        "partner_and_organic": to_partner or organic,
        "any_attributed": not organic,
    }[rule.attribution_scope]


def _in_window(rule: RuleDefinition, occasion: EventContext) -> bool:
    if rule.window_days is None:
        return True
    if occasion.installed_at is None:
        return False
    return occasion.event_time - occasion.installed_at <= timedelta(days=rule.window_days)


def _in_sample(rule: RuleDefinition, occasion: EventContext) -> bool:
    """Decide by the device, so that a device is either always in the sample or never."""
    if rule.sampling_percent >= 100:
        return True
    who = (occasion.device or occasion.event_id).encode()
    return (
        int.from_bytes(hashlib.blake2b(who, digest_size=8).digest()) % 100 < rule.sampling_percent
    )
