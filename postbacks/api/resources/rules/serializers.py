"""A callback rule in the API, and the errors that refuse one."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps_registry.models import App, Partner
from postbacks.api.fields import (
    BoundedDictField,
    BoundedListField,
    MillisecondDateTimeField,
    PublicIdField,
    format_time,
)
from postbacks.api.problems import InvalidRequest, pointer
from postbacks.api.resources.partners import BREAKERS_HELP, BreakerSerializer
from postbacks.api.resources.rules.parts import (
    AuthenticationSerializer,
    ConditionsSerializer,
    SuccessSerializer,
)
from postbacks.api.strict import RowSerializer
from postbacks.callbacks.lint import LOSES_IN_SILENCE, RuleWarning
from postbacks.callbacks.macros import RuleError
from postbacks.callbacks.macros.compiler import MOST_HEADERS
from postbacks.callbacks.rules.definition import (
    CONTENT_FIELDS,
    MOST_MAPPED,
    MOST_TRIGGERS,
)
from postbacks.callbacks.rules.versions import definition_from
from postbacks.callbacks.translation import read_rule_url
from postbacks.delivery.lasting_failure import (
    FAILING_DAYS,
    MOST_GIVEN_UP,
    current_failure,
    percent_of_way,
)
from postbacks.models import CallbackRule, RuleStatus
from postbacks.models.rules import EXPENSIVE_REMEDY, MOST_RULES, MOST_RULES_OF_APP
from postbacks.rulebook import saving
from postbacks.rulebook.breakers import breakers_of_rules
from postbacks.rulebook.preview import warnings_about

# A save's answer has the first two, where there are any, and a failing rule the last.
OF_SOME_ANSWERS = frozenset({"notes", "problems", "failing", "too_expensive"})
_WRITABLE_STATUS = (RuleStatus.DRAFT, RuleStatus.ACTIVE, RuleStatus.PAUSED)


class ProblemOfRuleSerializer(serializers.Serializer):
    """One reason why the rule can't be saved, or why it would send nothing worth having.

    The one of the field `event` says why the event would be skipped, and keeps no rule from being
    saved.
    """

    field = serializers.CharField()
    position = serializers.IntegerField()
    message = serializers.CharField()
    suggestion = serializers.CharField(allow_null=True)


class FailingSerializer(serializers.Serializer):
    """How long a rule has delivered nothing. `percent` is of the way to its suspension."""

    since = MillisecondDateTimeField()
    given_up = serializers.IntegerField()
    percent = serializers.IntegerField()


class TooExpensiveSerializer(serializers.Serializer):
    """When the rule's conditions last took too long for an event, and what helps."""

    at = MillisecondDateTimeField()
    milliseconds = serializers.IntegerField(help_text="Of processor time, for one event.")
    remedy = serializers.CharField()


class RuleSerializer(RowSerializer):
    """A callback rule."""

    url_notes: tuple[str, ...] = ()
    saved_problems: tuple[dict[str, object], ...] = ()

    app = PublicIdField(
        App,
        required=False,
        allow_null=True,
        help_text="The app whose events are sent. Null: all apps. An app has at most "
        f"{MOST_RULES_OF_APP:,} rules with those for all apps, an organization {MOST_RULES:,}; "
        "archived ones do not count.",
    )
    partner = PublicIdField(
        Partner, required=False, allow_null=True, help_text="Who receives the postbacks."
    )
    triggers = BoundedListField(
        child=serializers.CharField(max_length=64),
        required=False,
        allow_empty=False,
        most=MOST_TRIGGERS,
        help_text="Event names, or * for any event.",
    )
    conditions = ConditionsSerializer(required=False)
    event_map = BoundedDictField(
        child=serializers.CharField(max_length=255),
        required=False,
        most=MOST_MAPPED,
        help_text="Our event names and the partner's, sent as {{partner_event_name}}.",
    )
    headers = BoundedDictField(
        child=serializers.CharField(max_length=8192, allow_blank=True),
        required=False,
        most=MOST_HEADERS,
        help_text="Header templates by name.",
    )
    body = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    authentication = AuthenticationSerializer(required=False)
    success = SuccessSerializer(required=False)
    notes = serializers.ListField(
        child=serializers.CharField(),
        read_only=True,
        required=False,
        help_text="After a save: how `url` was read, if it was not as it was written.",
    )
    problems = ProblemOfRuleSerializer(
        many=True,
        read_only=True,
        required=False,
        help_text="After a save: what would go wrong unnoticed, if anything would.",
    )
    held = serializers.IntegerField(
        read_only=True,
        help_text="Postbacks that are held since the rule was suspended; see `held`.",
    )

    breakers = serializers.SerializerMethodField(help_text=BREAKERS_HELP)
    failing = serializers.SerializerMethodField(
        help_text="Since when nothing was delivered, and how far the rule is on the way to its "
        f"suspension after {FAILING_DAYS} days with {MOST_GIVEN_UP} postbacks given up.",
    )

    too_expensive = serializers.SerializerMethodField(
        help_text="Where the conditions of the current version took too long: events wait, or are "
        "skipped with the reason `rule_too_expensive`.",
    )

    class Meta:
        model = CallbackRule
        fields = (
            *("id", "name", "app", "partner", "status"),
            *CONTENT_FIELDS,
            *(
                "version",
                "held",
                "breakers",
                "failing",
                "too_expensive",
                "notes",
                "problems",
                "created_at",
                "updated_at",
            ),
        )
        read_only_fields = ("version", "updated_at")

    @extend_schema_field(BreakerSerializer(many=True))
    def get_breakers(self, rule: CallbackRule) -> Any:
        """Return the open circuit breakers, which a page of rules has read already."""
        known = getattr(rule, "open_breakers", None)
        breakers = breakers_of_rules([rule]).get(rule.pk, []) if known is None else known
        return BreakerSerializer(breakers, many=True).data

    @extend_schema_field(FailingSerializer)
    def get_failing(self, rule: CallbackRule) -> Any:
        failure = current_failure(rule)
        if failure is None or failure.failing_since is None:
            return None
        now = datetime.now(UTC)
        return {
            "since": format_time(failure.failing_since),
            "given_up": failure.given_up,
            "percent": percent_of_way(failure.failing_since, failure.given_up, now),
        }

    @extend_schema_field(TooExpensiveSerializer)
    def get_too_expensive(self, rule: CallbackRule) -> Any:
        if rule.expensive_at is None or not rule.is_too_expensive:
            return None
        return {
            "at": format_time(rule.expensive_at),
            "milliseconds": rule.expensive_ms,
            "remedy": EXPENSIVE_REMEDY,
        }

    def validate_url(self, url: str) -> str:
        """Read an address as it was meant, and remember what was done to it."""
        read = read_rule_url(url)
        self.url_notes = read.notes
        return read.urls[0]

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Say after a save how the address was read, and what would go wrong unnoticed."""
        content = super().to_representation(instance)
        for name in ("failing", "too_expensive"):
            if content.get(name) is None:
                content.pop(name, None)
        if self.url_notes:
            content["notes"] = list(self.url_notes)
        if self.saved_problems:
            content["problems"] = list(self.saved_problems)
        return content

    def validate_status(self, status: str) -> str:
        """Accept statuses that people set; others are set by suspending and archiving."""
        before = self.instance.status if isinstance(self.instance, CallbackRule) else None
        if status not in _WRITABLE_STATUS and status != before:
            raise serializers.ValidationError(f"Write one of {', '.join(_WRITABLE_STATUS)}.")
        return status

    def _repeats(self, name: str, value: object) -> bool:
        # Workers change these: a row that was just read can be written back all the same.
        return name in {"held", "breakers", *OF_SOME_ANSWERS} or super()._repeats(name, value)

    def write(self, row: CallbackRule) -> None:
        if row.pk is not None and "status" not in self.validated_data:
            # A worker may have suspended the rule since it was read: that is not to be undone.
            stored = CallbackRule.objects.select_for_update(no_key=True)
            row.status = stored.values_list("status", flat=True).get(pk=row.pk)
        with answer_rule_errors():
            saving.save(row, by=self.context["request"].user.user)
        self.saved_problems = costly_problems(warnings_about(definition_from(row)))


def costly_problems(warnings: Iterable[RuleWarning]) -> tuple[dict[str, object], ...]:
    """Return the warnings about what would go wrong unnoticed, as problems with their remedy."""
    return tuple(
        {
            "field": warning.field,
            "position": warning.position,
            "message": warning.message,
            "suggestion": warning.fix,
        }
        for warning in warnings
        if warning.code in LOSES_IN_SILENCE
    )


@contextmanager
def answer_rule_errors() -> Iterator[None]:
    """Raise InvalidRequest for the errors that the rulebook finds in a rule."""
    try:
        yield
    except saving.RuleProblemsError as error:
        raise InvalidRequest([_error_content(problem) for problem in error.problems]) from None


def _error_content(error: RuleError) -> dict[str, object]:
    """Return an error; in a template its sentence says where it is and what was meant."""
    field = error.field.partition(".")[0]
    # A header's name may hold dots; the steps to a condition may not.
    content: dict[str, object] = {
        "pointer": pointer(*error.field.split(".", 1 if field == "headers" else -1))
    }
    if field not in {"url", "headers", "body"}:
        content["detail"] = error.message
        if error.suggestion:
            content |= {"position": error.position, "suggestion": error.suggestion}
        return content
    if error.suggestion is None:
        detail = f"{error.message.removesuffix('.')} (position {error.position})."
        return {**content, "detail": detail, "position": error.position}
    meant = f"Did you mean {error.suggestion}?"
    if not error.message.endswith(meant):
        meant = f"Write it as {error.suggestion}."
    reason = error.message.removesuffix(meant).strip().removesuffix(".")
    return {
        **content,
        "detail": f"{reason} (position {error.position}). {meant}",
        "position": error.position,
        "suggestion": error.suggestion,
    }


class RuleExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]  # untyped there
    """Describes that an answer may lack what only some answers have."""

    target_class = RuleSerializer

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        """Return the schema; read-only fields are otherwise required in answers."""
        schema: dict[str, Any] = auto_schema._map_serializer(  # type: ignore[no-untyped-call]
            self.target, direction, bypass_extensions=True
        )
        if "required" in schema:  # not in a PATCH's body
            schema["required"] = [
                name for name in schema["required"] if name not in OF_SOME_ANSWERS
            ]
        return schema
