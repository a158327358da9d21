"""The texts of a callback rule's form: labels, choices, and help for inputs of its own.

Fields that people fill in as the rule stores them get their help from the model.
"""

from collections.abc import Mapping
from typing import Final

from postbacks.models import RuleStatus
from postbacks.values.rule_choices import AttributionScope

LABELS: Final[Mapping[str, str]] = {
    "triggers": "Events",
    "condition_lines": "Conditions",
    "conditions_join": "How many must hold",
    "auth_type": "Authentication",
    "auth_credential": "Credential",
    "auth_user": "Credential with the user name",
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
    "success_codes": "HTTP statuses",
    "body_contains": "The answer contains",
    "json_path": "A value in the JSON answer",
    "json_equals": "That value equals",
    "success_final": "Refusals that are final",
    "success_retry": "Refusals to try again",
    "timeout_seconds": "Timeout in seconds",
    "retry_delays": "Try again after",
}

INPUT_HELP: Final[Mapping[str, str]] = {
    "triggers": (
        "One or more names with commas, for example install, purchase; * is any event. We report "
        "reinstall (a device came back without an ad), reattribution (it came back through an ad), "
        "reengagement (somebody who was away opened the app through an ad), attribution_updated "
        "(an ad earned the install after all) and rejected_install (fraud would have earned it)."
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
    "event_map": (
        "The partner's names, one to a line, for example purchase = af_purchase. It is sent as "
        "{{partner_event_name}}; an event that the map does not name is not sent."
    ),
    "headers": "One to a line, for example X-Api-Key: {{credential.api_key}}.",
    "success_codes": "Answers that count as received, for example 2xx, or 200, 204.",
    "body_contains": "For networks that answer 200 to everything: a text such as ok. Empty: any.",
    "json_path": "Names and numbers joined by dots, for example data.0.status. Empty: any.",
    "json_equals": 'For example ok, 0 or true; in quotes, "0" is text.',
    "success_final": "One to a line: such an answer is not tried again, whatever its status, for "
    "example code = 40105, 40104 or contains bad token.",
    "success_retry": "One to a line: such an answer is tried again as the schedule says, whatever "
    "its status, for example contains rate limit.",
    "retry_delays": (
        "The wait before each new try, for example 5s, 30s, 2m, 10m, 1h. Empty: never again."
    ),
}

# What to write into an input that may not stay empty.
IF_EMPTY: Final[Mapping[str, str]] = {
    "name": "Write a name by which you know the rule, for example Purchases.",
    "triggers": "Choose the events that the rule is for, for example purchase.",
    "url": "Write the address that the partner gave you; it begins with https://.",
    "success_codes": "Write 2xx if the partner names no other status.",
    "timeout_seconds": "Write a number of seconds, for example 10.",
}

STATUSES: Final[Mapping[RuleStatus, str]] = {
    RuleStatus.DRAFT: "Draft: sends nothing yet",
    RuleStatus.ACTIVE: "Active: sends from now on",
    RuleStatus.PAUSED: "Paused: sends nothing; pending postbacks wait",
    RuleStatus.SUSPENDED: "Suspended",
    RuleStatus.ARCHIVED: "Archived",
}

SCOPES: Final[Mapping[str, str]] = {
    AttributionScope.EVERYONE: "All installs, organic ones too",
    AttributionScope.PARTNER: "Installs that this partner earned",
    AttributionScope.PARTNER_AND_ORGANIC: "Installs that this partner earned, and organic ones",
    AttributionScope.ANY_ATTRIBUTED: "Installs that any partner earned",
}
