"""④ Conditions of a rule: `country in DE,AT`, `revenue ≥ 5`, compiled once, tested for each event.

A missing value follows plain logic rather than SQL's: it equals nothing and is in no list, so `≠`,
`not-in` and `exists` false hold, and nothing else does. “Country is not US” is meant to leave the
US out, not everybody whose country is unknown; for those there is `exists`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

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
from postbacks.callbacks.rules.comparisons import ALIASES, OPERATORS, Operator, Test, test_of

MOST_CONDITIONS: Final = 50
_PARTS: Final = ("field", "operator", "value")
_LONGEST_SHOWN: Final = 80


class Join(StrEnum):
    """How many of a rule's conditions must hold; the first is the default."""

    ALL = "all"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rule leaves an event out; `code` is stable, `detail` is for people."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Condition:
    """One compiled condition; `words` is its text for people."""

    words: str
    read: Reader
    holds: Test

    def refusal(self, value: object) -> str:
        """Return why the condition does not hold for a value."""
        text = "no value" if value is None else text_of(value)[:_LONGEST_SHOWN]
        return f"{self.words}: the event has {text}."


@dataclass(frozen=True, slots=True)
class Conditions:
    """A rule's conditions, of which all or any must hold; without any, every event passes."""

    lines: tuple[Condition, ...] = ()
    any_is_enough: bool = False

    def refusal(self, values: Mapping[str, Value], *, rates: Rates | None = None) -> Refusal | None:
        """Return the condition that refuses an event; None if none does."""
        if not self.lines:
            return None
        scope = RenderScope(values, {}, rates)
        failed = []
        for condition in self.lines:
            value = present(condition.read(scope))
            if condition.holds(value):
                if self.any_is_enough:
                    return None
            elif self.any_is_enough:
                failed.append(condition.refusal(value))
            else:
                return Refusal("condition", condition.refusal(value))
        return Refusal("condition", " ".join(failed)) if failed else None


def compile_conditions(data: Mapping[str, object]) -> Conditions:
    """Compile `{"all": [{"field", "operator", "value"}]}`, or the same with "any".

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
    compiled = [
        _condition(line, f"conditions.{join}.{index}", errors) for index, line in enumerate(lines)
    ]
    if errors:
        raise TemplateError(errors)
    return Conditions(
        tuple(condition for condition in compiled if condition is not None), join is Join.ANY
    )


def canonical_operator(operator: str) -> str:
    """Return an operator as rules store it: `>=` as `≥`."""
    return ALIASES.get(operator, operator)


def words_of(field: str, operator: str, value: object) -> str:
    """Return a condition as people write it: `country in DE,AT`."""
    if operator == Operator.EXISTS:
        return f"{field} exists" if value in (None, True, "true") else f"{field} exists false"
    text = ",".join(map(text_of, value)) if isinstance(value, list | tuple) else text_of(value)
    return f"{field} {operator} {text}"


def _condition(line: object, path: str, errors: list[RuleError]) -> Condition | None:
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
    read, kind = source
    try:
        holds = test_of(str(field), kind, Operator(operator), line.get("value"))
    except ValueError as error:
        Problems(f"{path}.value", errors).add(0, str(error))
        return None
    return Condition(words_of(str(field), operator, line.get("value")), read, holds)


def _source(field: object, problems: Problems) -> tuple[Reader, MacroType | None] | None:
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
    return source.read, _kind_of(field, source.name)


def _kind_of(field: str, base: str) -> MacroType | None:
    """Return the type of a field's values; None for an event's own parameters."""
    if base not in CATALOGUE:
        return None
    if field == base:
        return CATALOGUE[base].type
    return MacroType.INTEGER if field.endswith(("_ms", "_integer")) else MacroType.TEXT
