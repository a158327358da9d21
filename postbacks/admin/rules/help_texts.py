"""What the form of a callback rule says: labels, one sentence of help for each field, choices."""

from collections.abc import Mapping
from typing import Final

from postbacks.models import RuleStatus
from postbacks.values.rule_choices import AttributionScope

LABELS: Final[Mapping[str, str]] = {
    "triggers": "Events",
    "condition_lines": "Conditions",
    "conditions_join": "Which must hold",
    "auth_type": "Authentication",
    "auth_credential": "Credential",
    "auth_user": "Credential with the user",
    "auth_password": "Credential with the password",
    "auth_header": "Header",
    "auth_algorithm": "Algorithm",
    "auth_encoding": "Written as",
    "auth_over": "What is signed",
    "sign": "Sign as Standard Webhooks",
    "rate_limit_per_second": "Requests per second",
    "max_in_flight": "Requests at the same time",
    "frequency": "How often",
    "attribution_scope": "Whose installs",
    "event_map": "Event map",
    "window_days": "Window in days",
    "sampling_percent": "Sampling in percent",
    "delay_seconds": "Delay in seconds",
    "body_type": "Kind of body",
    "missing_values": "Missing values",
    "send_revenue": "Send revenue",
    "without_consent": "Without consent",
    "success_codes": "Statuses",
    "body_contains": "The answer contains",
    "json_path": "A value in the JSON answer",
    "json_equals": "equals",
    "timeout_seconds": "Timeout in seconds",
    "retry_delays": "Try again after",
}

HELP: Final[Mapping[str, str]] = {
    "name": "What the rule is for, for example Purchases to Unity Ads.",
    "status": "Only an active rule sends. Start with a draft while you write.",
    "app": "Whose events are sent, for example Gem Harbor iOS.",
    "partner": "Who is told, for example Unity Ads. A partner is needed for its credentials.",
    "triggers": (
        "One name or more, with commas, for example install, purchase; * is any event. We report "
        "reinstall (a device came back by itself), reattribution (it came back through an ad), "
        "reengagement (somebody who was away opened the app through an ad), attribution_updated "
        "(an ad earned the install after all) and rejected_install (a fraud would have earned it)."
    ),
    "condition_lines": (
        "One to a line, for example country in DE,AT or revenue ≥ 5 or params.level exists. Write "
        "= ≠ in not-in > ≥ < ≤ contains starts-with matches exists; != >= <= are understood too."
    ),
    "conditions_join": "With any, an event is sent if one line holds, for example a country.",
    "auth_type": "How the partner knows that it is us, for example by a bearer token.",
    "auth_credential": "The name of a credential of the partner, for example api_key.",
    "auth_user": "For Basic only: the name of a credential, for example user.",
    "auth_password": "For Basic only: the name of a credential, for example password.",
    "auth_header": "For a secret or a signature in a header, for example X-Signature.",
    "auth_algorithm": "For HMAC only: what the partner expects, for example sha256.",
    "auth_encoding": "For HMAC only: how the signature is written, for example hex.",
    "auth_over": "For HMAC only: the request's body or its URL, for example body.",
    "sign": "For your own server, for example: it can check that requests come from us.",
    "rate_limit_per_second": "The most requests in one second, for example 20. Empty: no limit.",
    "max_in_flight": "The most requests that wait for answers, for example 4. Empty: no limit.",
    "frequency": "Whether a device's second purchase, for example, is sent too.",
    "attribution_scope": "All installs' events, or for example only of those the partner earned.",
    "event_map": (
        "The partner's names, one to a line, for example purchase = af_purchase. It is sent as "
        "{{partner_event_name}}; an event that the map does not name is not sent."
    ),
    "window_days": "Days after the install in which events count, for example 30. Empty: always.",
    "sampling_percent": "Share of devices whose events are sent, for example 10. 100: all.",
    "delay_seconds": "How long to wait before the first try, for example 60. 0: at once.",
    "method": "How the partner wants to be called; most ad networks use GET.",
    "url": (
        "For example https://ads.example.com/postback?id={{advertising_id}}&event={{event_name}}. "
        "What stands in double braces is filled in from the event."
    ),
    "headers": "One to a line, for example X-Api-Key: {{credential.api_key}}.",
    "body_type": "What the partner reads, for example JSON. GET has no body.",
    "body": 'For example {"event": "{{event_name}}", "revenue": {{revenue}}}.',
    "missing_values": "What becomes of a parameter without a value, for example idfa on Android.",
    "send_revenue": "Off: amounts and currency, for example 4.99 USD, are left out.",
    "without_consent": "What to do when a person opted out, for example of tracking on iOS.",
    "success_codes": "Answers that count as received, for example 2xx, or 200, 204.",
    "body_contains": "For networks that answer 200 to everything: a text such as ok. Empty: any.",
    "json_path": "Names and numbers joined by dots, for example data.0.status. Empty: any.",
    "json_equals": 'For example ok, 0 or true; in quotes, "0" is text.',
    "timeout_seconds": "How long the partner may take to answer, 1 to 15 seconds.",
    "retry_delays": (
        "The wait before each new try, for example 5s, 30s, 2m, 10m, 1h. Empty: never again."
    ),
}

STATUSES: Final[Mapping[RuleStatus, str]] = {
    RuleStatus.DRAFT: "Draft: sends nothing yet",
    RuleStatus.ACTIVE: "Active: sends from now on",
    RuleStatus.PAUSED: "Paused: sends nothing; what is owed waits",
    RuleStatus.SUSPENDED: "Suspended",
    RuleStatus.ARCHIVED: "Archived",
}

SCOPES: Final[Mapping[str, str]] = {
    AttributionScope.EVERYONE: "All installs, organic ones too",
    AttributionScope.PARTNER: "Installs that this partner earned",
    AttributionScope.PARTNER_AND_ORGANIC: "Installs that this partner earned, and organic ones",
    AttributionScope.ANY_ATTRIBUTED: "Installs that any partner earned",
}
