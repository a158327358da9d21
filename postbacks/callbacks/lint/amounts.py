"""Filters of money where they make no sense: an error where no value can come, else a warning."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from postbacks.callbacks.lint.rule_warnings import RuleWarning, WarningCode
from postbacks.callbacks.lint.texts import RequestText, names_in
from postbacks.callbacks.macros import CATALOGUE, MacroGroup, MacroType, RuleError
from postbacks.callbacks.macros.catalogue import base_name
from postbacks.callbacks.macros.filters import CONVERT, MONEY_FILTERS
from postbacks.callbacks.macros.parser import CLOSING, FilterCall, Literal, MacroCall, Name
from postbacks.values.currencies import CURRENCIES

_CODE: Final = re.compile(r"[A-Z]{3}")
_SCALES: Final = MONEY_FILTERS - {CONVERT}
_IN_MINOR_UNITS: Final = frozenset({"revenue_usd_cents"})
_OTHER_AMOUNTS: Final = frozenset({"cost_amount", "skan_least_revenue", "skan_most_revenue"})
_NO_AMOUNTS_OF_MONEY: Final = frozenset({"payout_pct"})
# What people and networks put into these is theirs: it may be an amount.
_FREE_TEXTS: Final = frozenset(f"sub{number}" for number in range(1, 11))
# After these a text is still text, and a time still a time.
_KEEPS_KIND: Final = MONEY_FILTERS | {
    *("upper", "lower", "trim", "nohyphen", "urlencode", "raw", "truncate", "round"),
    *("md5", "sha1", "sha256", "hmac_sha256"),
}
_DROPS_DECIMALS: Final = frozenset({"int", "round"})
_TIME_AS_NUMBER: Final = frozenset({"unix", "unix_ms"})
_ENDINGS_OF_NUMBERS: Final = ("_ms", "_integer")
_KINDS: Final = {
    MacroType.TEXT: "text",
    MacroType.TIME: "a time",
    MacroType.JSON: "a group of values",
}


def amount_errors(texts: Sequence[RequestText]) -> Iterator[RuleError]:
    """Return the filters of money that never have a value."""
    for text, call, index in _money_filters(texts):
        use = call.filters[index]
        message = _unknown_currency(use) or _never_an_amount(call, index)
        if message is not None:
            yield RuleError(text.field, use.position, f"{use.name}: {message}")


def odd_amounts(text: RequestText) -> Iterator[RuleWarning]:
    """Warn of filters of money whose result is hardly what was meant."""
    for _, call, index in _money_filters([text]):
        message = _oddity(call, index)
        if message is not None and _never_an_amount(call, index) is None:
            start, end = _span(text, call, index)
            yield RuleWarning(
                text.field, start, end - start, WarningCode.NOT_AN_AMOUNT, message, ""
            )


def _money_filters(texts: Sequence[RequestText]) -> Iterator[tuple[RequestText, MacroCall, int]]:
    for text in texts:
        for call in text.calls:
            for index, use in enumerate(call.filters):
                if use.name in MONEY_FILTERS:
                    yield text, call, index


def _unknown_currency(use: FilterCall) -> str | None:
    code = (use.argument or "").upper()
    if use.name != CONVERT or not _CODE.fullmatch(code) or code in CURRENCIES:
        return None
    return f"{code} is not a currency in use. Write its ISO 4217 code, for example EUR."


def _never_an_amount(call: MacroCall, index: int) -> str | None:
    if any(before.name not in _KEEPS_KIND for before in call.filters[:index]):
        return None
    kinds = [_kind_without_amounts(source) for source in call.sources]
    if None in kinds:
        return None
    return f"{next(names_in(call))} is {kinds[0]} and never an amount. Leave the filter out."


def _kind_without_amounts(source: Name | Literal) -> str | None:
    """Return what a source is if it never holds an amount; None if it may."""
    if isinstance(source, Literal) or source.text.endswith(_ENDINGS_OF_NUMBERS):
        return None
    name = base_name(source.text)
    return None if name is None or name in _FREE_TEXTS else _KINDS.get(CATALOGUE[name].type)


def _oddity(call: MacroCall, index: int) -> str | None:
    use, earlier = call.filters[index], call.filters[:index]
    names = list(names_in(call))
    scaled = next((before.name for before in earlier if before.name in _SCALES), None)
    if scaled is not None and use.name == CONVERT:
        return f"convert after {scaled} rounds twice: convert first."
    if scaled is not None:
        return f"{use.name} after {scaled} multiplies twice."
    if use.name in _SCALES and any(name in _IN_MINOR_UNITS for name in names):
        return f"{names[0]} is in cents already: {use.name} multiplies again."
    if any(before.name in _TIME_AS_NUMBER for before in earlier):
        return f"{use.name} of a time makes no sense."
    if use.name in _SCALES and any(_drops_decimals(before) for before in earlier):
        return f"What stands before {use.name} has dropped the decimals that it needs."
    if any(before.name not in _KEEPS_KIND for before in earlier):
        return None
    other = next((name for name in names if not _may_be_amount(name)), None)
    return None if other is None else f"{other} is not money: {use.name} makes no sense of it."


def _drops_decimals(use: FilterCall) -> bool:
    return use.name in _DROPS_DECIMALS and (use.argument or "0") in {"0", "1"}


def _may_be_amount(name: str) -> bool:
    macro = CATALOGUE.get(name)
    if macro is None or name in _FREE_TEXTS or name in _OTHER_AMOUNTS:
        return True
    return macro.group == MacroGroup.MONEY and name not in _NO_AMOUNTS_OF_MONEY


def _span(text: RequestText, call: MacroCall, index: int) -> tuple[int, int]:
    """Return a filter's place, with the bar before it and the space around."""
    use = call.filters[index]
    bar = text.written.rfind("|", call.start, use.position)
    start = len(text.written[:bar].rstrip())
    following = call.filters[index + 1 : index + 2]
    if following:
        return start, text.written.rfind("|", use.position, following[0].position)
    end = call.end - len(CLOSING)
    written = text.written[use.position : end].rstrip().removesuffix("!").rstrip()
    return start, use.position + len(written)
