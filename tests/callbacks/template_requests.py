"""A purchase, or any other event, as the rule of a template sends it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from postbacks.callbacks.facts import EventFacts, Facts, PostbackFacts, sample_facts
from postbacks.callbacks.macros import (
    BodyType,
    CompiledRequest,
    MissingValues,
    RequestTemplate,
    compile_request,
)
from postbacks.callbacks.partner_templates import (
    PartnerTemplate,
    RuleTemplate,
    definition_from_template,
)
from postbacks.callbacks.values import macro_values

SERVER = "server.example.com"
ADDRESS = f"https://{SERVER}/in"
# What the tracking links and the app of a careful advertiser carry beyond our own fields.
CLICK = {
    "gamer_id": "00000000-0000-0000-0000-000000000001",
    "uuid": "mtg_game_ios",
    "callback": "cb-31",
    "ScCid": "sc-7",
    "ad_event_id": "Q2owS0VRancwZHk",
}
PARAMS = {"appsflyer_id": "1415211453000-6513894", "kochava_device_id": "KI-42"}


def event_of(rule: RuleTemplate) -> str:
    """Return the event that shows most of a rule: a purchase, or else its first."""
    names = [event.ours for event in rule.events]
    return "purchase" if "purchase" in names else names[0]


def definition_of(template: PartnerTemplate, rule: RuleTemplate, event: str) -> dict[str, Any]:
    """Return the rule that a person gets who has answered every question."""
    return definition_from_template(
        rule,
        [event],
        names={event: "a1b2c3"} if rule.asks_names else {},
        address=ADDRESS if template.asks_address else "",
    )


def compiled(template: PartnerTemplate, definition: Mapping[str, Any]) -> CompiledRequest:
    """Return its request, compiled with the template's credentials and hosts."""
    return compile_request(
        RequestTemplate(
            method=definition["method"],
            url=definition["url"],
            headers=definition["headers"],
            body_type=BodyType(definition["body_type"]),
            body=definition["body"],
            missing_values=MissingValues(definition["missing_values"]),
        ),
        credential_names=[credential.name for credential in template.credentials],
        allowed_hosts=template.allowed_hosts or [SERVER],
    )


def facts_for(definition: Mapping[str, Any], event: str, **fields: object) -> Facts:
    """Return what is known of the sample person when the event happens."""
    sample = sample_facts()
    happened = replace(
        sample.event,
        event_name="purchase" if event == "*" else event,
        params={**sample.event.params, **PARAMS},
        fields={**sample.event.fields, **fields},
    )
    return replace(
        sample,
        event=happened,
        attribution=replace(sample.attribution, click={**sample.attribution.click, **CLICK}),
        postback=replace(sample.postback, partner_event_name=definition["event_map"].get(event)),
    )


def bare_facts(definition: Mapping[str, Any], event: str) -> Facts:
    """Return what is known of an event with a name and a time, of a device that nothing names."""
    sample = sample_facts()
    return Facts(
        event=EventFacts(
            event_id=sample.event.event_id,
            event_name="purchase" if event == "*" else event,
            event_time=sample.event.event_time,
            received_at=sample.event.received_at,
            source="sdk",
        ),
        app=sample.app,
        postback=PostbackFacts(
            id=sample.event.event_id,
            created_at=sample.event.received_at,
            partner_event_name=definition["event_map"].get(event),
        ),
    )


def sent(template: PartnerTemplate, rule: RuleTemplate) -> dict[str, Any]:
    """Return the request as the partner gets it; a credential's value is its name in capitals."""
    event = event_of(rule)
    definition = definition_of(template, rule, event)
    credentials = {credential.name: credential.name.upper() for credential in template.credentials}
    rendering = compiled(template, definition).render(
        macro_values(facts_for(definition, event)), credentials=credentials
    )
    body = rendering.request.body
    return {
        "rule": rule.title,
        "event": event,
        "method": rendering.request.method,
        "url": rendering.request.url,
        "headers": dict(rendering.request.headers),
        "body": _read(body.decode(), rule) if body is not None else None,
    }


def _read(body: str, rule: RuleTemplate) -> Any:
    return json.loads(body) if rule.body == BodyType.JSON else body
