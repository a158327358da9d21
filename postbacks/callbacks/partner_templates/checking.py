"""Checks a template file beyond its shape: it compiles, and its texts are complete."""

from collections.abc import Iterator

from postbacks.callbacks.macros import RequestTemplate, TemplateError, compile_request
from postbacks.callbacks.macros.filters import DEFAULT
from postbacks.callbacks.macros.parser import Literal, MacroCall, macros_in
from postbacks.callbacks.partner_templates.defining import definition_from_template
from postbacks.callbacks.partner_templates.shape import (
    PartnerTemplate,
    RuleTemplate,
    TemplateParameter,
    VerificationState,
)

_SOMEWHERE = "https://server.example.com/postbacks"

TemplateProblem = tuple[str, str]  # the key in the file, and what is wrong with it


def problems_of(template: PartnerTemplate) -> Iterator[TemplateProblem]:
    """Yield the keys that are wrong, and why."""
    yield from _words(template)
    used: set[str] = set()
    for number, rule in enumerate(template.rules):
        key = f"rules[{number}]"
        yield from _rows(rule, key)
        yield from _request(template, rule, key, used)
    for number, credential in enumerate(template.credentials):
        if f"credential.{credential.name}" not in used:
            yield f"credentials[{number}].name", "No rule uses this credential."


def _words(template: PartnerTemplate) -> Iterator[TemplateProblem]:
    if not template.rules:
        yield "rules", "A template needs at least one rule."
    verification = template.verification
    if verification.state != VerificationState.OWN and not verification.sources:
        yield "verification.sources", "Say where the shape was read."
    if (
        verification.state in {VerificationState.PARTLY, VerificationState.OLD}
        and not verification.note
    ):
        yield "verification.note", "Say what is not verified."
    if template.asks_address != (not all(rule.url for rule in template.rules)):
        yield "asks_address", "A rule without url needs asks_address, and only such a rule."


def _rows(rule: RuleTemplate, key: str) -> Iterator[TemplateProblem]:
    if not rule.events:
        yield f"{key}.events", "A rule needs at least one event."
    for row in rule.parameters:
        calls = list(_calls(row))
        is_required = any(call.required for call in calls)
        if is_required and not row.required:
            yield f"{key}.parameters.{row.name}", "Its macro ends in !, so it is required."
        if row.required and not is_required and _needs_value(calls):
            yield f"{key}.parameters.{row.name}", "It is required: end its macro with !."


def _needs_value(calls: list[MacroCall]) -> bool:
    """Tell whether a row may stay empty: credentials, constants and defaults never do."""
    return any(
        not isinstance(source, Literal) and not source.text.startswith("credential.")
        for call in calls
        for source in call.sources[-1:]
        if not any(used.name == DEFAULT for used in call.filters)
    )


def _calls(row: TemplateParameter) -> Iterator[MacroCall]:
    texts = row.value if isinstance(row.value, tuple) else (str(row.value),)
    return (macro for text in texts for macro in macros_in(text) if isinstance(macro, MacroCall))


def _request(
    template: PartnerTemplate, rule: RuleTemplate, key: str, used: set[str]
) -> Iterator[TemplateProblem]:
    address = _SOMEWHERE if template.asks_address else ""
    try:
        definition = definition_from_template(rule, ["install"], address=address)
    except ValueError as error:
        yield f"{key}.parameters", str(error)
        return
    request = RequestTemplate(
        method=rule.method,
        url=str(definition["url"]),
        headers=rule.headers,
        body_type=rule.body,
        body=str(definition["body"]),
        missing_values=rule.missing_values,
    )
    names = {credential.name for credential in template.credentials}
    hosts = ("server.example.com",) if template.asks_address else template.allowed_hosts
    try:
        compiled = compile_request(request, credential_names=names, allowed_hosts=hosts)
    except TemplateError as error:
        for problem in error.problems:
            yield f"{key}.{problem.field}", f"{problem.message} (position {problem.position})"
        return
    used |= compiled.macros
