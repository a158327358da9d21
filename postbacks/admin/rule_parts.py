"""How the form of a rule writes conditions, authentication and success: lines and inputs."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from django import forms
from django.core.exceptions import ValidationError

from postbacks.admin.rules.fields import read_value, show_value
from postbacks.callbacks.macros import Problem
from postbacks.callbacks.macros.authentication import ALGORITHMS, ENCODINGS, SIGNED_PARTS
from postbacks.callbacks.rules.comparisons import ALIASES, OPERATORS
from postbacks.callbacks.rules.conditions import canonical_operator, words_of
from postbacks.models.rules import any_success

# A word stands between blanks, a sign may touch its neighbors; ≥ is tried before >.
_WORDS: Final = "|".join(it for it in OPERATORS if it.isascii() and it[0].isalpha())
_SIGNS: Final = "|".join(
    sorted((it for it in (*OPERATORS, *ALIASES) if not it[0].isalpha()), key=len, reverse=True)
)
_LINE: Final = re.compile(rf"(\S+?)(?:\s+({_WORDS})(?:\s+|$)|\s*({_SIGNS})\s*)(.*)")
_EXAMPLE: Final = "country in DE,AT"
_AUTHENTICATION: Final = (
    "type", "credential", "user", "password", "header", "algorithm", "encoding", "over",
)  # fmt: skip

TYPES: Final = (
    ("none", "None"),
    ("bearer", "Bearer token"),
    ("basic", "User and password (Basic)"),
    ("header", "A secret in a header"),
    ("hmac", "A signature (HMAC) in a header"),
)
JOINS: Final = (("all", "All of them"), ("any", "Any of them"))
AUTHENTICATION_FIELDS: Final = tuple(f"auth_{name}" for name in _AUTHENTICATION)


def _choices(values: Iterable[str]) -> list[tuple[str, str]]:
    return [(value, value) for value in values]


class ConditionLinesField(forms.CharField):
    """One condition to a line, such as `country in DE,AT`; kept as a list of objects.

    Scripts show the lines as rows of inputs: they read them by the same pattern.
    """

    widget = forms.Textarea

    def widget_attrs(self, widget: forms.Widget) -> dict[str, str]:
        """Give scripts the grammar of a line."""
        return {
            **super().widget_attrs(widget),
            "data-line": _LINE.pattern,
            "data-operators": " ".join(OPERATORS),
        }

    def prepare_value(self, value: object) -> object:
        """Show conditions as lines, and a mistake as it was typed."""
        if not isinstance(value, list):
            return value
        return "\n".join(
            words_of(str(it.get("field")), str(it.get("operator")), it.get("value"))
            for it in value
            if isinstance(it, dict)
        )

    def to_python(self, value: object) -> list[dict[str, object]]:  # type: ignore[override]  # a list
        """Read the lines; a mistake is told by the number of its line."""
        text = value if isinstance(value, str) else ""
        if "\x00" in text:
            raise ValidationError("Null characters are not allowed.")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return [_condition(line, number) for number, line in enumerate(lines, start=1)]


def conditions_of(cleaned: Mapping[str, object]) -> dict[str, object]:
    """Return a rule's conditions as the form has them."""
    return {str(cleaned.get("conditions_join") or "all"): cleaned.get("condition_lines") or []}


def condition_inputs(conditions: Mapping[str, object]) -> dict[str, object]:
    """Return what the form shows of a rule's conditions."""
    join = "any" if "any" in conditions else "all"
    return {"conditions_join": join, "condition_lines": conditions.get(join) or []}


def authentication_of(cleaned: Mapping[str, object]) -> dict[str, str]:
    """Return a rule's authentication as the form has it: what is empty is left out."""
    values = {name: str(cleaned.get(f"auth_{name}") or "") for name in _AUTHENTICATION}
    kind = values["type"] or "none"
    used = {
        "none": (),
        "bearer": ("credential",),
        "basic": ("user", "password"),
        "header": ("header", "credential"),
        "hmac": ("header", "credential", "algorithm", "encoding", "over"),
    }[kind]
    return {"type": kind, **{name: values[name] for name in used if values[name]}}


def authentication_inputs(authentication: Mapping[str, str]) -> dict[str, object]:
    """Return what the form shows of a rule's authentication."""
    return {f"auth_{name}": authentication.get(name, "") for name in _AUTHENTICATION}


class AuthenticationInputs(forms.Form):
    """The inputs of authentication; credentials are named, never typed here."""

    auth_type = forms.ChoiceField(choices=TYPES, initial="none")
    auth_credential = forms.CharField(required=False, max_length=64)
    auth_user = forms.CharField(required=False, max_length=64)
    auth_password = forms.CharField(required=False, max_length=64)
    auth_header = forms.CharField(required=False, max_length=64)
    auth_algorithm = forms.ChoiceField(required=False, choices=_choices(ALGORITHMS))
    auth_encoding = forms.ChoiceField(required=False, choices=_choices(ENCODINGS))
    auth_over = forms.ChoiceField(required=False, choices=_choices(SIGNED_PARTS))


def as_line_problem(problem: Problem) -> Problem:
    """Return a condition's problem as one of the lines that the form shows."""
    _, *steps = problem.field.split(".")
    number = f"Line {int(steps[1]) + 1}: " if len(steps) > 1 else ""
    return Problem("condition_lines", 0, number + problem.message, problem.suggestion)


def words_of_conditions(conditions: Mapping[str, object]) -> str:
    """Return conditions as people read them, one to a line."""
    inputs = condition_inputs(conditions)
    lines = ConditionLinesField().prepare_value(inputs["condition_lines"])
    if not lines:
        return "None"
    join = "All of" if inputs["conditions_join"] == "all" else "Any of"
    return f"{join}:\n{lines}"


def words_of_authentication(authentication: Mapping[str, str]) -> str:
    """Return authentication as people read it; it names credentials and holds none."""
    kind = authentication.get("type", "none")
    named = [f"{name} {text}" for name, text in authentication.items() if name != "type"]
    return ", ".join((dict(TYPES).get(kind, kind), *named))


def success_inputs(success: Mapping[str, object]) -> dict[str, object]:
    """Return what the form shows of the answers that count as received."""
    known = {**any_success(), **success}
    path = known["json_path"]
    return {
        "success_codes": known["codes"] or ["2xx"],
        "body_contains": known["body_contains"] or "",
        "json_path": path or "",
        "json_equals": show_value(known["json_equals"]) if path else "",
    }


def success_of(cleaned: Mapping[str, object]) -> dict[str, object]:
    """Return the answers that count as received, as the form has them."""
    path = cleaned.get("json_path") or None
    return {
        "codes": cleaned.get("success_codes") or ["2xx"],
        "body_contains": cleaned.get("body_contains") or None,
        "json_path": path,
        "json_equals": read_value(str(cleaned.get("json_equals", ""))) if path else None,
    }


def _condition(line: str, number: int) -> dict[str, object]:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValidationError(f"Line {number}: write it as {_EXAMPLE}")
    field, operator = found[1], canonical_operator(found[2] or found[3])
    text = found[4].strip()
    return {"field": field, "operator": operator, "value": _value(operator, text)}


def _value(operator: str, text: str) -> object:
    if operator in {"in", "not-in"}:
        return [part for it in text.split(",") if (part := it.strip())]
    if operator == "exists":
        return {"": True, "true": True, "false": False}.get(text.lower(), text)
    return text
