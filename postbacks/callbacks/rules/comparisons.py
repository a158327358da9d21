"""④ How a condition compares a value: as number, truth, time or text, by what its field holds.

An event's own parameters have no declared type. There the condition's value decides: a number is
compared with numbers, anything else with texts.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Final

import re2

from postbacks.callbacks.macros import MacroType
from postbacks.callbacks.macros.value import number_of, text_of, time_of

Test = Callable[[object], bool]  # of a value, None where there is none
Key = Callable[[object], object]  # what is compared; None where the value has no such form

LONGEST_PATTERN: Final = 256
LONGEST_MATCHED: Final = 4096  # bytes; a longer value matches no pattern
LONGEST_VALUE: Final = 1024
MOST_VALUES: Final = 1000

ALIASES: Final[Mapping[str, str]] = {"!=": "≠", ">=": "≥", "<=": "≤"}
_ORDER: Final[Mapping[str, Callable[[object, object], bool]]] = {
    ">": lambda a, b: a > b,  # type: ignore[operator]  # both have gone through the same key
    "≥": lambda a, b: a >= b,  # type: ignore[operator]  # as above
    "<": lambda a, b: a < b,  # type: ignore[operator]  # as above
    "≤": lambda a, b: a <= b,  # type: ignore[operator]  # as above
}
OPERATORS: Final = (
    "=", "≠", "in", "not-in", *_ORDER, "contains", "starts-with", "matches", "exists",
)  # fmt: skip

_VERSION: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,7}")
_TRUTHS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_EXAMPLES: Final[Mapping[MacroType, str]] = {
    MacroType.INTEGER: "a whole number, for example 3",
    MacroType.DECIMAL: "a number, for example 4.99",
    MacroType.BOOLEAN: "true or false",
    MacroType.TIME: "a time, for example 2026-05-04T10:00:00Z",
}


def test_of(field: str, kind: MacroType | None, operator: str, expected: object) -> Test:
    """This is what an operator asks of a field's value.

    Raises ValueError with a sentence for people where the expected value does not fit.
    """
    if operator == "exists":
        return _exists(expected)
    if operator in {"in", "not-in"}:
        found = partial(_is_in, [_equality(field, kind, it) for it in _members(field, expected)])
        return found if operator == "in" else lambda value: not found(value)
    if not isinstance(expected, str | int | float | Decimal) or expected == "":
        raise ValueError(f"Write what {field} is compared with.")
    if len(text_of(expected)) > LONGEST_VALUE:
        raise ValueError(f"A value has at most {LONGEST_VALUE} characters.")
    if operator in {"=", "≠"}:
        same = _equality(field, kind, expected)
        return same if operator == "=" else lambda value: not same(value)
    if operator in _ORDER:
        return _ordering(field, kind, operator, expected)
    return _on_text(operator, text_of(expected))


def _exists(expected: object) -> Test:
    wanted = True if expected is None else _truth_of(expected)
    if wanted is None:
        raise ValueError("Write true or false.")
    return lambda value: (value is not None) is wanted


def _members(field: str, expected: object) -> list[object]:
    if isinstance(expected, str):
        expected = [part for text in expected.split(",") if (part := text.strip())]
    if isinstance(expected, int | float | Decimal):
        expected = [expected]
    if not isinstance(expected, list | tuple) or not 1 <= len(expected) <= MOST_VALUES:
        raise ValueError(f"Write a list of 1 to {MOST_VALUES} values, for example DE,AT.")
    if not all(isinstance(it, str | int | float | Decimal) and it != "" for it in expected):
        raise ValueError(f"Each value that {field} may have is a text, a number, true or false.")
    if any(len(text_of(it)) > LONGEST_VALUE for it in expected):
        raise ValueError(f"A value has at most {LONGEST_VALUE} characters.")
    return list(expected)


def _is_in(tests: list[Test], value: object) -> bool:
    return any(test(value) for test in tests)


def _equality(field: str, kind: MacroType | None, expected: object) -> Test:
    if kind is None:
        return partial(_is_loosely, expected, _loose(expected))
    key = _KEYS[kind]
    wanted = _fitting(field, kind, key, expected)
    return lambda value: value is not None and key(value) == wanted


def _is_loosely(expected: object, loose: object, value: object) -> bool:
    if isinstance(expected, str) and isinstance(value, str):
        return expected == value
    return value is not None and _loose(value) == loose


def _loose(value: object) -> object:
    if isinstance(value, bool):
        return text_of(value)
    number = number_of(value)
    return text_of(value) if number is None else number


def _ordering(field: str, kind: MacroType | None, operator: str, expected: object) -> Test:
    compare = _ORDER[operator]
    key, wanted = _order_of(field, kind, expected)

    def holds(value: object) -> bool:
        found = None if value is None else key(value)
        return found is not None and compare(found, wanted)

    return holds


def _order_of(field: str, kind: MacroType | None, expected: object) -> tuple[Key, object]:
    """This is by what values are put in order: texts are versions, 4.10 comes after 4.9."""
    if kind is MacroType.BOOLEAN:
        raise ValueError(f"{field} is true or false: compare it with = or ≠.")
    if kind in {MacroType.INTEGER, MacroType.DECIMAL, MacroType.TIME}:
        return _KEYS[kind], _fitting(field, kind, _KEYS[kind], expected)
    keys = (_version_of,) if kind else (_plain_number, _version_of, time_of)
    for key in keys:
        if (wanted := key(expected)) is not None:
            return key, wanted
    raise ValueError("Write a number or a version, for example 5 or 17.4.1.")


def _fitting(field: str, kind: MacroType, key: Key, expected: object) -> object:
    wanted = key(expected)
    if wanted is None or (isinstance(expected, bool) and kind is not MacroType.BOOLEAN):
        raise ValueError(f"{field} is compared with {_EXAMPLES.get(kind, 'a text')}.")
    return wanted


def _on_text(operator: str, expected: str) -> Test:
    if operator == "contains":
        return partial(_contains, expected)
    if operator == "starts-with":
        return lambda value: value is not None and text_of(value).startswith(expected)
    if len(expected) > LONGEST_PATTERN:
        raise ValueError(f"A pattern has at most {LONGEST_PATTERN} characters.")
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(expected, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"This is not a pattern that RE2 understands: {text}.") from None
    return partial(_matches, pattern)


def _contains(expected: str, value: object) -> bool:
    if isinstance(value, list | tuple):
        return any(text_of(member) == expected for member in value)
    return value is not None and expected in text_of(value)


def _matches(pattern: "re2._Regexp[str]", value: object) -> bool:
    if value is None:
        return False
    text = text_of(value)
    return len(text.encode("utf-8", "replace")) <= LONGEST_MATCHED and bool(pattern.search(text))


def _truth_of(value: object) -> bool | None:
    return value if isinstance(value, bool) else _TRUTHS.get(text_of(value).strip().lower())


def _plain_number(value: object) -> Decimal | None:
    return None if isinstance(value, bool) else number_of(value)


def _version_of(value: object) -> tuple[int, ...] | None:
    text = text_of(value).strip()
    if isinstance(value, bool) or not _VERSION.fullmatch(text):
        return None
    parts = [int(part) for part in text.split(".")]
    while len(parts) > 1 and not parts[-1]:  # 17 and 17.0 are the same
        parts.pop()
    return tuple(parts)


_KEYS: Final[Mapping[MacroType, Key]] = {
    MacroType.TEXT: text_of,
    MacroType.JSON: text_of,
    MacroType.INTEGER: number_of,
    MacroType.DECIMAL: number_of,
    MacroType.BOOLEAN: _truth_of,
    MacroType.TIME: time_of,
}
