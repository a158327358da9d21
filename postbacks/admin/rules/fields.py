"""Plain inputs for the lists and objects of a rule, so that nobody has to write JSON.

Each form field reads what people type and shows what is stored; the functions above them turn
several inputs into one object of the rule and back.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

from django import forms
from django.core.exceptions import ValidationError

from postbacks.callbacks.macros import RuleError
from postbacks.callbacks.macros.authentication import (
    ALGORITHMS,
    ENCODINGS,
    SIGNED_PARTS,
    AuthenticationType,
)
from postbacks.callbacks.rules.comparisons import ALIASES, OPERATORS, Operator
from postbacks.callbacks.rules.conditions import Join, canonical_operator, words_of
from postbacks.delivery.success import MOST_MARKS, parse_success
from postbacks.models.rules import LONGEST_WAIT, MOST_WAITS
from postbacks.values.rule_choices import any_success
from postbacks.values.visible_text import hidden_character, is_visible

TYPES: Final = (
    (AuthenticationType.NONE.value, "None"),
    (AuthenticationType.BEARER.value, "Bearer token"),
    (AuthenticationType.BASIC.value, "User and password (Basic)"),
    (AuthenticationType.HEADER.value, "A secret in a header"),
    (AuthenticationType.HMAC.value, "A signature (HMAC) in a header"),
)
JOINS: Final = ((Join.ALL.value, "All of them"), (Join.ANY.value, "Any of them"))
_USED_BY_TYPE: Final[Mapping[str, tuple[str, ...]]] = {
    AuthenticationType.NONE: (),
    AuthenticationType.BEARER: ("credential",),
    AuthenticationType.BASIC: ("user", "password"),
    AuthenticationType.HEADER: ("header", "credential"),
    AuthenticationType.HMAC: ("header", "credential", "algorithm", "encoding", "over"),
}
_AUTHENTICATION: Final = (
    "type",
    "credential",
    "user",
    "password",
    "header",
    "algorithm",
    "encoding",
    "over",
)
AUTHENTICATION_FIELDS: Final = tuple(f"auth_{name}" for name in _AUTHENTICATION)

_SECONDS = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_WAIT = re.compile(r"([0-9]{1,6})\s*([a-z]*)", re.IGNORECASE)
_STATUS_CODE = re.compile(r"[2-5](?:xx|[0-9]{2})")
_LONGEST_NAME = 64

# A word needs blanks around it, a sign may touch its neighbors; ≥ is tried before >.
_WORDS: Final = "|".join(name for name in OPERATORS if name.isascii() and name[0].isalpha())
_SIGNS: Final = "|".join(
    sorted(
        (sign for sign in (*OPERATORS, *ALIASES) if not sign[0].isalpha()), key=len, reverse=True
    )
)
_CONDITION: Final = re.compile(rf"(\S+?)(?:\s+({_WORDS})(?:\s+|$)|\s*({_SIGNS})\s*)(.*)")

_CONTAINS = "contains"


def parse_waits(text: str) -> list[int]:
    """Return seconds. Raises ValueError with a sentence for people."""
    waits = [_parse_wait(part.strip()) for part in text.split(",") if part.strip()]
    if len(waits) > MOST_WAITS:
        raise ValueError(f"Write at most {MOST_WAITS} waits; these are {len(waits)}.")
    return waits


def format_waits(seconds: Iterable[int]) -> str:
    return ", ".join(_format_wait(wait) for wait in seconds)


def conditions_from(cleaned: Mapping[str, object]) -> dict[str, object]:
    return {
        str(cleaned.get("conditions_join") or Join.ALL.value): cleaned.get("condition_lines") or []
    }


def condition_inputs(conditions: Mapping[str, object]) -> dict[str, object]:
    join = Join.ANY.value if Join.ANY in conditions else Join.ALL.value
    return {"conditions_join": join, "condition_lines": conditions.get(join) or []}


def conditions_label(conditions: Mapping[str, object]) -> str:
    """Return conditions as people read them, one to a line."""
    inputs = condition_inputs(conditions)
    lines = ConditionLinesField().prepare_value(inputs["condition_lines"])
    if not lines:
        return "None"
    join = "All of" if inputs["conditions_join"] == Join.ALL else "Any of"
    return f"{join}:\n{lines}"


def line_error(problem: RuleError) -> RuleError:
    """Return a condition's error as one of the form's lines."""
    _, *steps = problem.field.split(".")
    number = f"Line {int(steps[1]) + 1}: " if len(steps) > 1 else ""
    return RuleError("condition_lines", 0, number + problem.message, problem.suggestion)


def authentication_from(cleaned: Mapping[str, object]) -> dict[str, str]:
    """Return a rule's authentication; empty inputs and those of other types are left out."""
    values = {name: str(cleaned.get(f"auth_{name}") or "") for name in _AUTHENTICATION}
    kind = values["type"] or AuthenticationType.NONE.value
    used = _USED_BY_TYPE[kind]
    return {"type": kind, **{name: values[name] for name in used if values[name]}}


def authentication_inputs(authentication: Mapping[str, str]) -> dict[str, object]:
    return {f"auth_{name}": authentication.get(name, "") for name in _AUTHENTICATION}


def authentication_label(authentication: Mapping[str, str]) -> str:
    """Return authentication as people read it: it names credentials and holds none."""
    kind = authentication.get("type", AuthenticationType.NONE.value)
    parts = [f"{name} {text}" for name, text in authentication.items() if name != "type"]
    return ", ".join((dict(TYPES).get(kind, kind), *parts))


def success_from(cleaned: Mapping[str, object]) -> dict[str, object]:
    path = cleaned.get("json_path") or None
    return {
        "codes": cleaned.get("success_codes") or any_success()["codes"],
        "body_contains": cleaned.get("body_contains") or None,
        "json_path": path,
        "json_equals": parse_value(str(cleaned.get("json_equals", ""))) if path else None,
        **{
            name: marks
            for name in ("final", "retry")
            if (marks := cleaned.get(f"success_{name}"))  # absent where there are none
        },
    }


def success_inputs(success: Mapping[str, object]) -> dict[str, object]:
    complete = {**any_success(), **success}
    path = complete["json_path"]
    return {
        "success_codes": complete["codes"] or any_success()["codes"],
        "body_contains": complete["body_contains"] or "",
        "json_path": path or "",
        "json_equals": format_value(complete["json_equals"]) if path else "",
        "success_final": complete.get("final") or [],
        "success_retry": complete.get("retry") or [],
    }


def format_mark(mark: object) -> str:
    """Return an answer that says no so that `parse_mark` gives it back."""
    if not isinstance(mark, dict) or "json_path" not in mark:
        text = mark.get("body_contains", "") if isinstance(mark, dict) else mark
        return f"{_CONTAINS} {_quoted(text) if _needs_quotes(text) else text}"
    values = mark.get("equals")
    listed = values if isinstance(values, list) else [values]
    texts_in = [each for each in listed if isinstance(each, str)]
    is_quoted = any("," in each or _needs_quotes(each) for each in texts_in)
    texts = [_quoted(each) if is_quoted else format_value(each) for each in listed]
    return f"{mark['json_path']} = {', '.join(texts)}"


def parse_mark(line: str) -> dict[str, object]:
    """Return the meant answer: `code = 40105, 40104`, or `contains bad token`.

    Raises ValueError with a sentence for people.
    """
    first, _, text = line.partition(" ")
    if first.lower() == _CONTAINS and text.strip():
        meant = parse_value(text.strip())
        return {"body_contains": meant if text.strip()[0] == '"' else text.strip()}
    path, is_equal, values = (part.strip() for part in line.partition("="))
    if not (path and is_equal and values):
        raise ValueError("write it as code = 40105, 40104 or as contains bad token.")
    try:
        listed = json.loads(f"[{values}]", parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        listed = [value.strip() for value in values.split(",")]
    else:
        listed = [_quoted(value) for value in listed]
    return {"json_path": path, "equals": [parse_value(value) for value in listed]}


def _needs_quotes(text: object) -> bool:
    """Tell whether a line would give a text back otherwise."""
    plain = str(text)
    return plain != plain.strip() or plain[:1] == '"' or len(plain.splitlines()) != 1


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def parse_value(text: str) -> object:
    """Return the meant value: 0, true and null are JSON, "0" in quotes and all else is text.

    Raises ValueError with a sentence for people.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, dict | list):
        message = "Write a plain text, a number, true, false or null."
        raise ValueError(message)  # noqa: TRY004  # the typed text, not a type, is wrong
    if isinstance(value, str) and hidden_character(value):
        raise ValueError("Write visible characters only.")
    if isinstance(value, int | float) and not _fits(value):
        raise ValueError("The number is too large.")
    return value


def format_value(value: object) -> str:
    """Return a value so that `parse_value` gives it back."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        is_plain = value.strip() == value != "" and parse_value(value) == value
    except ValueError:
        is_plain = False
    return value if is_plain else json.dumps(value, ensure_ascii=False)


class ConditionLinesField(forms.CharField):
    """One condition to a line, such as `country in DE,AT`; stored as a list of objects.

    Scripts show the lines as rows of inputs: they read them by the same pattern.
    """

    widget = forms.Textarea

    def widget_attrs(self, widget: forms.Widget) -> dict[str, str]:
        return {
            **super().widget_attrs(widget),
            "data-line": _CONDITION.pattern,
            "data-operators": " ".join(OPERATORS),
        }

    def prepare_value(self, value: object) -> object:
        if not isinstance(value, list):
            return value  # a mistake is shown as it was typed
        return "\n".join(
            words_of(
                str(condition.get("field")),
                str(condition.get("operator")),
                condition.get("value"),
            )
            for condition in value
            if isinstance(condition, dict)
        )

    def to_python(self, value: object) -> list[dict[str, object]]:  # type: ignore[override]  # a list
        text = value if isinstance(value, str) else ""
        if "\x00" in text:
            raise ValidationError("Null characters are not allowed.")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return [_condition(line, number) for number, line in enumerate(lines, start=1)]


def _choices(values: Iterable[str]) -> list[tuple[str, str]]:
    return [(value, value) for value in values]


class AuthenticationInputs(forms.Form):
    """The inputs of authentication; credentials are named, never typed here."""

    auth_type = forms.ChoiceField(choices=TYPES, initial=AuthenticationType.NONE.value)
    auth_credential = forms.CharField(required=False, max_length=64)
    auth_user = forms.CharField(required=False, max_length=64)
    auth_password = forms.CharField(required=False, max_length=64)
    auth_header = forms.CharField(required=False, max_length=64)
    auth_algorithm = forms.ChoiceField(required=False, choices=_choices(ALGORITHMS))
    auth_encoding = forms.ChoiceField(required=False, choices=_choices(ENCODINGS))
    auth_over = forms.ChoiceField(required=False, choices=_choices(SIGNED_PARTS))


class EventNamesField(forms.CharField):
    """Event names separated by commas; each is stored once."""

    def prepare_value(self, value: object) -> object:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: object) -> list[str]:  # type: ignore[override]  # a list, not text
        text = value if isinstance(value, str) else ""
        names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        for name in names:
            if len(name) > _LONGEST_NAME or not is_visible(name):
                raise ValidationError(
                    f"“{name[:80]}” is not a name of 1 to {_LONGEST_NAME} visible characters."
                )
        return names


class PairLinesField(forms.CharField):
    """One pair to a line, such as `purchase = af_purchase`; stored as an object."""

    widget = forms.Textarea

    def __init__(
        self, *, separator: str, example: str, longest_value: int, most: int, **options: object
    ) -> None:
        self.separator = separator
        self.most = most
        self.example = example
        self.longest_value = longest_value
        super().__init__(**{"required": False, **options})  # type: ignore[arg-type]  # Django's own

    def prepare_value(self, value: object) -> object:
        if not isinstance(value, dict):
            return value  # a mistake is shown as it was typed
        separator = ": " if self.separator == ":" else f" {self.separator} "
        return "\n".join(f"{name}{separator}{text}" for name, text in value.items())

    def to_python(self, value: object) -> dict[str, str]:  # type: ignore[override]  # an object
        pairs: dict[str, str] = {}
        text = value if isinstance(value, str) else ""
        if "\x00" in text:
            raise ValidationError("Null characters are not allowed.")
        lines = text.splitlines()
        if (count := sum(map(bool, map(str.strip, lines)))) > self.most:
            raise ValidationError(f"These are {count:,} lines; write at most {self.most:,}.")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            name, separator, paired = (part.strip() for part in line.partition(self.separator))
            if not (name and separator and (paired or self.separator == ":")):
                raise ValidationError(f"Line {number}: write it as {self.example}")
            if name in pairs:
                raise ValidationError(f"Line {number}: {name[:80]} is there twice.")
            if len(paired) > self.longest_value:
                raise ValidationError(
                    f"Line {number} is longer than {self.longest_value} characters."
                )
            pairs[name] = paired
        return pairs


class WaitsField(forms.CharField):
    """Waits before each new try: 5s, 30s, 2m. Plain numbers are seconds."""

    def prepare_value(self, value: object) -> object:
        return format_waits(value) if isinstance(value, list) else value

    def to_python(self, value: object) -> list[int]:  # type: ignore[override]  # a list, not text
        try:
            return parse_waits(value if isinstance(value, str) else "")
        except ValueError as error:
            raise ValidationError(str(error)) from None


class SuccessCodesField(forms.CharField):
    """Statuses such as 200, or classes such as 2xx; each is stored once."""

    def prepare_value(self, value: object) -> object:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: object) -> list[str]:  # type: ignore[override]  # a list, not text
        text = value.lower() if isinstance(value, str) else ""
        codes = list(dict.fromkeys(text.replace(",", " ").split()))
        for code in codes:
            if not _STATUS_CODE.fullmatch(code):
                raise ValidationError(f"“{code[:20]}” is not a status such as 200 or 2xx.")
        return codes


class AnswerMarksField(forms.CharField):
    """Answers that say no, one to a line; see `parse_mark`."""

    widget = forms.Textarea

    def prepare_value(self, value: object) -> object:
        return "\n".join(map(format_mark, value)) if isinstance(value, list) else value

    def to_python(self, value: object) -> list[dict[str, object]]:  # type: ignore[override]  # a list
        marks = []
        for number, line in enumerate(str(value or "").splitlines(), start=1):
            if line.strip():
                try:
                    marks.append(parse_mark(line.strip()))
                    parse_success({"final": marks[-1:]})
                except ValueError as error:
                    sentence = str(error).removeprefix("final: ")
                    raise ValidationError(f"Line {number}: {sentence}") from None
        if len(marks) > MOST_MARKS:
            raise ValidationError(f"Write at most {MOST_MARKS} lines.")
        return marks


class ExpectedValueField(forms.CharField):
    """The value that a JSON path must lead to; see `parse_value`."""

    def clean(self, value: object) -> str:
        text: str = super().clean(value)
        try:
            parse_value(text)
        except ValueError as error:
            raise ValidationError(str(error)) from None
        return text


def _parse_wait(text: str) -> int:
    match = _WAIT.fullmatch(text)
    if match is None or match[2].lower() not in _SECONDS:
        raise ValueError(f"“{text[:20]}” is not a wait such as 30s, 2m or 1h.")
    seconds = int(match[1]) * _SECONDS[match[2].lower()]
    if not 1 <= seconds <= LONGEST_WAIT:
        raise ValueError(f"“{text[:20]}”: a wait is between 1 second and 24 hours.")
    return seconds


def _format_wait(seconds: int) -> str:
    for unit in ("h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"


def condition_parts(line: str) -> dict[str, tuple[int, int]]:
    """Return where the parts of a condition's line begin and end: field, operator, value.

    The members of a list are `value.0`, `value.1` and so on.
    """
    match = _CONDITION.match(line, len(line) - len(line.lstrip()))
    if match is None:
        return {}
    operator = 2 if match[2] else 3
    begin = match.start(4)
    spans = {"field": match.span(1), "operator": match.span(operator)}
    spans["value"] = (begin, begin + len(match[4].rstrip()))
    members = (part for part in re.finditer(r"[^,]+", match[4]) if part[0].strip())
    for index, part in enumerate(members):
        start = begin + part.start() + len(part[0]) - len(part[0].lstrip())
        spans[f"value.{index}"] = (start, start + len(part[0].strip()))
    return spans


def _condition(line: str, number: int) -> dict[str, object]:
    match = _CONDITION.fullmatch(line)
    if match is None:
        raise ValidationError(f"Line {number}: write it as country in DE,AT")
    operator = canonical_operator(match[2] or match[3])
    return {
        "field": match[1],
        "operator": operator,
        "value": _condition_value(operator, match[4].strip()),
    }


def _condition_value(operator: str, text: str) -> object:
    if operator in {Operator.IN, Operator.NOT_IN}:
        return [part for item in text.split(",") if (part := item.strip())]
    if operator == Operator.EXISTS:
        return {"": True, "true": True, "false": False}.get(text.lower(), text)
    return text


def _fits(number: float) -> bool:
    return math.isfinite(number) if isinstance(number, float) else abs(number) < 2**63


def _refuse_constant(name: str) -> object:
    raise ValueError(name)
