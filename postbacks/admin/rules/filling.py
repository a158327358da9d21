"""A rule's form filled in from the template of its partner."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.http import QueryDict

from apps_registry.models import Partner
from postbacks.admin.rules.fields import success_inputs
from postbacks.callbacks.partner_templates import (
    PartnerTemplate,
    RuleTemplate,
    definition_from_template,
    first_choice,
    template_named,
)

FILL: Final = "_fill"
_SAME_IN_FORM: Final = (
    "attribution_scope", "without_consent", "method", "url", "body_type", "body",
    "missing_values",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offer:
    """A request of the partner's template that the form can be filled in with."""

    number: int
    title: str


@dataclass(frozen=True, slots=True)
class Offers:
    """What the chosen partner's template offers: requests, and its names of events."""

    partner: str = ""
    requests: tuple[Offer, ...] = ()
    asks_address: bool = False
    events: tuple[tuple[str, str], ...] = ()  # our name, the partner's


def offers_of(partner: Partner | None, in_use: RuleTemplate | None) -> Offers:
    """Return what a partner's template offers; `in_use` is the request that the rule is already."""
    template = _template(partner)
    if partner is None or template is None:
        return Offers()
    rules = (in_use,) if in_use is not None else template.rules
    events = {it.ours: it.theirs for rule in rules for it in rule.events if it.ours != "*"}
    return Offers(
        partner=str(partner),
        requests=tuple(Offer(number, it.title) for number, it in enumerate(template.rules)),
        asks_address=template.asks_address,
        events=tuple(events.items()),
    )


def filled_in(data: QueryDict) -> QueryDict:
    """Return what was sent, with the request of the template that was asked for, if any."""
    number = str(data.get(FILL, ""))
    template = _template(_partner(str(data.get("partner", "")))) if number.isdecimal() else None
    if template is None or int(number[:4]) >= len(template.rules):
        return data
    changed = data.copy()
    for name, value in _inputs(template.rules[int(number[:4])], data.dict()).items():
        changed[name] = value
    return changed


def _inputs(rule: RuleTemplate, data: Mapping[str, object]) -> dict[str, str]:
    chosen = [name.strip() for name in str(data.get("triggers", "")).split(",") if name.strip()]
    events = chosen or first_choice(rule)
    address = "" if rule.url else str(data.get("url", "")).partition("?")[0].strip()
    definition = definition_from_template(rule, events, address=address)
    inputs = {name: str(definition[name]) for name in _SAME_IN_FORM}
    if not rule.url and not address:
        del inputs["url"]  # there is nowhere to send it to yet
    inputs["triggers"] = ", ".join(events)
    inputs["headers"] = _lines(definition["headers"], ": ")
    inputs["event_map"] = _lines(definition["event_map"], " = ")
    for name, value in success_inputs(_mapping(definition["success"])).items():
        inputs[name] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return inputs


def _lines(pairs: object, between: str) -> str:
    return "\n".join(f"{name}{between}{value}" for name, value in _mapping(pairs).items())


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _partner(key: str) -> Partner | None:
    if not key.isdecimal() or len(key) > 18:
        return None
    return Partner.objects.filter(pk=int(key)).first()


def _template(partner: Partner | None) -> PartnerTemplate | None:
    return template_named(partner.template) if partner and partner.template else None
