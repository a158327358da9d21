"""One search for all ids, and everything of a device in order."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.roles import RIGHT_TO, Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import MillisecondDateTimeField
from postbacks.api.query import Query
from postbacks.api.resources.events import ExplainedSerializer
from postbacks.insights import search
from postbacks.insights.device_story import StoryEntry, story_of_device
from postbacks.insights.search import KINDS, LONGEST, MatchKind
from postbacks.models import Event
from postbacks.rulebook.explain import explain_newest


class MatchSerializer(serializers.Serializer):
    """A row that carries the id."""

    kind = serializers.ChoiceField(KINDS)
    id = serializers.UUIDField(help_text="Its own ID, by which its address names it.")
    matched = serializers.CharField(help_text="As what it carries the ID, such as `click_id`.")
    at = MillisecondDateTimeField(help_text="When it was received or made.")
    title = serializers.CharField()


class StoryEntrySerializer(serializers.Serializer):
    """One thing that happened to a device."""

    at = MillisecondDateTimeField()
    kind = serializers.ChoiceField(KINDS)
    id = serializers.UUIDField()
    title = serializers.CharField()
    detail = serializers.CharField(help_text="What came of it, in words.")
    rules = serializers.SerializerMethodField(
        help_text="What each rule did with an event, as its own `explain` says it; null of "
        "anything else, and of events beyond the newest twenty."
    )

    @extend_schema_field(ExplainedSerializer(many=True, allow_null=True))
    def get_rules(self, entry: StoryEntry) -> Any:
        explained = self.context.get("explained", {})
        if entry.kind is not MatchKind.EVENT or entry.row.pk not in explained:
            return None
        return ExplainedSerializer(explained[entry.row.pk], many=True).data


def story_data(story: Sequence[StoryEntry]) -> Any:
    """Return a story as it is answered, with what rules did with its newest events."""
    events = [entry.row for entry in story if isinstance(entry.row, Event)]
    context = {"explained": explain_newest(events)}
    return StoryEntrySerializer(story, many=True, context=context).data


class SearchQuery(Query):
    """What is searched."""

    q = serializers.CharField(
        max_length=LONGEST,
        help_text="A whole ID: of an event, postback, click, device (in any spelling, or its MD5 "
        "or SHA-1), install, your own user, transaction, Apple's copy; or a tracking link's token "
        "or address. Encode a `+` as `%2B`.",
    )


class DeviceQuery(Query):
    """The device."""

    id = serializers.CharField(
        max_length=LONGEST, help_text="Any ID of it, in any spelling, or its MD5 or SHA-1."
    )


class SearchViewSet(OrganizationViewSet):
    """Finds what carries an id, whatever it is."""

    model = Event
    pagination_class = None  # type: ignore[assignment]  # at most twenty of a kind
    serializer_class = MatchSerializer
    queries = {"search": SearchQuery, "explain_device": DeviceQuery}
    long_actions = frozenset({"search", "explain_device"})
    rights = {"search": Right.READ, "explain_device": RIGHT_TO["explain"]}

    def get_queryset(self) -> "QuerySet[Any]":
        return Event.objects.none()

    @extend_schema(
        summary="Find an ID", parameters=[SearchQuery], responses={200: MatchSerializer(many=True)}
    )
    def search(self, request: Request) -> Response:
        """Answer what carries the id, the newest of each kind first, at most twenty of a kind.

        The header `Search-Unfinished` names the kinds that took too long.
        """
        results = search.search(self.query.validated_data["q"])
        unfinished = {"Search-Unfinished": ", ".join(results.unfinished)}
        return Response(
            MatchSerializer(results.matches, many=True).data,
            headers=unfinished if results.unfinished else None,
        )

    @extend_schema(
        summary="Explain a device",
        parameters=[DeviceQuery],
        responses={200: StoryEntrySerializer(many=True)},
    )
    def explain_device(self, request: Request) -> Response:
        """Answer everything of a device in order: clicks, installs, events, postbacks, refusals."""
        story = story_of_device(self.query.validated_data["id"])
        return Response(story_data(story))
