"""From a template to a callback rule: its fields as the API takes them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from postbacks.callbacks.macros import BodyType
from postbacks.callbacks.partner_templates.shape import RuleTemplate
from postbacks.callbacks.partner_templates.writing import form_of, json_of, query_of

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
    """This is a rule that reports the given events, by our names, in the partner's shape.

    What the template leaves open (app, partner, name, delivery) is not in it. An event that
    neither `names` nor the template knows goes by our own name. `address` is where templates that
    ask for one are sent to.
    """
    url = address or rule.url
    writer = _WRITERS.get(rule.body)
    if writer is None and rule.parameters:
        url += ("&" if "?" in url else "?") + query_of(rule.parameters)
    body = writer(rule.parameters) if writer else ""
    known = {**{event.ours: event.theirs for event in rule.events}, **names}
    is_mapped = any(MAPPED in text for text in (url, body, *rule.headers.values()))
    return {
        "triggers": list(events),
        "event_map": {name: known.get(name, name) for name in events} if is_mapped else {},
        "attribution_scope": rule.attribution_scope.value,
        "without_consent": rule.without_consent.value,
        "method": rule.method.value,
        "url": url,
        "headers": dict(rule.headers),
        "body_type": rule.body.value,
        "body": body,
        "missing_values": rule.missing_values.value,
        "success": {**_ANY_SUCCESS, **rule.success},
    }


def first_choice(rule: RuleTemplate) -> list[str]:
    """These are the events that a form offers as chosen: those that most people report."""
    offered = [event.ours for event in rule.events]
    return [name for name in offered if name in _USUAL] or offered


_ANY_SUCCESS: Final[dict[str, object]] = {
    "codes": ["2xx"],
    "body_contains": None,
    "json_path": None,
    "json_equals": None,
}
