"""④ Finds missing answers to a template's questions, and its missing rows in a rule."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from postbacks.callbacks.macros.names import UnknownNameError, understand
from postbacks.callbacks.macros.parser import MacroCall, Name, macros_in
from postbacks.callbacks.partner_templates.shape import (
    CredentialAsked,
    PartnerTemplate,
    RuleTemplate,
    TemplateParameter,
)


@dataclass(frozen=True, slots=True)
class MissingAnswer:
    """An answer that a person still has to give; `field` is the input that takes it."""

    field: str
    message: str


def missing_answers(
    template: PartnerTemplate,
    *,
    credentials: Mapping[str, str],
    events: Collection[str],
    address: str = "",
) -> tuple[MissingAnswer, ...]:
    """Return a template's questions without an answer."""
    missing = [
        MissingAnswer(f"credential_{credential.name}", f"{credential.label}: {credential.help}")
        for credential in missing_credentials(template, credentials)
    ]
    if template.asks_address and not address.strip():
        missing.insert(0, MissingAnswer("address", "The address that is to receive the postbacks."))
    if not events:
        missing.append(MissingAnswer("events", "At least one event to report."))
    return tuple(missing)


def missing_credentials(
    template: PartnerTemplate, credentials: Collection[str]
) -> tuple[CredentialAsked, ...]:
    """Return the template's credentials that are not among these.

    `credentials` are names, or values by name, of which an empty one is missing.
    """
    names = {
        name
        for name in credentials
        if not isinstance(credentials, Mapping) or str(credentials[name] or "").strip()
    }
    return tuple(question for question in template.credentials if question.name not in names)


def absent_parameters(rule: RuleTemplate, macros: Collection[str]) -> tuple[TemplateParameter, ...]:
    """Return the required rows of which a rule with these macros has none.

    `macros` are without endings, as in `CompiledRequest.macros`: `idfa_md5` counts as `idfa`.
    """
    return tuple(
        row
        for row in rule.parameters
        if row.required and (names := macros_of(row)) and names.isdisjoint(macros)
    )


def macros_of(row: TemplateParameter) -> set[str]:
    """Return the macros of a row, without their endings."""
    texts = row.value if isinstance(row.value, tuple) else (str(row.value),)
    return {
        _base(source.text)
        for text in texts
        for call in macros_in(text)
        if isinstance(call, MacroCall)
        for source in call.sources
        if isinstance(source, Name)
    }


def _base(name: str) -> str:
    if name.startswith("credential."):
        return name
    try:
        return understand(name, ()).name
    except UnknownNameError:
        return name
