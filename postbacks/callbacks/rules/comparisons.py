"""④ Compares a value as number, truth, time or text, by the type of its field.

An event's own parameters have no declared type: there the condition's value decides. A number is
compared with numbers, anything else with texts. A field whose values are a list is compared in any
letter case.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache, partial
from typing import Final

import re2

from postbacks.callbacks.macros import MacroType
from postbacks.callbacks.macros.value import number_of, text_of, time_of
from postbacks.callbacks.rules.value_lists import ValueList

Test = Callable[[object], bool]  # takes a field's value, None without one
Key = Callable[[object], object]  # returns the compared form; None if the value has no such form

LONGEST_PATTERN: Final = 256
LONGEST_MATCHED: Final = 4096  # bytes; a longer value matches no pattern
LONGEST_VALUE: Final = 1024
MOST_VALUES: Final = 1000
MOST_LARGE_PATTERNS: Final = 3  # of a rule: each takes a tenth of a second to read


class Operator(StrEnum):
    """How a condition compares, as rules store it."""

    EQUAL = "="
    UNEQUAL = "≠"
    IN = "in"
    NOT_IN = "not-in"
    GREATER = ">"
    AT_LEAST = "≥"
    LESS = "<"
    AT_MOST = "≤"
    CONTAINS = "contains"
    STARTS_WITH = "starts-with"
    MATCHES = "matches"
    EXISTS = "exists"


OPERATORS: Final = tuple(operator.value for operator in Operator)
ALIASES: Final[Mapping[str, str]] = {
    "!=": Operator.UNEQUAL.value,
    ">=": Operator.AT_LEAST.value,
    "<=": Operator.AT_MOST.value,
}
ORDER: Final[Mapping[Operator, Callable[[object, object], bool]]] = {
    Operator.GREATER: lambda a, b: a > b,  # type: ignore[operator]  # both went through one key
    Operator.AT_LEAST: lambda a, b: a >= b,  # type: ignore[operator]  # as above
    Operator.LESS: lambda a, b: a < b,  # type: ignore[operator]  # as above
    Operator.AT_MOST: lambda a, b: a <= b,  # type: ignore[operator]  # as above
}

_MEDIUM: Final = 1024 * 1024  # bytes
_VERSION: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,7}")
_TRUTHS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_EXAMPLES: Final[Mapping[MacroType, str]] = {
    MacroType.INTEGER: "a whole number, for example 3",
    MacroType.DECIMAL: "a number, for example 4.99",
    MacroType.BOOLEAN: "true or false",
    MacroType.TIME: "a time, for example 2026-05-04T10:00:00Z",
}


@dataclass(frozen=True, slots=True)
class ComparedField:
    """A field as conditions compare it.

    `kind` is None for an event's own parameters, `values` where anything may be a value.
    """

    name: str
    kind: MacroType | None
    values: ValueList | None = None


def test_of(field: ComparedField, operator: Operator, expected: object, *, is_stored: bool) -> Test:
    """Build the test of a field's value by an operator.

    Raises ValueError with a sentence for people if the expected value does not fit. A stored
    pattern was read when it was saved, and is read again when it is needed: that takes time.
    """
    if operator is Operator.EXISTS:
        return _exists(expected)
    if operator in {Operator.IN, Operator.NOT_IN}:
        is_in = _membership(field, members_of(field.name, expected))
        return is_in if operator is Operator.IN else lambda value: not is_in(value)
    if not isinstance(expected, str | int | float | Decimal) or expected == "":
        raise ValueError(f"Write what {field.name} is compared with.")
    if len(text_of(expected)) > LONGEST_VALUE:
        raise ValueError(f"A value has at most {LONGEST_VALUE} characters.")
    if operator in {Operator.EQUAL, Operator.UNEQUAL}:
        same = _equality(field, expected)
        return same if operator is Operator.EQUAL else lambda value: not same(value)
    if operator in ORDER:
        return _ordering(field, operator, expected)
    if operator is Operator.MATCHES and not is_stored:
        _check_pattern(text_of(expected))
    return _on_text(field, operator, text_of(expected))


def _exists(expected: object) -> Test:
    should_exist = True if expected is None else _truth_of(expected)
    if should_exist is None:
        raise ValueError("Write true or false.")
    return lambda value: (value is not None) is should_exist


def members_of(field: str, expected: object) -> list[object]:
    """Return the values of a list, also of one that was written with commas.

    Raises ValueError with a sentence for people if it is no list of values.
    """
    if isinstance(expected, str):
        expected = [part for text in expected.split(",") if (part := text.strip())]
    if isinstance(expected, int | float | Decimal):
        expected = [expected]
    if not isinstance(expected, list | tuple) or not 1 <= len(expected) <= MOST_VALUES:
        raise ValueError(f"Write a list of 1 to {MOST_VALUES} values, for example DE,AT.")
    if not all(isinstance(part, str | int | float | Decimal) and part != "" for part in expected):
        raise ValueError(f"Each value that {field} may have is a text, a number, true or false.")
    if any(len(text_of(part)) > LONGEST_VALUE for part in expected):
        raise ValueError(f"A value has at most {LONGEST_VALUE} characters.")
    return list(expected)


def _membership(field: ComparedField, members: list[object]) -> Test:
    if field.kind is None:
        return _LooseMembers.of(members).has
    key = _key_of(field)
    keys = frozenset(_fitting(field, key, member) for member in members)
    return lambda value: value is not None and key(value) in keys


@dataclass(frozen=True, slots=True)
class _LooseMembers:
    """Expected values of an event's own parameter, each normalized once.

    A text is equal to a text that is written alike: 007 is not 7. Else a number counts as a number.
    """

    texts: frozenset[str]
    keys: frozenset[object]  # of all
    keys_of_others: frozenset[object]  # of those that are no texts

    @classmethod
    def of(cls, members: Sequence[object]) -> "_LooseMembers":
        texts = frozenset(member for member in members if isinstance(member, str))
        keys = frozenset(map(_loose, members))
        if not texts:
            return cls(texts, keys, keys)  # shared: a list may have thousands
        others = frozenset(_loose(member) for member in members if not isinstance(member, str))
        return cls(texts, keys, others)

    def has(self, value: object) -> bool:
        if isinstance(value, str):
            return value in self.texts or (
                bool(self.keys_of_others) and _loose(value) in self.keys_of_others
            )
        return value is not None and _loose(value) in self.keys


def _equality(field: ComparedField, expected: object) -> Test:
    if field.kind is None:
        return _LooseMembers.of([expected]).has
    key = _key_of(field)
    expected_key = _fitting(field, key, expected)
    return lambda value: value is not None and key(value) == expected_key


def _loose(value: object) -> object:
    if isinstance(value, bool):
        return text_of(value)
    number = number_of(value)
    return text_of(value) if number is None else number


def _key_of(field: ComparedField) -> Key:
    if field.values is not None and field.kind is MacroType.TEXT:
        return field.values.key
    return _KEYS[field.kind or MacroType.TEXT]


def _ordering(field: ComparedField, operator: Operator, expected: object) -> Test:
    compare = ORDER[operator]
    key, expected_key = _order_of(field, expected)

    def holds(value: object) -> bool:
        value_key = None if value is None else key(value)
        return value_key is not None and compare(value_key, expected_key)

    return holds


def _order_of(field: ComparedField, expected: object) -> tuple[Key, object]:
    """Return the key that orders values, and the expected one; 4.10 comes after 4.9."""
    if field.kind is MacroType.BOOLEAN:
        raise ValueError(f"{field.name} is true or false: compare it with = or ≠.")
    if field.kind in {MacroType.INTEGER, MacroType.DECIMAL, MacroType.TIME}:
        return _KEYS[field.kind], _fitting(field, _KEYS[field.kind], expected)
    keys = (_version_of,) if field.kind else (_plain_number, _version_of, time_of)
    for key in keys:
        if (expected_key := key(expected)) is not None:
            return key, expected_key
    raise ValueError("Write a number or a version, for example 5 or 17.4.1.")


def _fitting(field: ComparedField, key: Key, expected: object) -> object:
    expected_key = key(expected)
    is_boolean = field.kind is MacroType.BOOLEAN
    if expected_key is None or (isinstance(expected, bool) and not is_boolean):
        example = _EXAMPLES.get(field.kind, "a text") if field.kind else "a text"
        raise ValueError(f"{field.name} is compared with {example}.")
    return expected_key


def _on_text(field: ComparedField, operator: Operator, expected: str) -> Test:
    if field.values is None or field.kind is not MacroType.TEXT:
        return _on_written_text(operator, expected)
    # A pattern keeps its letters: \D is not \d.
    written = expected if operator is Operator.MATCHES else expected.casefold()
    test = _on_written_text(operator, written, any_case=True)
    return partial(_passes_spelled, field.values, test)


def _passes_spelled(values: ValueList, test: Test, value: object) -> bool:
    return value is not None and any(test(name) for name in values.spellings(value))


def _on_written_text(operator: Operator, expected: str, *, any_case: bool = False) -> Test:
    if operator is Operator.CONTAINS:
        return partial(_contains, expected)
    if operator is Operator.STARTS_WITH:
        return lambda value: value is not None and text_of(value).startswith(expected)
    return partial(_matches, expected, any_case)


def _contains(expected: str, value: object) -> bool:
    if isinstance(value, list | tuple):
        return any(text_of(member) == expected for member in value)
    return value is not None and expected in text_of(value)


def _check_pattern(expected: str) -> None:
    if len(expected) > LONGEST_PATTERN:
        raise ValueError(f"A pattern has at most {LONGEST_PATTERN} characters.")
    _pattern(expected, any_case=False)


def _matches(pattern: str, any_case: bool, value: object) -> bool:
    if value is None:
        return False
    text = text_of(value)
    if len(text.encode("utf-8", "replace")) > LONGEST_MATCHED:
        return False
    return bool(_pattern(pattern, any_case).search(text))


def is_large_pattern(pattern: str) -> bool:
    """Tell whether a pattern needs more than a mebibyte."""
    if _small_pattern(pattern, False) or _medium_pattern(pattern, False):
        return False
    try:
        _compile_pattern(pattern, False, _MEDIUM)
    except ValueError as error:
        return "too large" in str(error)
    return True


def _pattern(expected: str, any_case: bool) -> "re2._Regexp[str]":
    """Return a compiled pattern. Raises ValueError if RE2 does not understand it.

    A pattern takes memory as it is used, up to a limit. Most do with little; those that are refused
    with that get more, up to RE2's usual limit, and fewer of them are kept.
    """
    return (
        _small_pattern(expected, any_case)
        or _medium_pattern(expected, any_case)
        or _large_pattern(expected, any_case)
    )


@lru_cache(maxsize=256)
def _small_pattern(expected: str, any_case: bool) -> "re2._Regexp[str] | None":
    try:
        return _compile_pattern(expected, any_case, 128 * 1024)
    except ValueError:
        return None


@lru_cache(maxsize=32)
def _medium_pattern(expected: str, any_case: bool) -> "re2._Regexp[str] | None":
    try:
        return _compile_pattern(expected, any_case, _MEDIUM)
    except ValueError:
        return None


@lru_cache(maxsize=MOST_LARGE_PATTERNS)
def _large_pattern(expected: str, any_case: bool) -> "re2._Regexp[str]":
    return _compile_pattern(expected, any_case, 8 * 1024 * 1024)


def _compile_pattern(expected: str, any_case: bool, most: int) -> "re2._Regexp[str]":
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not any_case
    options.max_mem = most
    try:
        return re2.compile(expected, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"This is not a pattern that RE2 understands: {text}.") from None
    finally:
        re2.purge()  # the library's own cache would keep far more


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
