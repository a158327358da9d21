"""A callback rule as the API writes and shows it."""

from collections.abc import Iterator
from contextlib import contextmanager

from rest_framework import serializers

from apps_registry.models import App, Partner
from postbacks.api.fields import PublicIdField
from postbacks.api.problems import InvalidRequest, pointer
from postbacks.api.resources.rules.parts import (
    AuthenticationSerializer,
    ConditionsSerializer,
    SuccessSerializer,
)
from postbacks.api.strict import RowSerializer
from postbacks.callbacks.macros import RuleError
from postbacks.callbacks.rules.definition import CONTENT_FIELDS
from postbacks.models import CallbackRule, RuleStatus
from postbacks.rulebook import saving

_WRITABLE_STATUS = (RuleStatus.DRAFT, RuleStatus.ACTIVE, RuleStatus.PAUSED)


class RuleSerializer(RowSerializer):
    """A callback rule."""

    app = PublicIdField(
        App, required=False, allow_null=True, help_text="Whose events. Null: all apps."
    )
    partner = PublicIdField(Partner, required=False, allow_null=True, help_text="Who is told.")
    triggers = serializers.ListField(
        child=serializers.CharField(max_length=64), required=False, allow_empty=False,
        help_text="Event names, or * for any event.",
    )  # fmt: skip
    conditions = ConditionsSerializer(required=False)
    event_map = serializers.DictField(
        child=serializers.CharField(max_length=255), required=False,
        help_text="Our event names and the partner's, sent as {{partner_event_name}}.",
    )  # fmt: skip
    headers = serializers.DictField(
        child=serializers.CharField(max_length=8192, allow_blank=True), required=False,
        help_text="Header templates by name.",
    )  # fmt: skip
    body = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    authentication = AuthenticationSerializer(required=False)
    success = SuccessSerializer(required=False)

    class Meta:
        model = CallbackRule
        fields = (
            *("id", "name", "app", "partner", "status"),
            *CONTENT_FIELDS,
            *("version", "created_at", "updated_at"),
        )
        read_only_fields = ("version", "updated_at")

    def validate_status(self, status: str) -> str:
        """Let people switch a rule on and off; suspending and archiving are other ways."""
        before = self.instance.status if isinstance(self.instance, CallbackRule) else None
        if status not in _WRITABLE_STATUS and status != before:
            raise serializers.ValidationError(f"Write one of {', '.join(_WRITABLE_STATUS)}.")
        return status

    def write(self, row: CallbackRule) -> None:
        """Save the rule as a new version, if nothing is wrong with it."""
        with answer_rule_errors():
            saving.save(row, by=self.context["request"].user.user)


@contextmanager
def answer_rule_errors() -> Iterator[None]:
    """Answer what the rulebook finds wrong with a rule as faults of the request."""
    try:
        yield
    except saving.RuleProblemsError as error:
        raise InvalidRequest([_shown(problem) for problem in error.problems]) from None


def _shown(problem: RuleError) -> dict[str, object]:
    """Return a template's problem: the sentence says where it is and what was meant."""
    field = problem.field.partition(".")[0]
    # A header's name may hold dots; the steps to a condition may not.
    place = {"pointer": pointer(*problem.field.split(".", 1 if field == "headers" else -1))}
    if field not in {"url", "headers", "body"}:
        more = {"position": problem.position, "suggestion": problem.suggestion}
        return {**place, "detail": problem.message, **(more if problem.suggestion else {})}
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
