"""④ Makes a rule from a template, and recognizes the template in a rule that people changed."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from postbacks.callbacks.macros import BodyType
from postbacks.callbacks.partner_templates.shape import PartnerTemplate, RuleTemplate
from postbacks.callbacks.partner_templates.writing import form_of, json_of, query_of
from postbacks.values.rule_choices import any_success

MAPPED: Final = "{{partner_event_name"
_USUAL: Final = frozenset({"install", "registration", "purchase"})
_NO_NAMES: Final[Mapping[str, str]] = MappingProxyType({})
_WRITERS: Final = {BodyType.FORM: form_of, BodyType.JSON: json_of}


def definition_from_template(
    rule: RuleTemplate,
    events: Sequence[str],
    *,
    names: Mapping[str, str] = _NO_NAMES,
    address: str = "",
) -> dict[str, object]:
    """Return the API's fields of a rule that reports these events, by our names.

    Fields that the template leaves open (app, partner, name, delivery) are missing. An event that
    neither `names` nor the template renames keeps our name. `address` is the receiver of templates
    that ask for one.
    """
    url = address or rule.url
    writer = _WRITERS.get(rule.body)
    if writer is None and rule.parameters:
        url += ("&" if "?" in url else "?") + query_of(rule.parameters)
    body = writer(rule.parameters) if writer else ""
    event_names = {**{event.ours: event.theirs for event in rule.events}, **names}
    is_mapped = any(MAPPED in text for text in (url, body, *rule.headers.values()))
    return {
        "triggers": list(events),
        "event_map": {name: event_names.get(name, name) for name in events} if is_mapped else {},
        "attribution_scope": rule.attribution_scope.value,
        "without_consent": rule.without_consent.value,
        "method": rule.method.value,
        "url": url,
        "headers": dict(rule.headers),
        "body_type": rule.body.value,
        "body": body,
        "missing_values": rule.missing_values.value,
        "success": {**any_success(), **rule.success},
    }


def first_choice(rule: RuleTemplate) -> list[str]:
    """Return the events that a form preselects: those that most people report."""
    offered = [event.ours for event in rule.events]
    return [name for name in offered if name in _USUAL] or offered


def rule_in_use(
    template: PartnerTemplate, *, url: str, method: str, body_type: BodyType
) -> RuleTemplate | None:
    """Return the template's request with the same address, method and body type; None without one.

    A template that asks for its address matches by method and body type alone. Of several requests
    the one with most of its parameters in the URL is returned.
    """
    address = url.partition("?")[0]
    fitting = [
        rule
        for rule in template.rules
        if rule.method == method
        and rule.body == body_type
        and (not rule.url or rule.url.partition("?")[0] == address)
    ]
    if not fitting or not address:
        return None
    return max(fitting, key=lambda rule: sum(f"{row.name}=" in url for row in rule.parameters))
