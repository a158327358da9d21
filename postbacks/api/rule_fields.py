"""A callback rule as the API writes and shows it."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from apps_registry.models import App, Partner
from postbacks import rulebook
from postbacks.api.fields import PublicId
from postbacks.api.problems import Invalid, pointer
from postbacks.api.strict import RowSerializer, StrictSerializer
from postbacks.callbacks.macros import Problem
from postbacks.models import CallbackRule, RuleStatus
from postbacks.models.rules import any_success

# The contract's fields that this version does not have yet. A client that writes out every
# default is understood; whoever wants more is told instead of being ignored.
_NOT_YET: Mapping[str, object] = {
    "conditions": {"all": []},
    "authentication": {"type": "none"},
    "sign": False,
    "rate_limit_per_second": None,
    "max_in_flight": None,
}
_WRITABLE_STATUS = (RuleStatus.DRAFT, RuleStatus.ACTIVE, RuleStatus.PAUSED)


class PlainJson(serializers.JSONField):
    """A JSON value; a decimal is the number that a partner's answer is compared with."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the value as `json.loads` would. Raises for what can't be compared or stored."""
        if isinstance(data, dict | list) or (isinstance(data, str) and not data.isprintable()):
            raise serializers.ValidationError("Write a plain text, a number, true, false or null.")
        if isinstance(data, Decimal) and not math.isfinite(float(data)):
            raise serializers.ValidationError("The number is too large.")
        return float(data) if isinstance(data, Decimal) else data


class SuccessSerializer(StrictSerializer):
    """Which answers mean that the partner took the postback."""

    codes = serializers.ListField(
        child=serializers.CharField(max_length=3), required=False, allow_empty=False,
        help_text="Statuses such as 200, or classes such as 2xx.",
    )  # fmt: skip
    body_contains = serializers.CharField(
        required=False, allow_null=True, max_length=1024, help_text="A text that the answer holds."
    )
    json_path = serializers.CharField(
        required=False, allow_null=True, max_length=1024,
        help_text="Names and indexes joined by dots, as in data.0.status.",
    )  # fmt: skip
    json_equals = PlainJson(
        required=False, allow_null=True, help_text="What the path must lead to."
    )

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return all four conditions, those that weren't sent with their default."""
        if values.get("json_path") and "json_equals" not in values:
            raise serializers.ValidationError({"json_equals": ["json_path needs a json_equals."]})
        return {**any_success(), **values}


class RuleSerializer(RowSerializer):
    """A callback rule."""

    app = PublicId(App, required=False, allow_null=True, help_text="Whose events. Null: all apps.")
    partner = PublicId(Partner, required=False, allow_null=True, help_text="Who is told.")
    triggers = serializers.ListField(
        child=serializers.CharField(max_length=64), required=False, allow_empty=False,
        help_text="Event names, or * for any event.",
    )  # fmt: skip
    event_map = serializers.DictField(
        child=serializers.CharField(max_length=255), required=False,
        help_text="Our event names and the partner's, sent as {{partner_event_name}}.",
    )  # fmt: skip
    headers = serializers.DictField(
        child=serializers.CharField(max_length=8192, allow_blank=True), required=False,
        help_text="Header templates by name.",
    )  # fmt: skip
    body = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    success = SuccessSerializer(required=False)

    class Meta:
        model = CallbackRule
        fields = (
            "id", "name", "app", "partner", "status", "triggers", "frequency", "attribution_scope",
            "event_map", "window_days", "sampling_percent", "delay_seconds", "send_revenue",
            "without_consent", "method", "url", "headers", "body_type", "body", "missing_values",
            "success", "timeout_seconds", "retry_delays", "version", "created_at", "updated_at",
        )  # fmt: skip
        read_only_fields = ("version", "updated_at")

    def to_internal_value(self, data: Any) -> Any:
        """Return the checked values; what this version can't do is refused by name."""
        if not isinstance(data, Mapping):
            return super().to_internal_value(data)
        _refuse_what_is_not_yet(data)
        return super().to_internal_value(
            {name: value for name, value in data.items() if name not in _NOT_YET}
        )

    def validate_status(self, status: str) -> str:
        """Let people switch a rule on and off; suspending and archiving are other ways."""
        before = self.instance.status if isinstance(self.instance, CallbackRule) else None
        if status not in _WRITABLE_STATUS and status != before:
            raise serializers.ValidationError(f"Write one of {', '.join(_WRITABLE_STATUS)}.")
        return status

    def write(self, row: CallbackRule) -> None:
        """Save the rule as a new version, if nothing is wrong with it."""
        try:
            rulebook.save(row, by=self.context["request"].user.user)
        except rulebook.RuleProblemsError as error:
            raise Invalid([_shown(problem) for problem in error.problems]) from None


def _refuse_what_is_not_yet(data: Mapping[str, object]) -> None:
    asked = [
        name
        for name in data.keys() & _NOT_YET
        if data[name] != _NOT_YET[name] or type(data[name]) is not type(_NOT_YET[name])
    ]
    if asked:
        raise serializers.ValidationError(
            {
                name: ["This version can't do that yet; leave the field out."]
                for name in sorted(asked)
            }
        )


def _shown(problem: Problem) -> dict[str, object]:
    """Return a template's problem: the sentence says where it is and what was meant."""
    place = {"pointer": pointer(*problem.field.split(".", 1))}
    if problem.field.split(".", 1)[0] not in {"url", "headers", "body"}:
        return {**place, "detail": problem.message}
    if problem.suggestion is None:
        detail = f"{problem.message.removesuffix('.')} (position {problem.position})."
        return {**place, "detail": detail, "position": problem.position}
    meant = f"Did you mean {problem.suggestion}?"
    reason = problem.message.removesuffix(meant).strip().removesuffix(".")
    return {
        **place,
        "detail": f"{reason} (position {problem.position}). {meant}",
        "position": problem.position,
        "suggestion": problem.suggestion,
    }
