"""What a template still lacks: before a partner is made of it, and in a rule later on."""

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
class Missing:
    """This is one thing that people still have to say; `field` is the input that takes it."""

    field: str
    message: str


def missing_answers(
    template: PartnerTemplate,
    *,
    credentials: Mapping[str, str],
    events: Collection[str],
    address: str = "",
) -> tuple[Missing, ...]:
    """These are the questions of a template that have no answer yet."""
    found = [
        Missing(f"credential_{asked.name}", f"{asked.label}: {asked.help}")
        for asked in missing_credentials(template, credentials)
    ]
    if template.asks_address and not address.strip():
        found.insert(0, Missing("address", "The address that is to receive the postbacks."))
    if not events:
        found.append(Missing("events", "At least one event to report."))
    return tuple(found)


def missing_credentials(
    template: PartnerTemplate, given: Collection[str]
) -> tuple[CredentialAsked, ...]:
    """These are the credentials that a partner of this template does not have; names are given."""
    has = {
        name for name in given if not isinstance(given, Mapping) or str(given[name] or "").strip()
    }
    return tuple(asked for asked in template.credentials if asked.name not in has)


def absent_parameters(rule: RuleTemplate, macros: Collection[str]) -> tuple[TemplateParameter, ...]:
    """These are required rows of which nothing is left in a rule; `macros` are those it names.

    `CompiledRequest.macros` holds them: without endings, so that `idfa_md5` counts as `idfa`.
    """
    return tuple(
        row
        for row in rule.parameters
        if row.required and (names := macros_of(row)) and names.isdisjoint(macros)
    )


def macros_of(row: TemplateParameter) -> set[str]:
    """These are the macros of a row, without their endings."""
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
