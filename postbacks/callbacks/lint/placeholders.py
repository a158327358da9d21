"""Warns about other tools' macros in a template, which would be sent as they stand.

Networks and trackers write them as {name}, ${name}, %name%, [NAME], (name) or __NAME__. Bracketed
names that no tool and no macro has are left alone: they may be plain text.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from postbacks.callbacks.lint.rule_warnings import RuleWarning, WarningCode
from postbacks.callbacks.lint.texts import RequestText
from postbacks.callbacks.macros import CATALOGUE, UnknownNameError
from postbacks.callbacks.macros.names import understand
from postbacks.callbacks.macros.problems import nearest
from postbacks.callbacks.macros.vendors import GENERIC, VENDORS
from postbacks.callbacks.translation.forms import FOR_NETWORKS, FORMS, NETWORKS, Placeholder
from postbacks.callbacks.translation.naming import NoCounterpart, expression_for, is_known
from postbacks.callbacks.translation.pasted import encoded_placeholders
from postbacks.callbacks.translation.translating import Certainty, detect, translate

_NAMES: Final = r"[A-Za-z_][\w.-]{0,80}"
_BRACES: Final = re.compile(rf"(?<![{{$])\{{({_NAMES}(?:\|\|{_NAMES})*)\}}(?!\}})")
_OTHERS: Final = re.compile(r"%([A-Za-z_]\w*)%|\[(\w+)\]")
_MOST_ENCODED: Final = 20


def placeholders_in(text: RequestText) -> tuple[RuleWarning, ...]:
    """Warn of a text's placeholders, from left to right, each with our macro if there is one."""
    warnings = [
        *_encoded(text),
        *_braces(text),
        *_freemarker(text),
        *_round(text),
        *_others(text),
        *_networks(text),
    ]
    return tuple(sorted(warnings, key=lambda warning: warning.position))


def _braces(text: RequestText) -> Iterator[RuleWarning]:
    placeholders = [
        Placeholder(match.start(), match.end(), match[0], tuple(match[1].split("||")))
        for match in _BRACES.finditer(text.plain)
    ]
    detected = detect(" ".join(placeholder.text for placeholder in placeholders))
    vendor, certainty = detected or (GENERIC.key, Certainty.GUESS)
    for placeholder in placeholders:
        ours = _expression(vendor, placeholder)
        is_theirs = certainty != Certainty.GUESS and is_known(vendor, placeholder.names[0])
        yield _warning(text, placeholder, ours, vendor if is_theirs else None)


def _encoded(text: RequestText) -> Iterator[RuleWarning]:
    """Warn of placeholders whose braces were percent-encoded, as browsers and editors do."""
    if text.field != "url":
        return
    for start, end, meant in islice(encoded_placeholders(text.plain), _MOST_ENCODED):
        translation = translate(f"https://a.example/?v={meant}")
        name = meant.strip("()[]#%<>")
        is_word = meant[0] in "{$" or _is_ours(name) or is_known(GENERIC.key, name)
        if translation.translated and is_word:
            ours = translation.url.partition("?v=")[2]
            yield RuleWarning(
                text.field,
                start,
                end - start,
                WarningCode.VENDOR_PLACEHOLDER,
                f"{text.written[start:end][:80]} is sent as it stands. It is {meant[:80]}, "
                f"percent-encoded. Use {ours}.",
                ours,
            )


def _freemarker(text: RequestText) -> Iterator[RuleWarning]:
    for placeholder in FORMS["branch"](text.plain):
        yield _warning(text, placeholder, _expression("branch", placeholder), "branch")


def _round(text: RequestText) -> Iterator[RuleWarning]:
    vendor = VENDORS["appsflyer"]
    for placeholder in FORMS["appsflyer"](text.plain):
        name = placeholder.names[0]
        if name in vendor.macros or name.replace("-", "_") in vendor.macros:
            yield _warning(text, placeholder, _expression("appsflyer", placeholder), "appsflyer")
        elif _is_ours(name):
            yield _warning(text, placeholder, name)


def _others(text: RequestText) -> Iterator[RuleWarning]:
    for match in _OTHERS.finditer(text.plain):
        name = (match[1] or match[2]).lower()
        if _is_ours(name):
            yield _warning(text, Placeholder(match.start(), match.end(), match[0], (name,)), name)


def _networks(text: RequestText) -> Iterator[RuleWarning]:
    for match in NETWORKS.finditer(text.plain):
        yield RuleWarning(
            text.field,
            match.start(),
            len(match[0]),
            WarningCode.VENDOR_PLACEHOLDER,
            f"{match[0]} is sent as it stands. {FOR_NETWORKS}",
        )


def _expression(vendor: str, placeholder: Placeholder) -> str | None:
    """Return our expression for a vendor's placeholder, else our macro of the nearest name."""
    expression = expression_for(vendor, placeholder)
    if not isinstance(expression, NoCounterpart):
        return expression
    name = placeholder.names[0].lower()
    return name if _is_ours(name) else nearest(name, CATALOGUE)


def _warning(
    text: RequestText, placeholder: Placeholder, ours: str | None, vendor: str | None = None
) -> RuleWarning:
    is_braces = placeholder.text.startswith("{")
    macro = None if ours is None else f"{{{{{ours}}}}}"
    looks = f" It looks like {VENDORS[vendor].name}'s." if vendor else ""
    if not looks and is_braces:
        looks = " A macro has two braces."
    use = f" Use {macro}." if macro else " We have no macro of that name."
    return RuleWarning(
        text.field,
        placeholder.start,
        placeholder.end - placeholder.start,
        WarningCode.SINGLE_BRACES if is_braces and not vendor else WarningCode.VENDOR_PLACEHOLDER,
        f"{placeholder.text[:80]} is sent as it stands.{looks}{use}",
        macro,
    )


def _is_ours(name: str) -> bool:
    try:
        understand(name, ())
    except UnknownNameError:
        return False
    return True
