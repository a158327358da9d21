"""Before a rule is saved: what it would send, and URLs of other vendors translated."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import msgspec
from rest_framework import serializers

from apps_registry.models import App, BundleId
from postbacks.api.problems import InvalidRequest
from postbacks.api.resources.rules.serializers import (
    ProblemOfRuleSerializer,
    RuleSerializer,
    costly_problems,
)
from postbacks.api.strict import StrictSerializer
from postbacks.callbacks.lint import WarningCode
from postbacks.callbacks.rules import versions
from postbacks.callbacks.translation import (
    AUTO,
    CHOICES,
    LONGEST_URL,
    TOOLS,
    Certainty,
    Translation,
    translate,
)
from postbacks.models import CallbackRule, Event
from postbacks.models.rules import LONGEST_RULE_NAME
from postbacks.rulebook.preview import preview_definition
from postbacks.rulebook.trial_events import SampleEventError, skip_sentence


class PreviewSerializer(RuleSerializer):
    """A rule, of which only the URL is required, and an event to render it for."""

    name = serializers.CharField(required=False, max_length=LONGEST_RULE_NAME)
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
        if "event" in values and "event_id" in values:
            raise serializers.ValidationError(
                {"event_id": ["Send “event” or “event_id”, not both."]}
            )
        return values


class RemarkOnRuleSerializer(serializers.Serializer):
    """One thing that is odd about the rule; it can be saved all the same.

    What would go wrong unnoticed is among the problems, too.
    """

    field = serializers.CharField()
    position = serializers.IntegerField()
    length = serializers.IntegerField(
        help_text="How many characters are meant; 0: only a position."
    )
    code = serializers.ChoiceField(choices=[code.value for code in WarningCode])
    message = serializers.CharField()
    fix = serializers.CharField(allow_null=True, help_text="The replacement for these characters.")


class PreviewAnswerSerializer(serializers.Serializer):
    """The request as it would be sent, credentials masked."""

    method = serializers.CharField()
    url = serializers.CharField()
    headers = serializers.DictField(child=serializers.CharField())
    body = serializers.CharField(allow_null=True)
    problems = ProblemOfRuleSerializer(many=True)
    missing = serializers.ListField(child=serializers.CharField())
    remarks = RemarkOnRuleSerializer(many=True)
    notes = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="How `url` was read, if it was not as it was written.",
    )


class TranslateSerializer(StrictSerializer):
    """A callback URL, and the vendor whose macros it uses."""

    url = serializers.CharField(
        max_length=LONGEST_URL,
        trim_whitespace=False,
        help_text="For example https://a.example.com/?id={idfa||gps_adid}, also with a label, "
        "quotes or line breaks around and inside.",
    )
    vendor = serializers.ChoiceField(
        CHOICES,
        default=AUTO,
        help_text="The vendor it was written for; auto detects it, generic knows the words that "
        "many tools share.",
    )


class TranslatedSerializer(serializers.Serializer):
    """A placeholder and the macro that it became."""

    theirs = serializers.CharField()
    ours = serializers.CharField()


class UntranslatedSerializer(serializers.Serializer):
    """A placeholder that was removed, and why."""

    theirs = serializers.CharField()
    why = serializers.CharField()


class TranslationOfUrlSerializer(serializers.Serializer):
    """A URL in our macro language."""

    vendor = serializers.ChoiceField(TOOLS, allow_null=True)
    certainty = serializers.ChoiceField([(level.value, level.value) for level in Certainty])
    url = serializers.CharField()
    translated = TranslatedSerializer(many=True)
    untranslated = UntranslatedSerializer(many=True)
    notes = serializers.ListField(
        child=serializers.CharField(), help_text="What was done, and what to look at."
    )


class TranslationSerializer(TranslationOfUrlSerializer):
    """The URL in our macro language, and further URLs of the same text."""

    others = TranslationOfUrlSerializer(many=True)


def preview_content(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a rule would send for an event. Raises InvalidRequest for an invalid event."""
    sdk_event = values.pop("event", None)
    event_id = values.pop("event_id", None)
    rule = CallbackRule(**{"name": "Preview", **values})
    event = find_event(event_id, rule.app) if event_id else None
    with answer_event_errors():
        request = preview_definition(
            versions.definition_from(rule),
            event=event,
            sdk_event=sdk_event,
            app=find_app(rule.app, sdk_event),
        )
    content: dict[str, Any] = msgspec.to_builtins(request)
    del content["skips"], content["empty_macros"]  # `problems` and `missing` say it
    content["remarks"] = RemarkOnRuleSerializer(request.remarks, many=True).data
    skipped = skip_sentence(request.skips)
    content["problems"] = [
        *(
            [{"field": "event", "position": 0, "message": skipped, "suggestion": None}]
            if skipped
            else []
        ),
        *content["problems"],
        *costly_problems(request.remarks),
    ]
    return content


def translation_content(url: str, vendor: str) -> dict[str, Any]:
    """Return another vendor's callback URL in our macro language."""
    translation = translate(url, vendor)
    others = [_content_of(other) for other in translation.others]
    return {**_content_of(translation), "others": others}


def _content_of(translation: Translation) -> dict[str, Any]:
    return {
        "vendor": translation.vendor or None,
        "certainty": translation.certainty.value,
        "url": translation.url,
        "translated": [
            {"theirs": macro.theirs, "ours": macro.ours} for macro in translation.translated
        ],
        "untranslated": [
            {"theirs": macro.theirs, "why": macro.why} for macro in translation.untranslated
        ],
        "notes": list(translation.notes),
    }


@contextmanager
def answer_event_errors() -> Iterator[None]:
    """Raise InvalidRequest for what is wrong with the event that was sent."""
    try:
        yield
    except SampleEventError as error:
        raise InvalidRequest(
            [{"pointer": f"/event{pointer}", "detail": text} for pointer, text in error.faults]
        ) from None


def find_event(event_id: UUID, app: App | None) -> Event:
    """Return an event of the organization. Raises InvalidRequest unless there is exactly one."""
    events = Event.objects.filter(event_id=event_id)
    matches = list(events.filter(app=app) if app else events)
    if len(matches) == 1:
        return matches[0]
    detail = (
        "Several apps have an event with this ID; name the app."
        if matches
        else "There is no event with this ID."
    )
    raise InvalidRequest([{"pointer": "/event_id", "detail": detail}])


def find_app(app: App | None, sdk_event: dict[str, Any] | None) -> App | None:
    """Return the app that an event belongs to: the rule's, else the one that has its bundle ID."""
    if app is not None or sdk_event is None:
        return app
    identifier = sdk_event.get("bundle_id")
    if not isinstance(identifier, str):
        return None
    bundle_id = BundleId.objects.select_related("app").filter(identifier=identifier).first()
    return bundle_id.app if bundle_id else None
