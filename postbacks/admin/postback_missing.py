"""Which macros a postback was skipped for: worked out again, as only the reason is stored."""

from collections.abc import Mapping, Sequence

from postbacks.callbacks.credits import KnownCredit, load_credits
from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.callbacks.disclosure import values_for
from postbacks.callbacks.macros import Rates, TemplateError, Value
from postbacks.callbacks.rendering import facts_by_credit
from postbacks.callbacks.rules.compiled import CompiledRule, load_rule_versions
from postbacks.models import Postback
from postbacks.models.stored import StoredEvent, load_events


def missing_words(postback: Postback) -> str:
    """Return which required macros have no value in the postback's event.

    Where that can't be known any more, all that its rule requires are named; empty if even its
    rule can't be read.
    """
    version = (postback.rule_id, postback.rule_version)
    rule = load_rule_versions([version]).get(version)
    key = postback.event_id
    events = load_events([(key, postback.event_received_at)] if key is not None else [])
    if rule is None:
        return ""
    try:
        missing = _missing(rule, events[0], postback) if events else []
        required = [it.names[0] for it in rule.request.expressions if it.required and it.names]
    except TemplateError:
        return ""
    if missing:
        verb = "has" if len(missing) == 1 else "have"
        return f"{_listed(missing)} {verb} no value in this event."
    return f"The rule requires {_listed(list(dict.fromkeys(required)))}." if required else ""


def _values(
    rule: CompiledRule, event: StoredEvent, postback: Postback, rates: Rates
) -> Mapping[str, Value]:
    version = (postback.install_id or 0, postback.attribution_version)
    credit = load_credits([version]).get(version, KnownCredit())
    return values_for(rule, facts_by_credit(rule, event, credit, postback), rates)


def _missing(rule: CompiledRule, event: StoredEvent, postback: Postback) -> list[str]:
    """Ask for one missing macro after the other, each time as if those found had a value."""
    moment = event.event_time
    rates = load_rates([moment]).of(moment, known_at=postback.created_at)
    known, found = dict(_values(rule, event, postback, rates)), dict[str, Value]()
    ask = rule.request.missing_required
    while (name := ask({**known, **found}, rates=rates)) and name not in found:
        found[name] = "1"
    return list(found)


def _listed(names: Sequence[str]) -> str:
    """Return macros as a list in a sentence, in the spelling in which rules write them."""
    *others, last = ("{{" + name + "}}" for name in names)
    return f"{', '.join(others)} and {last}" if others else last
