"""Finds our expression for a vendor's name, or the reason why there is none."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from postbacks.callbacks.macros import UnknownNameError
from postbacks.callbacks.macros.names import understand
from postbacks.callbacks.macros.problems import nearest
from postbacks.callbacks.macros.vendors import GENERIC, VENDORS, Vendor
from postbacks.callbacks.translation.forms import Placeholder
from postbacks.values.identifiers import ADVERTISING_IDS

_HASHES: Final = ("md5", "sha1", "sha256")
_CASES: Final = ("upper", "lower")
_OWN_PARAMETER: Final = re.compile(r"[A-Za-z_][\w-]{0,63}")
_SEVERAL_WORDS: Final = re.compile(r"[A-Za-z]+[0-9]?(?:_[A-Za-z0-9]+)+")
# What only one vendor's grammar has.
_ONLY_THEIRS: Final = {
    "keitaro": re.compile(r"_?(?:status|date|sample|from_file|random):.{1,120}|_\w{2,40}"),
    "singular": re.compile(r"(?:cl|pcrid|pcrn|psid|psn|pshid)\?.{1,80}|NETWORK=.{1,80}"),
}
_PASSED_THROUGH: Final = re.compile(r"(cl|pcrid|pcrn|psid|psn|pshid)\?.{1,80}")
_NETWORK: Final = re.compile(r"NETWORK=([\w .-]{1,80})")

# Built-ins of FreeMarker that we have as filters.
_BUILT_IN: Final = {"upper_case": "upper", "lower_case": "lower", "trim": "trim", "url": ""}


_COMMON: Final = {**GENERIC.macros, **GENERIC.first_of}
_IDS: Final = frozenset({*ADVERTISING_IDS, "idfv", "app_set_id", "android_id"})


def _names_of_ids() -> dict[str, str]:
    """Return vendors' names of a device's ids, but for those that two of them mean differently."""
    meanings: dict[str, set[str]] = {}
    for vendor in VENDORS.values():
        for name, expression in vendor.macros.items():
            meanings.setdefault(name, set()).add(expression)
    return {name: id_ for name, (id_, *others) in meanings.items() if id_ in _IDS and not others}


_NAMES_OF_IDS: Final = _names_of_ids()


@dataclass(frozen=True, slots=True)
class NoCounterpart:
    """Why we have no expression for a name."""

    why: str


Expression = str | NoCounterpart


def expression_for(vendor: str, placeholder: Placeholder) -> Expression:
    """Return the text between our braces for a placeholder, or why there is none.

    A name that the vendor does not have is read as many tools mean it.
    """
    results = [_found(vendor, name) for name in placeholder.names]
    expressions = [result for result in results if isinstance(result, str)]
    if not expressions:
        return results[0]
    if len(expressions) > 1:
        # Filters follow all sources, so only plain names can be alternatives.
        plain = [expression for expression in expressions if not _has_filter(expression)]
        return _completed("||".join(plain or expressions[:1]), placeholder)
    return _completed(expressions[0], placeholder)


def unknown_names(vendor: str, placeholder: Placeholder) -> list[tuple[str, str]]:
    """Return the names of a placeholder that its expression leaves out, and why."""
    results = [(name, _found(vendor, name)) for name in placeholder.names]
    left_out = [(name, result.why) for name, result in results if isinstance(result, NoCounterpart)]
    if len(results) - len(left_out) > 1:
        left_out += [
            (name, f"It needs a filter ({result}), which can't stand in a list of alternatives.")
            for name, result in results
            if isinstance(result, str) and _has_filter(result)
        ]
    return left_out


@lru_cache(maxsize=2048)  # a text may hold one name thousands of times
def _found(vendor: str, name: str) -> Expression:
    own = _expression(vendor_of(vendor), name)
    if isinstance(own, str) or name in vendor_of(vendor).without:
        return own
    return _common(name) or own


def vendor_of(key: str) -> Vendor:
    return GENERIC if key == GENERIC.key else VENDORS[key]


def _has_filter(expression: str) -> bool:
    return "|" in expression.replace("||", "")


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
    if _has_filter(expression):
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
    if name in vendor.first_of:
        return vendor.first_of[name]
    if name in vendor.macros:
        return vendor.macros[name]
    if name in vendor.without:
        return NoCounterpart(vendor.without[name])
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
    common = _common(name)
    if common is not None and "revenue" in common:
        return common  # a link seldom says what a purchase will bring
    if name in _NAMES_OF_IDS:
        return None  # another tool's name of the device, which no link's parameter tells
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


def _keitaro(vendor: Vendor, name: str) -> Expression | None:
    """Read Keitaro's {_name}, which it does not encode, and what stands after a colon.

    Values are always encoded for their place here: the partner reads the same.
    """
    base, colon, argument = name.removeprefix("_").partition(":")
    if base in vendor.without:
        return NoCounterpart(vendor.without[base])
    expression = vendor.first_of.get(base) or vendor.macros.get(base)
    if expression is None:
        return None
    if base == "status" and colon:
        pairs = [pair.partition("=") for pair in argument.split()]
        if pairs and all(ours and theirs for ours, _, theirs in pairs):
            table = ",".join(f"{ours}={theirs}" for ours, _, theirs in pairs)
            return f'{expression}|map:"{table}"'
    if base == "date" and colon:
        return _php_date(argument)
    return expression


def _php_date(argument: str) -> Expression:
    """Return a time in a format of PHP's date(), perhaps with a time zone after a comma."""
    form, _, zone = argument.partition(",")
    if form == "U":
        return "event_time|unix"
    ours = "".join(_PHP_DATE.get(character, character) for character in form)
    unknown = next((c for c in form if c.isalpha() and c not in _PHP_DATE), None)
    if unknown is not None or '"' in argument:
        return NoCounterpart(f"We have no date format {form}.")
    in_zone = f'|tz:"{zone.strip()}"' if zone.strip() else ""
    return f'event_time{in_zone}|date:"{ours}"'


def _voluum(vendor: Vendor, name: str) -> Expression | None:
    """Read Voluum's functions, such as {externalid:raw}."""
    base, colon, function = name.partition(":")
    expression = vendor.first_of.get(base) or vendor.macros.get(base)
    if not colon or expression is None:
        return None
    if function == "raw":
        return expression
    return NoCounterpart(f"We have no function {function}.")


def _generic(vendor: Vendor, name: str) -> Expression | None:
    return _common(name)


def _common(name: str) -> str | None:
    """Return what many tools mean by a name, in whatever letters: clickId, CLICK_ID, click-id."""
    spelling = name.strip().lower()
    return (
        _COMMON.get(spelling)
        or _COMMON_LETTERS.get(_letters(spelling))
        or _NAMES_OF_IDS.get(name.strip())
        or _NAMES_OF_IDS.get(spelling)
    )


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


# Where two words have the same letters, the first one's meaning: "adid" is one of its own.
_COMMON_LETTERS: Final = {_letters(name): ours for name, ours in reversed(_COMMON.items())}


def _tenjin(vendor: Vendor, name: str) -> Expression | None:
    """Keep the names that we share with Tenjin, whose macro language is ours."""
    try:
        understand(name, ())
    except UnknownNameError:
        return None
    return name


_BRANCH_FLAGS: Final = {"attributed": "is_attributed", "first_event_for_user": "is_first"}
_PHP_DATE: Final = {
    "Y": "%Y",
    "m": "%m",
    "d": "%d",
    "H": "%H",
    "i": "%M",
    "s": "%S",
    "y": "%y",
    "D": "%a",
    "M": "%b",
    "F": "%B",
    "l": "%A",
}
_SPECIAL: Final = {
    "adjust": _adjust,
    "generic": _generic,
    "keitaro": _keitaro,
    "voluum": _voluum,
    "branch": _branch,
    "appsflyer": _appsflyer,
    "singular": _singular,
    "tenjin": _tenjin,
}


def _no_counterpart(vendor: Vendor, name: str) -> NoCounterpart:
    names = {**vendor.macros, **vendor.first_of}
    close = nearest(name, names)
    if close is None:
        return NoCounterpart("We have no macro for it.")
    whose = f"{vendor.name} has no such macro" if vendor is not GENERIC else "There is no such word"
    return NoCounterpart(
        f"{whose} that we know of. "
        f"Nearest: {vendor.spelled(close)}, with us {{{{{names[close]}}}}}."
    )


def is_anyones(name: str) -> bool:
    """Tell whether a name is a macro of any vendor, or of several words as macros are."""
    return _SEVERAL_WORDS.fullmatch(name) is not None or any(
        name in vendor.macros for vendor in VENDORS.values()
    )


@lru_cache(maxsize=2048)
def is_known(vendor: str, name: str) -> bool:
    """Tell whether a name is one of this vendor's."""
    return isinstance(_expression(vendor_of(vendor), name), str)


def is_own(vendor: str, name: str) -> bool:
    """Tell whether this vendor alone writes a name, plain, hashed or in capital letters."""
    own = VENDORS[vendor].own
    special = _ONLY_THEIRS.get(vendor)
    if special is not None and special.fullmatch(name):
        return True
    while name not in own:
        name, separator, ending = name.rpartition("_")
        if not separator or ending.lower() not in (*_HASHES, *_CASES, "hex"):
            return False
    return True
