"""Fill a rule's form in from a request of its partner's template."""

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
from postbacks.values.events import ANY_EVENT

FILL: Final = "_fill"

_COPIED_AS_TEXT: Final = (
    "attribution_scope",
    "without_consent",
    "method",
    "url",
    "body_type",
    "body",
    "missing_values",
)


@dataclass(frozen=True, slots=True)
class RequestOffer:
    """A request of the partner's template with which the form can be filled in."""

    number: int
    title: str


@dataclass(frozen=True, slots=True)
class TemplateOffers:
    """What the template of the chosen partner offers; `events` pairs our names with theirs."""

    partner: str = ""
    requests: tuple[RequestOffer, ...] = ()
    asks_address: bool = False
    events: tuple[tuple[str, str], ...] = ()


def template_offers(partner: Partner | None, in_use: RuleTemplate | None) -> TemplateOffers:
    """Return what a partner's template offers; `in_use` is the request that the rule follows."""
    template = _template(partner)
    if partner is None or template is None:
        return TemplateOffers()
    rules = (in_use,) if in_use is not None else template.rules
    events = {
        event.ours: event.theirs
        for rule in rules
        for event in rule.events
        if event.ours != ANY_EVENT
    }
    return TemplateOffers(
        partner=str(partner),
        requests=tuple(
            RequestOffer(number, rule.title) for number, rule in enumerate(template.rules)
        ),
        asks_address=template.asks_address,
        events=tuple(events.items()),
    )


def filled_from_template(data: QueryDict) -> QueryDict:
    """Return a form's data with the template's request whose button was pressed, if any."""
    number = str(data.get(FILL, ""))
    template = _template(_partner(str(data.get("partner", "")))) if number.isdecimal() else None
    if template is None or int(number[:4]) >= len(template.rules):
        return data
    changed = data.copy()
    for name, text in _inputs(template.rules[int(number[:4])], data.dict()).items():
        changed[name] = text
    return changed


def _inputs(rule: RuleTemplate, data: Mapping[str, object]) -> dict[str, str]:
    # Events that the person has chosen stay.
    chosen = [name.strip() for name in str(data.get("triggers", "")).split(",") if name.strip()]
    events = chosen or first_choice(rule)
    address = "" if rule.url else str(data.get("url", "")).partition("?")[0].strip()
    definition = definition_from_template(rule, events, address=address)
    inputs = {name: str(definition[name]) for name in _COPIED_AS_TEXT}
    if not rule.url and not address:
        del inputs["url"]  # there is nowhere to send it to yet
    inputs["triggers"] = ", ".join(events)
    inputs["headers"] = _pair_lines(definition["headers"], ": ")
    inputs["event_map"] = _pair_lines(definition["event_map"], " = ")
    for name, value in success_inputs(_mapping(definition["success"])).items():
        inputs[name] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return inputs


def _pair_lines(pairs: object, separator: str) -> str:
    return "\n".join(f"{name}{separator}{value}" for name, value in _mapping(pairs).items())


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _partner(key: str) -> Partner | None:
    if not key.isdecimal() or len(key) > 18:
        return None
    return Partner.objects.filter(pk=int(key)).first()


def _template(partner: Partner | None) -> PartnerTemplate | None:
    return template_named(partner.template) if partner and partner.template else None
