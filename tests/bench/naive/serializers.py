"""What an event must look like."""

from rest_framework import serializers

from tests.bench.naive.models import Event


class EventSerializer(serializers.ModelSerializer):
    """This checks one event; the model's unique `event_id` is checked with it."""

    class Meta:
        model = Event
        exclude = ["key"]


class BulkEventSerializer(EventSerializer):
    """This checks one event without asking for its `event_id`: many are stored in one statement."""

    class Meta(EventSerializer.Meta):
        extra_kwargs = {"event_id": {"validators": []}}
