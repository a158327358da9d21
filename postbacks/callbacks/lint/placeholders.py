"""Macros of other tools in a template: they would be sent as they stand.

Networks and trackers write them as {name}, ${name}, %name%, [NAME], (name) or __NAME__. Names in
brackets that no tool and no macro has are left alone: they may be plain text.
"""

import re
from collections.abc import Iterator
from typing import Final

from postbacks.callbacks.lint.remark import Code, RuleWarning
from postbacks.callbacks.lint.texts import Text
from postbacks.callbacks.macros import CATALOGUE, UnknownNameError
from postbacks.callbacks.macros.names import understand
from postbacks.callbacks.macros.problems import nearest
from postbacks.callbacks.macros.vendors import VENDORS
from postbacks.callbacks.translation.detecting import Certainty, detect
from postbacks.callbacks.translation.forms import FORMS, NETWORKS, Placeholder
from postbacks.callbacks.translation.naming import Nothing, expression_for, is_known

_NAMES: Final = r"[A-Za-z_][\w.-]{0,80}"
_BRACES: Final = re.compile(rf"(?<![{{$])\{{({_NAMES}(?:\|\|{_NAMES})*)\}}(?!\}})")
_OTHERS: Final = re.compile(r"%([A-Za-z_]\w*)%|\[(\w+)\]")
_FOR_NETWORKS: Final = "An ad network fills it in when its ad is clicked, never in a callback."


def placeholders_in(text: Text) -> tuple[RuleWarning, ...]:
    """These are the placeholders of a text, from left to right, each with ours where we have it."""
    found = [*_braces(text), *_freemarker(text), *_round(text), *_others(text), *_networks(text)]
    return tuple(sorted(found, key=lambda it: it.position))


def _braces(text: Text) -> Iterator[RuleWarning]:
    found = [
        Placeholder(it.start(), it.end(), it[0], tuple(it[1].split("||")))
        for it in _BRACES.finditer(text.plain)
    ]
    detected = detect(" ".join(it.text for it in found))
    vendor, certainty = detected or ("adjust", Certainty.GUESS)
    for placeholder in found:
        ours = _expression(vendor, placeholder)
        is_theirs = certainty != Certainty.GUESS and is_known(vendor, placeholder.names[0])
        yield _remark(text, placeholder, ours, vendor if is_theirs else None)


def _freemarker(text: Text) -> Iterator[RuleWarning]:
    for placeholder in FORMS["branch"](text.plain):
        yield _remark(text, placeholder, _expression("branch", placeholder), "branch")


def _round(text: Text) -> Iterator[RuleWarning]:
    vendor = VENDORS["appsflyer"]
    for placeholder in FORMS["appsflyer"](text.plain):
        name = placeholder.names[0]
        if name in vendor.macros or name.replace("-", "_") in vendor.macros:
            yield _remark(text, placeholder, _expression("appsflyer", placeholder), "appsflyer")
        elif _is_ours(name):
            yield _remark(text, placeholder, name)


def _others(text: Text) -> Iterator[RuleWarning]:
    for found in _OTHERS.finditer(text.plain):
        name = (found[1] or found[2]).lower()
        if _is_ours(name):
            yield _remark(text, Placeholder(found.start(), found.end(), found[0], (name,)), name)


def _networks(text: Text) -> Iterator[RuleWarning]:
    for found in NETWORKS.finditer(text.plain):
        yield RuleWarning(
            text.field,
            found.start(),
            len(found[0]),
            Code.VENDOR_PLACEHOLDER,
            f"{found[0]} is sent as it stands. {_FOR_NETWORKS}",
        )


def _expression(vendor: str, placeholder: Placeholder) -> str | None:
    """This is what we have for a placeholder: what its vendor means, else what we call so."""
    found = expression_for(vendor, placeholder)
    if not isinstance(found, Nothing):
        return found
    name = placeholder.names[0].lower()
    return name if _is_ours(name) else nearest(name, CATALOGUE)


def _remark(
    text: Text, placeholder: Placeholder, ours: str | None, vendor: str | None = None
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
        Code.SINGLE_BRACES if is_braces and not vendor else Code.VENDOR_PLACEHOLDER,
        f"{placeholder.text[:80]} is sent as it stands.{looks}{use}",
        macro,
    )


def _is_ours(name: str) -> bool:
    try:
        understand(name, ())
    except UnknownNameError:
        return False
    return True
