"""From one name of a vendor's to our expression, or the reason why there is none."""

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
class Nothing:
    """This says why a name has no counterpart."""

    why: str


Found = str | Nothing


def expression_for(vendor: str, placeholder: Placeholder) -> Found:
    """This is what goes between our braces for a placeholder, or why nothing does."""
    found = [_one(VENDORS[vendor], name) for name in placeholder.names]
    known = [it for it in found if isinstance(it, str)]
    if not known:
        return found[0]
    if len(known) > 1:
        # Filters stand after all sources, so only plain names can follow one another.
        plain = [it for it in known if "|" not in it]
        return _finished("||".join(plain or known[:1]), placeholder)
    return _finished(known[0], placeholder)


def unknown_names(vendor: str, placeholder: Placeholder) -> list[tuple[str, str]]:
    """These are the names of a placeholder that its expression leaves out, and why."""
    found = [(name, _one(VENDORS[vendor], name)) for name in placeholder.names]
    several = len([it for _, it in found if isinstance(it, str)]) > 1
    left_out = [(name, it.why) for name, it in found if isinstance(it, Nothing)]
    if several:
        left_out += [
            (name, f"It needs a filter ({it}), which can't stand in a list of alternatives.")
            for name, it in found
            if isinstance(it, str) and "|" in it
        ]
    return left_out


def _finished(expression: str, placeholder: Placeholder) -> Found:
    for change in re.findall(r"\?([\w.]+)", placeholder.changes):
        if change not in _BUILT_IN:
            return Nothing(f"We have no function {change}.")
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


def _question(expression: str, words: tuple[str, str]) -> Found:
    yes, no = words
    if re.search(r"[\"',=]", yes + no) or not yes or not no:
        return Nothing("Only a pair of plain words such as 1 and 0 can be sent for true and false.")
    return f'{expression}|bool:"{yes},{no}"|default:"{no}"'


def _one(vendor: Vendor, name: str) -> Found:
    if name in vendor.macros:
        return vendor.macros[name]
    special = _SPECIAL.get(vendor.key)
    found = special(vendor, name) if special else None
    return found or _changed(vendor, name) or _none(vendor, name)


def _changed(vendor: Vendor, name: str) -> str | None:
    """This reads hashed and cased forms of known names, such as gps_adid_upper_md5."""
    steps: list[str] = []
    base = name
    while base not in vendor.macros:
        base, found, ending = base.rpartition("_")
        if not found or ending.lower() not in (*_HASHES, *_CASES, "hex"):
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


def _adjust(vendor: Vendor, name: str) -> Found | None:
    """In Adjust's links the network fills in its own click id, which we return to it."""
    return "click_id" if name in {"click_id", "clickid", "external_click_id"} else None


def _branch(vendor: Vendor, name: str) -> Found | None:
    """Branch keeps what a link carries beyond its own fields beside them."""
    if name in _BRANCH_FLAGS:
        return _BRANCH_FLAGS[name]
    touch, found, parameter = name.partition("last_attributed_touch_data.")
    if found and not touch and _OWN_PARAMETER.fullmatch(parameter):
        return f"click.{parameter}"
    return None


def _appsflyer(vendor: Vendor, name: str) -> Found | None:
    """AppsFlyer hashes by a prefix, and returns any parameter of the click URL by its name."""
    prefix, found, rest = name.partition("-")
    if found and prefix in _HASHES and rest in vendor.macros:
        return f"{vendor.macros[rest]}|{prefix}"
    if name == "encode":
        return Nothing("Values are encoded for their place by themselves here: leave it out.")
    other = name.replace("-", "_")
    if other in vendor.macros:
        return vendor.macros[other]
    if _OWN_PARAMETER.fullmatch(name):
        return f"click.{name}"
    return None


def _singular(vendor: Vendor, name: str) -> Found | None:
    """Singular passes parameters of one network through, and asks whether it was this network."""
    if passed := _PASSED_THROUGH.fullmatch(name):
        return vendor.macros.get(passed[1], f"click.{passed[1]}")
    if network := _NETWORK.fullmatch(name):
        return f'ad_network|map:"{network[1]}=1"|default:"0"'
    if name.islower() and _OWN_PARAMETER.fullmatch(name):
        return Nothing(
            "It is a value that was entered at set-up: write it out, or make it a credential, "
            f"{{{{credential.{name}}}}}."
        )
    return None


def _tenjin(vendor: Vendor, name: str) -> Found | None:
    """Tenjin's macro language is ours: what it has and we know by the same name stays."""
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


def _none(vendor: Vendor, name: str) -> Nothing:
    close = nearest(name, vendor.macros)
    if close is not None:
        ours = vendor.macros[close]
        return Nothing(
            f"{vendor.name} has no such macro that we know of. "
            f"Nearest: {vendor.spelled(close)}, with us {{{{{ours}}}}}."
        )
    return Nothing("We have no macro for it.")


def is_known(vendor: str, name: str) -> bool:
    """This tells whether a name is one of this vendor's."""
    return isinstance(_one(VENDORS[vendor], name), str)
