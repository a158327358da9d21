"""Warns of rules that send nothing, or nothing worth having, and would do so without an error."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from postbacks.callbacks.lint.rule_warnings import RuleWarning, WarningCode
from postbacks.callbacks.lint.texts import RequestText, names_in
from postbacks.callbacks.macros import CATALOGUE, TemplateError, Value
from postbacks.callbacks.macros.catalogue import base_name
from postbacks.callbacks.macros.filters import DEFAULT
from postbacks.callbacks.macros.parser import CLOSING, Literal, MacroCall
from postbacks.callbacks.macros.sources import CLICK_PARAMETERS, LIFE_CYCLE_TYPES
from postbacks.callbacks.macros.value import RenderScope, present
from postbacks.callbacks.partner_templates.shape import RuleTemplate
from postbacks.callbacks.rules.comparisons import Operator
from postbacks.callbacks.rules.conditions import Condition, Conditions, compile_conditions
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.values.attribution import ORGANIC
from postbacks.values.events import ANY_EVENT
from postbacks.values.rule_choices import AttributionScope

STANDARD_EVENTS: Final = ("install", "open", "registration", "purchase")

_REPORTED_BY_US: Final = frozenset(LIFE_CYCLE_TYPES - {"purchase", "ad_impression"})
_NEVER_ORGANIC: Final = frozenset(
    {"reattribution", "reengagement", "rejected_install", "skan_postback"}
)
_INCLUDES_ORGANIC: Final = frozenset(
    {AttributionScope.EVERYONE, AttributionScope.PARTNER_AND_ORGANIC}
)
# The ids by which a network knows its click: without one it can credit nobody.
_CLICK_IDS: Final = frozenset({"click_id", "gclid", "gbraid", "wbraid"})
# An event may report these without a click.
_NOT_ONLY_OF_CLICKS: Final = frozenset({"payout", "payout_pct"})
_NONE_IF_ORGANIC: Final = (_CLICK_IDS | frozenset(CLICK_PARAMETERS) - _NOT_ONLY_OF_CLICKS) | {
    *("click", "campaign_id", "campaign_name", "creative_name", "site_id", "match_type"),
    *("engaged_at", "engaged_at_ms", "engagement_time", "click_time", "impression_time"),
}
_IF_ORGANIC: Final[Mapping[str, Value]] = {
    "is_organic": True,
    "is_attributed": False,
    "is_attributed_to_destination": False,
    "is_view_through": False,
    "attribution_type": ORGANIC,
    "ad_network": ORGANIC,
}
_MOST_NAMED: Final = 4


@dataclass(frozen=True, slots=True)
class KnownEvents:
    """The names of an organization's latest events; `is_all` if it has no others.

    `without_currency` are those of events with revenue in an unknown currency.
    """

    names: tuple[str, ...] = ()
    is_all: bool = True
    without_currency: tuple[str, ...] = ()


def readable_conditions(definition: RuleDefinition) -> Conditions:
    """Return a rule's conditions for these checks; none if they can't be compiled."""
    try:
        return compile_conditions(definition.conditions, is_stored=True)
    except TemplateError:
        return Conditions()  # its errors are named elsewhere


def empty_for_organic(
    definition: RuleDefinition,
    conditions: Conditions,
    texts: Sequence[RequestText],
    template: RuleTemplate | None,
) -> Iterator[RuleWarning]:
    """Warn of macros of a click in a rule that is also for installs without one.

    A partner whose template is for everybody, like the rule, can do without a click.
    """
    scope = definition.attribution_scope
    if scope not in _INCLUDES_ORGANIC or (template and template.attribution_scope == scope):
        return
    if not _has_organic(definition, conditions):
        return
    calls = [(text, call) for text in texts for call in text.calls if _is_of_touch(call)]
    if not calls or any(call.required for _, call in calls):
        return
    empty = [(text, call) for text, call in calls if not _has_default(call)]
    names = list(dict.fromkeys(name for _, call in empty for name in names_in(call)))
    if not empty:
        return
    yield _too_wide(definition, names)
    by_click_id = ((text, call) for text, call in empty if _is_click_id(next(names_in(call))))
    for text, call in list(by_click_id)[:1]:
        written = text.written[call.start : call.end]
        yield RuleWarning(
            text.field,
            call.start,
            call.end - call.start,
            WarningCode.EMPTY_FOR_ORGANIC,
            f"{written[:80]} is empty for organic installs. Required, it skips their events.",
            f"{written.removesuffix(CLOSING).rstrip()}!{CLOSING}",
            macro=next(names_in(call)),
        )


def without_partner(
    definition: RuleDefinition, conditions: Conditions, texts: Sequence[RequestText]
) -> Iterator[RuleWarning]:
    """Warn where a rule without a partner asks what its partner earned."""
    if definition.partner_id is not None:
        return
    scope = definition.attribution_scope
    if scope == AttributionScope.PARTNER_AND_ORGANIC:
        yield _at_scope(
            scope,
            WarningCode.NO_PARTNER,
            "The rule has no partner that could earn an install, so it sends organic ones only. "
            "Choose the partner, or send all installs.",
            AttributionScope.EVERYONE,
        )
    for field, condition in _conditions_on(conditions, "is_attributed_to_destination"):
        yield RuleWarning(
            f"{field}.field",
            0,
            len(condition.field.name),
            WarningCode.NO_PARTNER,
            f"{condition.field.name} is never true: the rule has no partner.",
            "is_attributed",
        )
    for text in texts:
        for call in text.calls:
            if "is_attributed_to_destination" in names_in(call):
                yield RuleWarning(
                    text.field,
                    call.start,
                    call.end - call.start,
                    WarningCode.NO_PARTNER,
                    "is_attributed_to_destination is never true: the rule has no partner.",
                    text.written[call.start : call.end].replace(
                        "is_attributed_to_destination", "is_attributed", 1
                    ),
                )


def unknown_events(
    definition: RuleDefinition, conditions: Conditions, known_events: KnownEvents
) -> Iterator[RuleWarning]:
    """Warn of names that no event has had."""
    fields = [(f"triggers.{index}", name) for index, name in enumerate(definition.triggers)]
    fields += [(f"event_map.{name}", name) for name in definition.event_map]
    for field, condition in _conditions_on(conditions, "event_name"):
        fields += _expected_names(field, condition)
    for field, name in fields:
        close = _nearest_event(name, known_events)
        is_expected = name in known_events.names or _is_expected(name, known_events)
        if is_expected or (close is None and not known_events.names):
            continue
        heard = "No event" if known_events.is_all else "No recent event"
        meant = f" Did you mean {close}?" if close else ""
        yield RuleWarning(
            field,
            0,
            len(name),
            WarningCode.UNKNOWN_EVENT,
            f"{heard} was named “{name}”.{meant}",
            close,
        )


def unmapped(definition: RuleDefinition) -> Iterator[RuleWarning]:
    """Warn of triggers that the rule's own event map leaves out."""
    if not definition.event_map:
        return
    for name in definition.triggers:
        if name != ANY_EVENT and name not in definition.event_map:
            yield RuleWarning(
                f"event_map.{name}",
                0,
                0,
                WarningCode.NOT_MAPPED,
                f"The map does not name {name}, so each {name} is skipped.",
                name,
            )


def withheld_money(
    definition: RuleDefinition, texts: Sequence[RequestText]
) -> Iterator[RuleWarning]:
    """Warn of money in a request whose rule keeps revenue to itself."""
    if definition.send_revenue:
        return
    calls = (call for text in texts for call in text.calls if not _has_default(call))
    names = list(dict.fromkeys(n for call in calls for n in names_in(call) if _is_revenue(n)))
    if names:
        yield RuleWarning(
            "send_revenue",
            0,
            0,
            WarningCode.REVENUE_WITHHELD,
            f"Revenue is not sent, so {_listed(names)} {_verb(names)} always empty.",
            "true",
        )


def without_currency(
    definition: RuleDefinition, texts: Sequence[RequestText], known_events: KnownEvents
) -> Iterator[RuleWarning]:
    """Warn of money in a request whose events come without a currency."""
    triggers = definition.triggers
    names = [n for n in known_events.without_currency if n in triggers or ANY_EVENT in triggers]
    if not names or not definition.send_revenue:
        return
    for text in texts:
        for call in text.calls:
            money = next(filter(_is_revenue, names_in(call)), None)
            if money is None:
                continue
            yield RuleWarning(
                text.field,
                call.start,
                call.end - call.start,
                WarningCode.NO_CURRENCY,
                f"Recent events named {_listed(names)} have revenue without a currency: {money} "
                "can't be converted, and the partner can't tell what it is worth. Have the app or "
                "server send currency with the revenue.",
            )
            return


def sampled_away(definition: RuleDefinition) -> Iterator[RuleWarning]:
    """Warn of a sample without devices."""
    if definition.sampling_percent == 0:
        yield RuleWarning(
            "sampling_percent",
            0,
            1,
            WarningCode.SENDS_NOTHING,
            "0 percent of the devices are sent: nothing at all.",
            "100",
        )


def _too_wide(definition: RuleDefinition, names: list[str]) -> RuleWarning:
    scope = definition.attribution_scope
    narrow = (
        AttributionScope.ANY_ATTRIBUTED
        if definition.partner_id is None
        else AttributionScope.PARTNER
    )
    return _at_scope(
        scope,
        WarningCode.EMPTY_FOR_ORGANIC,
        f"The rule sends organic installs too, which have no {_listed(names)}: their postbacks "
        "go out without, and count as delivered.",
        narrow,
    )


def _at_scope(
    scope: AttributionScope, code: WarningCode, message: str, fix: AttributionScope
) -> RuleWarning:
    return RuleWarning("attribution_scope", 0, len(scope), code, message, fix.value)


def _has_organic(definition: RuleDefinition, conditions: Conditions) -> bool:
    """Tell whether an event of an organic install can pass the triggers and conditions."""
    if _NEVER_ORGANIC.issuperset(definition.triggers):
        return False
    decided = [line for line in conditions.lines if _is_known_if_organic(line.field.name)]
    refused = [line for line in decided if not line.holds(_value_if_organic(line))]
    if conditions.any_is_enough:
        return not conditions.lines or len(refused) < len(conditions.lines)
    return not refused


def _is_known_if_organic(field: str) -> bool:
    return (base_name(field) or field) in _IF_ORGANIC or _is_of_touch_name(field)


def _value_if_organic(condition: Condition) -> object:
    return present(condition.read(RenderScope(_IF_ORGANIC, {})))


def _is_of_touch(call: MacroCall) -> bool:
    """Tell whether every source of a macro is a touchpoint's."""
    names = list(names_in(call))
    return bool(names) and all(map(_is_of_touch_name, names))


def _is_of_touch_name(name: str) -> bool:
    return (base_name(name) or name).partition(".")[0] in _NONE_IF_ORGANIC


def _is_click_id(name: str) -> bool:
    return name in _CLICK_IDS or name.startswith(("click.", "sub"))


def _has_default(call: MacroCall) -> bool:
    return any(isinstance(source, Literal) for source in call.sources) or any(
        use.name == DEFAULT for use in call.filters
    )


def _is_revenue(name: str) -> bool:
    macro = CATALOGUE.get(name)
    return macro is not None and macro.money


def _conditions_on(conditions: Conditions, name: str) -> Iterator[tuple[str, Condition]]:
    join = "any" if conditions.any_is_enough else "all"
    for index, condition in enumerate(conditions.lines):
        if condition.field.name == name:
            yield f"conditions.{join}.{index}", condition


def _expected_names(field: str, condition: Condition) -> list[tuple[str, str]]:
    expected = condition.expected
    if condition.operator in {Operator.EQUAL, Operator.UNEQUAL} and isinstance(expected, str):
        return [(f"{field}.value", expected)]
    if condition.operator in {Operator.IN, Operator.NOT_IN} and isinstance(expected, list | tuple):
        names = enumerate(expected)
        return [(f"{field}.value.{n}", name) for n, name in names if isinstance(name, str)]
    return []


def _is_expected(name: str, known_events: KnownEvents) -> bool:
    """Tell whether a name needs no event to be right."""
    if name == ANY_EVENT or name in _REPORTED_BY_US:
        return True
    is_standard = name in STANDARD_EVENTS or name in LIFE_CYCLE_TYPES
    return is_standard and _plain(name) not in {_plain(each) for each in known_events.names}


def _nearest_event(name: str, known_events: KnownEvents) -> str | None:
    by_plain = {
        _plain(each): each for each in (*STANDARD_EVENTS, *LIFE_CYCLE_TYPES, *known_events.names)
    }
    close = difflib.get_close_matches(_plain(name), by_plain, n=1, cutoff=0.7)
    return by_plain[close[0]] if close else None


def _plain(name: str) -> str:
    """Return a name as people mean it: Level-Up is level_up."""
    return "".join(char for char in name.casefold() if char.isalnum())


def _listed(names: list[str]) -> str:
    more = " and others" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _verb(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
