"""What a rule would send, before it is saved."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import msgspec
from rest_framework import serializers

from apps_registry.models import App, BundleId
from postbacks.api.problems import Invalid
from postbacks.api.resources.rules.serializers import RuleSerializer
from postbacks.callbacks.lint import Code
from postbacks.callbacks.rules import versions
from postbacks.models import CallbackRule, Event
from postbacks.rulebook import saving


class PreviewSerializer(RuleSerializer):
    """A rule, of which only the URL is required, and an event to render it for."""

    name = serializers.CharField(required=False, max_length=120)
    event = serializers.DictField(
        required=False, help_text="An event as an SDK sends it. Without one: a sample."
    )
    event_id = serializers.UUIDField(required=False, help_text="An event that was received.")

    class Meta:
        model = CallbackRule
        read_only_fields = RuleSerializer.Meta.read_only_fields
        fields = (*RuleSerializer.Meta.fields, "event", "event_id")
        extra_kwargs = {"url": {"required": True}}

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Refuse two events at once."""
        if "event" in values and "event_id" in values:
            raise serializers.ValidationError(
                {"event_id": ["Send “event” or “event_id”, not both."]}
            )
        return values


class ProblemOfRuleSerializer(serializers.Serializer):
    """One reason why the rule can't be saved."""

    field = serializers.CharField()
    position = serializers.IntegerField()
    message = serializers.CharField()
    suggestion = serializers.CharField(allow_null=True)


class RemarkOnRuleSerializer(serializers.Serializer):
    """One thing that is odd about the rule; it can be saved all the same."""

    field = serializers.CharField()
    position = serializers.IntegerField()
    length = serializers.IntegerField(help_text="How many characters are meant; 0: a place.")
    code = serializers.ChoiceField(choices=[it.value for it in Code])
    message = serializers.CharField()
    fix = serializers.CharField(
        allow_null=True, help_text="What to write in place of these characters."
    )


class PreviewAnswerSerializer(serializers.Serializer):
    """The request as it would be sent, credentials masked."""

    method = serializers.CharField()
    url = serializers.CharField()
    headers = serializers.DictField(child=serializers.CharField())
    body = serializers.CharField(allow_null=True)
    problems = ProblemOfRuleSerializer(many=True)
    missing = serializers.ListField(child=serializers.CharField())
    remarks = RemarkOnRuleSerializer(many=True)


def preview(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a rule would send for an event. Raises Invalid if the event is none."""
    sdk_event = values.pop("event", None)
    event_id = values.pop("event_id", None)
    rule = CallbackRule(**{"name": "Preview", **values})
    event = event_of(event_id, rule.app) if event_id else None
    with refusing_event():
        seen = saving.preview(
            versions.definition_from(rule),
            event=event,
            sdk_event=sdk_event,
            app=app_of(rule.app, sdk_event),
        )
    return msgspec.to_builtins(seen)  # type: ignore[no-any-return]  # a dataclass gives a dict


@contextmanager
def refusing_event() -> Iterator[None]:
    """Answer what is wrong with a given event as faults of the request."""
    try:
        yield
    except saving.SampleEventError as error:
        raise Invalid(
            [{"pointer": f"/event{place}", "detail": detail} for place, detail in error.faults]
        ) from None


def event_of(event_id: UUID, app: App | None) -> Event:
    """Return an event of the organization. Raises Invalid where there is not exactly one."""
    events = Event.objects.filter(event_id=event_id)
    found = list(events.filter(app=app) if app else events)
    if len(found) == 1:
        return found[0]
    detail = (
        "Several apps have an event with this id; name the app."
        if found
        else ("There is no event with this id.")
    )
    raise Invalid([{"pointer": "/event_id", "detail": detail}])


def app_of(app: App | None, sdk_event: dict[str, Any] | None) -> App | None:
    """Return the app that an event belongs to: the rule's, else the one that has its bundle ID."""
    if app is not None or sdk_event is None:
        return app
    named = sdk_event.get("bundle_id")
    held = (
        BundleId.objects.select_related("app").filter(identifier=named).first()
        if isinstance(named, str)
        else None
    )
    return held.app if held else None
