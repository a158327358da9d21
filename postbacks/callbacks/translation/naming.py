"""Finds our expression for a vendor's name, or the reason why there is none."""

import re
from dataclasses import dataclass
from typing import Final

from postbacks.callbacks.macros import UnknownNameError
from postbacks.callbacks.macros.names import understand
from postbacks.callbacks.macros.problems import nearest
from postbacks.callbacks.macros.vendors import VENDORS, Vendor
from postbacks.callbacks.translation.forms import Placeholder

_HASHES: Final = ("md5", "sha1", "sha256")
_CASES: Final = ("upper", "lower")
_OWN_PARAMETER: Final = re.compile(r"[A-Za-z_][\w-]{0,63}")
_PASSED_THROUGH: Final = re.compile(r"(cl|pcrid|pcrn|psid|psn|pshid)\?.{1,80}")
_NETWORK: Final = re.compile(r"NETWORK=([\w .-]{1,80})")

# Built-ins of FreeMarker that we have as filters.
_BUILT_IN: Final = {"upper_case": "upper", "lower_case": "lower", "trim": "trim", "url": ""}


@dataclass(frozen=True, slots=True)
class NoCounterpart:
    """Why we have no expression for a name."""

    why: str


Expression = str | NoCounterpart


def expression_for(vendor: str, placeholder: Placeholder) -> Expression:
    """Return the text between our braces for a placeholder, or why there is none."""
    results = [_expression(VENDORS[vendor], name) for name in placeholder.names]
    expressions = [result for result in results if isinstance(result, str)]
    if not expressions:
        return results[0]
    if len(expressions) > 1:
        # Filters follow all sources, so only plain names can be alternatives.
        plain = [expression for expression in expressions if "|" not in expression]
        return _completed("||".join(plain or expressions[:1]), placeholder)
    return _completed(expressions[0], placeholder)


def unknown_names(vendor: str, placeholder: Placeholder) -> list[tuple[str, str]]:
    """Return the names of a placeholder that its expression leaves out, and why."""
    results = [(name, _expression(VENDORS[vendor], name)) for name in placeholder.names]
    left_out = [(name, result.why) for name, result in results if isinstance(result, NoCounterpart)]
    if len(results) - len(left_out) > 1:
        left_out += [
            (name, f"It needs a filter ({result}), which can't stand in a list of alternatives.")
            for name, result in results
            if isinstance(result, str) and "|" in result
        ]
    return left_out


def _completed(expression: str, placeholder: Placeholder) -> Expression:
    for change in re.findall(r"\?([\w.]+)", placeholder.changes):
        if change not in _BUILT_IN:
            return NoCounterpart(f"We have no function {change}.")
        expression += f"|{_BUILT_IN[change]}" if _BUILT_IN[change] else ""
    if placeholder.words is not None:
        return _question(expression, placeholder.words)
    if placeholder.default is None:
        return expression
    quote = "'" if "'" not in placeholder.default else '"'
    if "|" in expression.replace("||", ""):
        quote = '"' if '"' not in placeholder.default else "'"
        return f"{expression}|default:{quote}{placeholder.default}{quote}"
    return f"{expression}||{quote}{placeholder.default}{quote}"


def _question(expression: str, words: tuple[str, str]) -> Expression:
    yes, no = words
    if re.search(r"[\"',=]", yes + no) or not yes or not no:
        return NoCounterpart(
            "Only a pair of plain words such as 1 and 0 can be sent for true and false."
        )
    return f'{expression}|bool:"{yes},{no}"|default:"{no}"'


def _expression(vendor: Vendor, name: str) -> Expression:
    if name in vendor.macros:
        return vendor.macros[name]
    special = _SPECIAL.get(vendor.key)
    expression = special(vendor, name) if special else None
    return expression or _changed(vendor, name) or _no_counterpart(vendor, name)


def _changed(vendor: Vendor, name: str) -> str | None:
    """Read hashed and cased forms of a vendor's names, such as gps_adid_upper_md5."""
    steps: list[str] = []
    base = name
    while base not in vendor.macros:
        base, separator, ending = base.rpartition("_")
        if not separator or ending.lower() not in (*_HASHES, *_CASES, "hex"):
            return None
        steps += [ending.lower()] if ending.lower() != "hex" else []
    expression = vendor.macros[base]
    if "|" in expression:
        return "|".join([expression, *reversed(steps)])
    ours = "_".join([expression, *reversed(steps)])
    try:
        understand(ours, ())
    except UnknownNameError:
        return "|".join([expression, *reversed(steps)])
    return ours


def _adjust(vendor: Vendor, name: str) -> Expression | None:
    """Return the click id that the network filled into Adjust's link."""
    return "click_id" if name in {"click_id", "clickid", "external_click_id"} else None


def _branch(vendor: Vendor, name: str) -> Expression | None:
    """Read a link's own parameters, which Branch keeps beside its fields."""
    if name in _BRANCH_FLAGS:
        return _BRANCH_FLAGS[name]
    before, separator, parameter = name.partition("last_attributed_touch_data.")
    if separator and not before and _OWN_PARAMETER.fullmatch(parameter):
        return f"click.{parameter}"
    return None


def _appsflyer(vendor: Vendor, name: str) -> Expression | None:
    """Read AppsFlyer's hash prefixes, and any parameter of the click URL by its name."""
    prefix, separator, rest = name.partition("-")
    if separator and prefix in _HASHES and rest in vendor.macros:
        return f"{vendor.macros[rest]}|{prefix}"
    if name == "encode":
        return NoCounterpart("Values are encoded for their place by themselves here: leave it out.")
    other = name.replace("-", "_")
    if other in vendor.macros:
        return vendor.macros[other]
    if _OWN_PARAMETER.fullmatch(name):
        return f"click.{name}"
    return None


def _singular(vendor: Vendor, name: str) -> Expression | None:
    """Read parameters of one network, which Singular passes through, and tests for a network."""
    if parameter := _PASSED_THROUGH.fullmatch(name):
        return vendor.macros.get(parameter[1], f"click.{parameter[1]}")
    if network := _NETWORK.fullmatch(name):
        return f'ad_network|map:"{network[1]}=1"|default:"0"'
    if name.islower() and _OWN_PARAMETER.fullmatch(name):
        return NoCounterpart(
            "It is a value that was entered at set-up: write it out, or make it a credential, "
            f"{{{{credential.{name}}}}}."
        )
    return None


def _tenjin(vendor: Vendor, name: str) -> Expression | None:
    """Keep the names that we share with Tenjin, whose macro language is ours."""
    try:
        understand(name, ())
    except UnknownNameError:
        return None
    return name


_BRANCH_FLAGS: Final = {"attributed": "is_attributed", "first_event_for_user": "is_first"}
_SPECIAL: Final = {
    "adjust": _adjust,
    "branch": _branch,
    "appsflyer": _appsflyer,
    "singular": _singular,
    "tenjin": _tenjin,
}


def _no_counterpart(vendor: Vendor, name: str) -> NoCounterpart:
    close = nearest(name, vendor.macros)
    if close is not None:
        ours = vendor.macros[close]
        return NoCounterpart(
            f"{vendor.name} has no such macro that we know of. "
            f"Nearest: {vendor.spelled(close)}, with us {{{{{ours}}}}}."
        )
    return NoCounterpart("We have no macro for it.")


def is_known(vendor: str, name: str) -> bool:
    """Tell whether a name is one of this vendor's."""
    return isinstance(_expression(VENDORS[vendor], name), str)
