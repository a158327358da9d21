"""Warns about macros: personal data, absent values, parameters that a partner needs."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from postbacks.callbacks.lint.rule_warnings import RuleWarning, WarningCode
from postbacks.callbacks.lint.texts import RequestText, names_in
from postbacks.callbacks.macros import CATALOGUE, BodyType
from postbacks.callbacks.macros.parser import Literal, MacroCall
from postbacks.callbacks.partner_templates.missing import absent_parameters
from postbacks.callbacks.partner_templates.shape import RuleTemplate, TemplateParameter
from postbacks.callbacks.partner_templates.writing import leaf_of, query_of
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.values.identifiers import ADVERTISING_IDS
from postbacks.values.rule_choices import WithoutConsent

_PLATFORM_NAMES: Final = {
    "ios": "iOS",
    "android": "Android",
    "amazon": "Amazon devices",
    "windows": "Windows",
    "web": "the web",
    "tv": "TV",
    "other": "other platforms",
}
_MOST_NAMED: Final = 4
# The macro that has the right id on every platform, in place of each platform's own.
_ON_ALL_PLATFORMS: Final = "advertising_id"
_ON_ONE_PLATFORM: Final = frozenset(ADVERTISING_IDS) - {_ON_ALL_PLATFORMS}


def personal(definition: RuleDefinition, texts: Sequence[RequestText]) -> Iterator[RuleWarning]:
    """Warn of personal data that is also sent of people who opted out."""
    if definition.without_consent != WithoutConsent.SEND:
        return
    names = dict.fromkeys(
        name
        for text in texts
        for call in text.calls
        for name in names_in(call)
        if is_personal(name)
    )
    if names:
        first = ", ".join(list(names)[:_MOST_NAMED])
        more = " and others" if len(names) > _MOST_NAMED else ""
        yield RuleWarning(
            "without_consent",
            0,
            len(definition.without_consent),
            WarningCode.PERSONAL_WITHOUT_CONSENT,
            f"Personal data ({first}{more}) is sent of people who opted out, too.",
            WithoutConsent.STRIP.value,
        )


def platform_names(platforms: Iterable[str]) -> str:
    """Return platforms by the names that people use."""
    return ", ".join(_PLATFORM_NAMES.get(platform, platform) for platform in platforms)


def is_personal(name: str) -> bool:
    """Tell whether a macro identifies a person; an event's own parameters always may."""
    macro = CATALOGUE.get(name)
    return name.startswith("params.") if macro is None else macro.personal


def absent_on(platform: str, texts: Sequence[RequestText]) -> Iterator[RuleWarning]:
    """Warn of macros that never have a value on the platform of the rule's app."""
    for text in texts:
        for call in text.calls:
            names = list(names_in(call))
            if not names or not all(_never_has(platform, name) for name in names):
                continue
            if any(isinstance(source, Literal) for source in call.sources):
                continue  # there is a default
            yield _absent(platform, text, call, names)


def _absent(platform: str, text: RequestText, call: MacroCall, names: list[str]) -> RuleWarning:
    written = text.written[call.start : call.end]
    usable = len(names) == 1 and names[0] in _ON_ONE_PLATFORM
    fix = re.sub(rf"\b{names[0]}(?=_|\b)", _ON_ALL_PLATFORMS, written, count=1) if usable else None
    where = platform_names([platform])
    return RuleWarning(
        text.field,
        call.start,
        call.end - call.start,
        WarningCode.NOT_ON_PLATFORM,
        f"{written[:80]} never has a value on {where}, where this rule's app runs.",
        fix,
        macro=names[0],
    )


def _never_has(platform: str, name: str) -> bool:
    macro = CATALOGUE.get(name)
    return macro is not None and bool(macro.platforms) and platform not in macro.platforms


def absent_rows(
    texts: Sequence[RequestText], template: RuleTemplate
) -> tuple[TemplateParameter, ...]:
    """Return the template's required rows that the rule does not have."""
    macros = {name for text in texts for call in text.calls for name in names_in(call)}
    return tuple(
        row
        for row in absent_parameters(template, macros)
        if not any(_is_written(row.name, text) for text in texts)
    )


def required(
    definition: RuleDefinition, texts: Sequence[RequestText], template: RuleTemplate
) -> Iterator[RuleWarning]:
    """Warn of missing parameters without which the partner refuses the request."""
    for row in absent_rows(texts, template):
        field, position, fix = _addition(definition, row)
        yield RuleWarning(
            field,
            position,
            0,
            WarningCode.REQUIRED_MISSING,
            f"The partner requires {row.name} ({row.meaning}), for example {row.display_value}.",
            fix,
        )


def _addition(definition: RuleDefinition, row: TemplateParameter) -> tuple[str, int, str | None]:
    """Return where to add a row, and its text; None if the row belongs inside another value."""
    pair = query_of([row])
    match definition.body_type:
        case BodyType.FORM:
            before = "\n" if definition.body.strip() else ""
            return "body", len(definition.body.rstrip()), before + pair
        case BodyType.JSON:
            opening = definition.body.find("{")
            if opening == -1 or not re.fullmatch(r"[\w-]+", row.name):
                return "body", 0, None
            is_empty = definition.body[opening + 1 :].lstrip().startswith("}")
            member = f'\n  "{row.name}": {leaf_of(row)}'
            return "body", opening + 1, member + ("\n" if is_empty else ",")
        case _:
            url = definition.url
            before = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
            return "url", len(url), before + pair


def _is_written(name: str, text: RequestText) -> bool:
    """Tell whether a text has the parameter, with some other value."""
    if text.field == "url":
        return re.search(rf"[?&]{re.escape(name)}=", text.plain) is not None
    if text.field != "body":
        return False
    last = re.escape(name.rpartition(".")[2])
    return re.search(rf'(^|[&\r\n]){last}=|"{last}"\s*:', text.plain) is not None
