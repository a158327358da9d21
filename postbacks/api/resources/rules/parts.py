"""The parts of a callback rule that are objects: conditions, authentication, success."""

import math
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from postbacks.api.strict import StrictSerializer
from postbacks.callbacks.macros.authentication import (
    ALGORITHMS,
    ENCODINGS,
    SIGNED_PARTS,
    AuthenticationType,
)
from postbacks.callbacks.rules.comparisons import (
    ALIASES,
    LONGEST_PATTERN,
    LONGEST_VALUE,
    OPERATORS,
    Operator,
)
from postbacks.callbacks.rules.comparisons import MOST_VALUES as MOST_LISTED
from postbacks.callbacks.rules.conditions import MOST_CONDITIONS, Join, canonical_operator
from postbacks.delivery.success import MOST_MARKS, MOST_VALUES
from postbacks.models.rules import every_event
from postbacks.values.rule_choices import any_success
from postbacks.values.visible_text import hidden_character


@extend_schema_field({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]})
class PlainJsonField(serializers.JSONField):
    """A JSON value that a partner's answer is compared with."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the value as `json.loads` would. Raises for what can't be compared or stored."""
        if isinstance(data, dict | list) or (isinstance(data, str) and hidden_character(data)):
            raise serializers.ValidationError("Write a plain text, a number, true, false or null.")
        if isinstance(data, Decimal) and not math.isfinite(float(data)):
            raise serializers.ValidationError("The number is too large.")
        return float(data) if isinstance(data, Decimal) else data


_PLAIN_VALUE = {"type": ["string", "number", "boolean", "null"]}


@extend_schema_field(
    {
        "oneOf": [
            {
                "type": "object",
                "properties": {
                    "json_path": {"type": "string"},
                    "equals": {"type": "array", "items": _PLAIN_VALUE, "maxItems": MOST_VALUES},
                    "body_contains": {"type": "string"},
                },
            },
            {"type": "string"},
        ]
    }
)
class AnswerMarkField(serializers.JSONField):
    """An answer that says no: `{"json_path", "equals": [..]}`, or a text that it contains."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str):
            data = {"body_contains": data}
        if not isinstance(data, dict):
            return data  # `parse_success` says how to write it
        values = data.get("equals")
        if isinstance(values, list):
            plain = PlainJsonField(allow_null=True)
            data = {**data, "equals": [plain.run_validation(value) for value in values]}
        if any(isinstance(text, str) and hidden_character(text) for text in data.values()):
            raise serializers.ValidationError("Write visible characters only.")
        return data


class SuccessSerializer(StrictSerializer):
    """Which answers mean that the partner accepted the postback."""

    codes = serializers.ListField(
        child=serializers.CharField(max_length=3),
        required=False,
        allow_empty=False,
        help_text="Statuses such as 200, or classes such as 2xx.",
    )
    body_contains = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=1024,
        help_text="A text that the answer contains.",
    )
    json_path = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=1024,
        help_text="Names and indexes joined by dots, as in data.0.status.",
    )
    json_equals = PlainJsonField(
        required=False, allow_null=True, help_text="The expected value at the path."
    )

    final = serializers.ListField(
        child=AnswerMarkField(),
        required=False,
        max_length=MOST_MARKS,
        help_text="Answers that are a “no” for good, whatever their status: not tried again, for "
        'example {"json_path": "code", "equals": [40105]} or {"body_contains": "bad token"}.',
    )
    retry = serializers.ListField(
        child=AnswerMarkField(),
        required=False,
        max_length=MOST_MARKS,
        help_text="Answers that are a “no” for now, whatever their status: tried again, for "
        'example {"body_contains": "rate limit"}. One that is also in `final` is final.',
    )

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return all four conditions, filled up with the defaults, and the answers that say no."""
        if values.get("json_path") and "json_equals" not in values:
            raise serializers.ValidationError({"json_equals": ["json_path needs a json_equals."]})
        marked = {name: values[name] for name in ("final", "retry") if values.get(name)}
        values = {name: value for name, value in values.items() if name in any_success()}
        return {**any_success(), **values, **marked}


_PLAIN = {"type": ["string", "number", "boolean", "null"], "maxLength": LONGEST_VALUE}


@extend_schema_field(
    {
        "oneOf": [
            # A list may also be written as a text with commas.
            {**_PLAIN, "maxLength": MOST_LISTED * (LONGEST_VALUE + 1)},
            {"type": "array", "items": _PLAIN, "minItems": 1, "maxItems": MOST_LISTED},
        ]
    }
)
class ConditionValueField(serializers.JSONField):
    """The value that a field is compared with: text, a number, true, false, or a list of these."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the value as rules store it: a number that a float can't hold becomes a text."""
        if isinstance(data, list):
            return [self._plain(value) for value in data]
        return self._plain(data)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, dict | list) or (isinstance(value, str) and "\x00" in value):
            raise serializers.ValidationError("Write a text, a number, true, false or a list.")
        if isinstance(value, Decimal):
            as_float = float(value)
            return as_float if Decimal(repr(as_float)) == value else str(value)
        return value


class ConditionSerializer(StrictSerializer):
    """One condition, such as `country in DE,AT`."""

    field = serializers.CharField(
        max_length=256,
        help_text="A macro of the catalogue, or params.<name>.<index>: names and indexes only.",
    )
    operator = serializers.ChoiceField(
        [*OPERATORS, *ALIASES],
        help_text=(
            "`!=`, `>=` and `<=` are kept as `≠`, `≥` and `≤`. Texts are compared letter for "
            "letter, and put in order as versions: 4.10 comes after 4.9. Without a value only "
            "`≠`, `not-in` and `exists` false hold. `matches` is an RE2 pattern of at most "
            f"{LONGEST_PATTERN} characters that may match anywhere in a value of at most 4 KiB. "
            f"A value has at most {LONGEST_VALUE:,} characters, a list {MOST_LISTED:,} values."
        ),
    )
    value = ConditionValueField(
        required=False,
        allow_null=True,
        help_text="For `in` and `not-in` a list, or text with commas; for `exists` true or false.",
    )

    def validate_operator(self, operator: str) -> str:
        return canonical_operator(operator)

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return all three parts; `exists` without a value means true."""
        if values["operator"] == Operator.EXISTS and values.get("value") is None:
            return {**values, "value": True}
        return {"value": None, **values}


class ConditionsSerializer(StrictSerializer):
    """The conditions of an event: all of a list, or any of it. An empty list: every event.

    As JSON they have at most 1 MiB.
    """

    all = serializers.ListField(
        child=ConditionSerializer(), required=False, max_length=MOST_CONDITIONS
    )
    any = serializers.ListField(
        child=ConditionSerializer(), required=False, max_length=MOST_CONDITIONS
    )

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return one of the two lists; by default the one that every event fulfills."""
        if Join.ALL in values and Join.ANY in values:
            raise serializers.ValidationError(
                {Join.ANY.value: ["Write either all or any, not both."]}
            )
        return {
            join: [dict(condition) for condition in conditions]
            for join, conditions in values.items()
        } or (every_event())


class AuthenticationSerializer(StrictSerializer):
    """How the partner recognizes us. Credentials are named and never shown.

    bearer: `credential`. basic: `user` and `password`, both names of credentials. header: `header`
    and `credential`. hmac: `header`, and `credential` as the key.
    """

    type = serializers.ChoiceField([kind.value for kind in AuthenticationType])
    credential = serializers.CharField(
        required=False, max_length=64, help_text="The name of a credential of the rule's partner."
    )
    user = serializers.CharField(
        required=False, max_length=64, help_text="The credential that is the user's name."
    )
    password = serializers.CharField(
        required=False, max_length=64, help_text="The credential that is the password."
    )
    header = serializers.CharField(
        required=False, max_length=64, help_text="The header's name, for example X-Signature."
    )
    algorithm = serializers.ChoiceField(
        ALGORITHMS, required=False, help_text="The algorithm of the signature; sha256 by default."
    )
    encoding = serializers.ChoiceField(
        ENCODINGS, required=False, help_text="The encoding of the signature; hex by default."
    )
    over = serializers.ChoiceField(
        SIGNED_PARTS, required=False, help_text="What is signed; the body by default."
    )
