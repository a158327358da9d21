"""Reads the template files, and checks each: the error for a wrong one names file and key.

A file is checked beyond its shape: its rules compile, and its texts are complete.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from postbacks.callbacks.macros import RequestTemplate, TemplateError, compile_request
from postbacks.callbacks.macros.filters import DEFAULT
from postbacks.callbacks.macros.parser import Literal, MacroCall, macros_in
from postbacks.callbacks.partner_templates.defining import definition_from_template
from postbacks.callbacks.partner_templates.shape import (
    PartnerTemplate,
    RuleTemplate,
    TemplateGroup,
    TemplateParameter,
    VerificationState,
)

FOLDER: Final = Path(__file__).parent / "files"
_UNAVAILABLE: Final = "unavailable.toml"  # the one file there that is no template
_ORDER: Final = list(TemplateGroup)
_SOMEWHERE: Final = "https://server.example.com/postbacks"

Shape = TypeVar("Shape")
TemplateProblem = tuple[str, str]  # the key in the file, and what is wrong with it


class TemplateFileError(ValueError):
    """A template file can't be used; names the file and the key."""

    def __init__(self, path: Path, key: str, message: str) -> None:
        super().__init__(f"{path.name}, {key}: {message}")
        self.path = path
        self.key = key
        self.message = message


class Unavailable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A network without a template; `also` holds other names that people look for."""

    title: str
    why: str
    also: str = ""


class _UnavailableFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    partners: tuple[Unavailable, ...]


@cache
def all_templates() -> Mapping[str, PartnerTemplate]:
    """Return the shipped templates by name, group by group. Raises TemplateFileError."""
    return read_folder(FOLDER)


def template_named(name: str) -> PartnerTemplate | None:
    return all_templates().get(name)


def click_parameters(name: str) -> str:
    """Return the parameters that a template's network fills into links, as a query."""
    template = template_named(name) if name else None
    macros = template.click_macros if template else ()
    return "&".join(f"{macro.parameter}={macro.macro}" for macro in macros if macro.macro)


def read_folder(folder: Path) -> Mapping[str, PartnerTemplate]:
    """Return a folder's templates by name, group by group. Raises TemplateFileError."""
    paths = [path for path in sorted(folder.glob("*.toml")) if path.name != _UNAVAILABLE]
    templates = [_read(path) for path in paths]
    templates.sort(key=lambda template: (_ORDER.index(template.group), template.title.lower()))
    return {template.name: template for template in templates}


@cache
def unavailable_partners() -> tuple[Unavailable, ...]:
    """Return the networks without a template, by title. Raises TemplateFileError."""
    path = FOLDER / _UNAVAILABLE
    partners = _shaped(_UnavailableFile, path, _toml(path)).partners
    return tuple(sorted(partners, key=lambda partner: partner.title.lower()))


def _read(path: Path) -> PartnerTemplate:
    data = _toml(path)
    data = {**data, "name": path.stem, "rules": list(_with_shared_rows(data))}
    data.pop("parameters", None)
    template = _shaped(PartnerTemplate, path, data)
    for key, message in problems_of(template):
        raise TemplateFileError(path, key, message)
    return replace(template, name=path.stem)


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TemplateFileError(path, "the file", f"This is not TOML: {error}") from None


def _shaped(shape: type[Shape], path: Path, data: Mapping[str, object]) -> Shape:
    try:
        return msgspec.convert(data, shape)
    except msgspec.ValidationError as error:
        message, _, key = str(error).partition(" - at `$")
        raise TemplateFileError(path, key.strip("`.") or "the file", message) from None


def _with_shared_rows(data: Mapping[str, object]) -> Iterator[object]:
    """Yield the rules, each with the rows that all of them share before its own."""
    shared, rules = data.get("parameters", []), data.get("rules", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        if isinstance(rule, dict) and isinstance(shared, list):
            yield {**rule, "parameters": [*shared, *rule.get("parameters", [])]}
        else:
            yield rule


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
