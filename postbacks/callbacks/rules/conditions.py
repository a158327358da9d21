"""④ Conditions of a rule: `country in DE,AT`, `revenue ≥ 5`, compiled once, tested for each event.

A missing value follows plain logic rather than SQL's: it equals nothing and is in no list, so `≠`,
`not-in` and `exists` false hold, and nothing else does. “Country is not US” is meant to leave the
US out, not everybody whose country is unknown; for those there is `exists`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from postbacks.callbacks.macros import (
    CATALOGUE,
    MacroType,
    Rates,
    RuleError,
    TemplateError,
    UnknownNameError,
    Value,
)
from postbacks.callbacks.macros.names import CREDENTIAL, Reader, understand
from postbacks.callbacks.macros.problems import Problems, nearest
from postbacks.callbacks.macros.value import RenderScope, present, text_of
from postbacks.callbacks.rules.comparisons import (
    ALIASES,
    LONGEST_PATTERN,
    MOST_LARGE_PATTERNS,
    OPERATORS,
    ORDER,
    ComparedField,
    Operator,
    Test,
    is_large_pattern,
    members_of,
    test_of,
)
from postbacks.callbacks.rules.value_lists import ValueList, values_of

MOST_CONDITIONS: Final = 50
LARGEST_CONDITIONS: Final = 1_048_576  # bytes of a rule's conditions as JSON
_PARTS: Final = ("field", "operator", "value")
_LONGEST_SHOWN: Final = 80
_MOST_SHOWN: Final = 20  # values of one list
_MOST_WRONG: Final = 20  # values that are named; each is compared with all for what was meant
_ASKS_FOR_A_PART: Final = frozenset({Operator.CONTAINS, Operator.STARTS_WITH, Operator.MATCHES})
_ASKS_FOR_NO_VALUE: Final = frozenset({Operator.EXISTS, *ORDER})


class Join(StrEnum):
    """How many of a rule's conditions must hold; the first is the default."""

    ALL = "all"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rule leaves an event out; `code` is stable, `detail` is for people.

    `macro` is the required one that has no value, where that is the reason and it is known.
    """

    code: str
    detail: str
    macro: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """One compiled condition; `expected` is the value as it was written."""

    field: ComparedField
    operator: Operator
    expected: object
    read: Reader
    holds: Test

    @property
    def words(self) -> str:
        """Return its text for people."""
        return words_of(self.field.name, self.operator, self.expected)

    def refusal(self, value: object) -> str:
        """Return why the condition does not hold for a value; a long list is cut."""
        text = "no value" if value is None else text_of(value)[:_LONGEST_SHOWN]
        return f"{_cut(self)}: the event has {text}."


class TooExpensiveError(Exception):
    """The conditions of one event's rules took more processor time than they may."""


RULE_SECONDS: Final = 0.1  # of processor time that one rule's conditions may take for one event
EVENT_SECONDS: Final = 0.3  # ... and those of all rules for one event


@dataclass(slots=True)
class Effort:
    """The processor time that conditions take for one event, rule after rule.

    Only patterns and long values take time; a rule without them is never refused. The time of this
    thread alone counts: a machine that is busy makes no rule expensive.
    """

    rule_limit: float = RULE_SECONDS
    event_limit: float = EVENT_SECONDS
    _event_began: float | None = None
    _rule_began: float | None = None
    _is_second: bool = False

    def begin_rule(self) -> None:
        self._rule_began = None

    def check(self) -> None:
        """Raise TooExpensiveError if the rule, or all rules together, took too long."""
        now = time.thread_time()
        if self._event_began is None:
            self._event_began = now
        if self._rule_began is None:
            self._rule_began = now
        if now - self._rule_began > self.rule_limit or now - self._event_began > self.event_limit:
            raise TooExpensiveError

    def start_again(self) -> bool:
        """Allow the event its time once more, once: Python may have cleared up in between."""
        if self._is_second:
            return False
        self._is_second = True
        self._event_began = self._rule_began = None
        return True

    @property
    def has_begun(self) -> bool:
        """Whether the rule has a pattern, or had a long value."""
        return self._rule_began is not None

    def seconds_of_rule(self) -> float:
        """Return what the rule took from its first pattern or long value on."""
        return 0.0 if self._rule_began is None else time.thread_time() - self._rule_began


@dataclass(frozen=True, slots=True)
class Conditions:
    """A rule's conditions, of which all or any must hold; without any, every event passes."""

    lines: tuple[Condition, ...] = ()
    any_is_enough: bool = False

    def refusal(self, values: Mapping[str, Value], *, rates: Rates | None = None) -> Refusal | None:
        """Return the condition that refuses an event; None if none does.

        Raises TooExpensiveError.
        """
        failed = self._failed(values, rates, Effort())
        if not failed:
            return None
        return Refusal("condition", " ".join([line.refusal(value) for line, value in failed]))

    def hold(self, values: Mapping[str, Value], *, rates: Rates | None, effort: Effort) -> bool:
        """Tell whether an event passes, without the words. Raises TooExpensiveError."""
        return not self._failed(values, rates, effort)

    def _failed(
        self, values: Mapping[str, Value], rates: Rates | None, effort: Effort
    ) -> list[tuple[Condition, object]]:
        """Return the conditions that keep an event out, each with its value."""
        try:
            return self._failed_at_once(values, rates, effort)
        except TooExpensiveError:
            if not effort.start_again():
                raise
        return self._failed_at_once(values, rates, effort)

    def _failed_at_once(
        self, values: Mapping[str, Value], rates: Rates | None, effort: Effort
    ) -> list[tuple[Condition, object]]:
        scope = RenderScope(values, {}, rates)
        failed = []
        for condition in self.lines:
            value = present(condition.read(scope))
            kind = type(value)
            if kind is dict or (kind is list and condition.operator is not Operator.CONTAINS):
                value = scope.text_of_container(value)
                effort.check()
            elif kind is list or condition.operator is Operator.MATCHES:
                effort.check()
            if condition.holds(value):
                if self.any_is_enough:
                    return []
            elif self.any_is_enough:
                failed.append((condition, value))
            else:
                return [(condition, value)]
        return failed


def compile_conditions(data: Mapping[str, object], *, is_stored: bool = False) -> Conditions:
    """Compile `{"all": [{"field", "operator", "value"}]}`, or the same with "any".

    Stored conditions may ask for values that a closed list does not have: they were saved before
    the lists were checked, and go on as they did.

    Raises TemplateError, which names each problem by its place: `conditions.all.0.value`.
    """
    errors: list[RuleError] = []
    joins = [join for join in Join if join in data]
    if set(data) - set(Join) or len(joins) > 1:
        Problems("conditions", errors).add(0, "Write either all or any, and a list of conditions.")
        raise TemplateError(errors)
    join = joins[0] if joins else Join.ALL
    lines = data.get(join, [])
    if not isinstance(lines, list | tuple) or len(lines) > MOST_CONDITIONS:
        Problems(f"conditions.{join}", errors).add(
            0, f"Write a list of at most {MOST_CONDITIONS} conditions."
        )
        raise TemplateError(errors)
    if not is_stored:
        _check_patterns(lines, f"conditions.{join}", errors)
    compiled = [
        _condition(line, f"conditions.{join}.{index}", errors, is_stored=is_stored)
        for index, line in enumerate(lines)
    ]
    if not is_stored:
        for index, condition in enumerate(compiled):
            if condition is not None:
                _check_values(condition, f"conditions.{join}.{index}.value", errors)
        _check_size(data, errors)
    if errors:
        raise TemplateError(errors)
    return Conditions(
        tuple(condition for condition in compiled if condition is not None), join is Join.ANY
    )


def _check_patterns(lines: Sequence[object], path: str, errors: list[RuleError]) -> None:
    """Refuse many large patterns before they are read. Raises TemplateError."""
    large = 0
    for index, line in enumerate(lines):
        if not isinstance(line, Mapping) or line.get("operator") != Operator.MATCHES:
            continue
        pattern = line.get("value")
        if isinstance(pattern, str) and len(pattern) <= LONGEST_PATTERN:
            large += is_large_pattern(pattern)
        if large > MOST_LARGE_PATTERNS:
            Problems(f"{path}.{index}.value", errors).add(
                0,
                f"A rule has at most {MOST_LARGE_PATTERNS} large patterns. Repeat less, or shorter "
                r"classes than \pL, or name values in a list.",
            )
            raise TemplateError(errors)


def canonical_operator(operator: str) -> str:
    """Return an operator as rules store it: `>=` as `≥`."""
    return ALIASES.get(operator, operator)


def words_of(field: str, operator: str, value: object) -> str:
    """Return a condition as people write it: `country in DE,AT`."""
    if operator == Operator.EXISTS:
        return f"{field} exists" if value in (None, True, "true") else f"{field} exists false"
    text = ",".join(map(text_of, value)) if isinstance(value, list | tuple) else text_of(value)
    return f"{field} {operator} {text}"


def _condition(
    line: object, path: str, errors: list[RuleError], *, is_stored: bool
) -> Condition | None:
    if not isinstance(line, Mapping) or not set(line) <= set(_PARTS):
        Problems(path, errors).add(0, "A condition has a field, an operator and a value.")
        return None
    errors_before = len(errors)
    field, operator = line.get("field"), canonical_operator(str(line.get("operator", "")))
    source = _source(field, Problems(f"{path}.field", errors))
    if operator not in OPERATORS:
        Problems(f"{path}.operator", errors).add(
            0,
            f"“{operator[:20]}” is not an operator; operators are {', '.join(OPERATORS)}.",
            nearest(operator, OPERATORS),
        )
    if source is None or len(errors) > errors_before:
        return None
    read, compared = source
    expected = line.get("value")
    try:
        holds = test_of(compared, Operator(operator), expected, is_stored=is_stored)
    except ValueError as error:
        Problems(f"{path}.value", errors).add(0, str(error), _nearest_number(compared, expected))
        return None
    return Condition(compared, Operator(operator), expected, read, holds)


def _nearest_number(field: ComparedField, expected: object) -> str | None:
    """Return the number that a word stands for, such as 3 for authorized."""
    if field.values is None or field.kind is not MacroType.INTEGER:
        return None
    return field.values.nearest(expected) if isinstance(expected, str) else None


def _check_values(condition: Condition, path: str, errors: list[RuleError]) -> None:
    """Refuse values that no event can have: the condition would decide nothing."""
    field, operator, expected = condition.field, condition.operator, condition.expected
    values = field.values
    if values is None or not values.members or operator in _ASKS_FOR_NO_VALUE:
        return
    if operator in _ASKS_FOR_A_PART:
        if not any(map(condition.holds, values.members)):
            detail = f"No {field.name} fits this; {values.remedy(expected)}."
            is_pattern = operator is Operator.MATCHES
            Problems(path, errors).add(0, detail, None if is_pattern else values.nearest(expected))
        return
    if operator in {Operator.EQUAL, Operator.UNEQUAL} and _is_list_of(values, expected):
        listing = Operator.IN if operator is Operator.EQUAL else Operator.NOT_IN
        detail = f"{operator} compares with one value; for several write {listing}."
        Problems(path.removesuffix("value") + "operator", errors).add(0, detail, listing.value)
        return
    is_list = operator in {Operator.IN, Operator.NOT_IN}
    for index, member in enumerate(members_of(field.name, expected) if is_list else [expected]):
        if len(errors) >= _MOST_WRONG:
            return  # enough to correct first
        if not values.has(member):
            written = text_of(member)[:_LONGEST_SHOWN]
            detail = f"“{written}” is no {field.name} of an event; {values.remedy(member)}."
            member_path = f"{path}.{index}" if isinstance(expected, list | tuple) else path
            Problems(member_path, errors).add(0, detail, values.nearest(member))


def _check_size(data: Mapping[str, object], errors: list[RuleError]) -> None:
    size = len(msgspec.json.encode(data))
    if size > LARGEST_CONDITIONS:
        Problems("conditions", errors).add(
            0,
            f"The conditions have {size:,} bytes as JSON; a rule has at most "
            f"{LARGEST_CONDITIONS:,}. Write fewer or shorter values, or split the rule.",
        )


def _cut(condition: Condition) -> str:
    """Return a condition's words without most of a long list."""
    expected = condition.expected
    if isinstance(expected, str) and condition.operator in {Operator.IN, Operator.NOT_IN}:
        expected = expected.split(",")
    if not isinstance(expected, list | tuple) or len(expected) <= _MOST_SHOWN:
        return condition.words
    words = words_of(condition.field.name, condition.operator, expected[:_MOST_SHOWN])
    return f"{words},… ({len(expected) - _MOST_SHOWN:,} more)"


def _is_list_of(values: ValueList, expected: object) -> bool:
    parts = expected.split(",") if isinstance(expected, str) else []
    return len(parts) > 1 and all(map(values.has, parts))


def _source(field: object, problems: Problems) -> tuple[Reader, ComparedField] | None:
    if not isinstance(field, str) or not field:
        problems.add(0, "Name a macro, for example country or params.level.")
        return None
    if field.startswith(CREDENTIAL):
        problems.add(0, "A credential can't be used in a condition.")
        return None
    if "." in field and not all(field.split(".")):
        problems.add(0, "Write names and indexes joined by dots, for example params.items.0.sku.")
        return None
    try:
        source = understand(field)
    except UnknownNameError as error:
        problems.add(0, error.message, error.suggestion)
        return None
    kind = _kind_of(field, source.name)
    return source.read, ComparedField(field, kind, values_of(field))


def _kind_of(field: str, base: str) -> MacroType | None:
    """Return the type of a field's values; None for an event's own parameters."""
    if base not in CATALOGUE:
        return None
    if field == base:
        return CATALOGUE[base].type
    return MacroType.INTEGER if field.endswith(("_ms", "_integer")) else MacroType.TEXT
