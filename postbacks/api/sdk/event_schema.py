"""The schema of events in the OpenAPI document, made from the fields that intake checks."""

from typing import Any

import msgspec
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from postbacks.intake.events.device_clock import CORRECTED_BY
from postbacks.intake.events.fields import EventFields
from postbacks.models import EventSource
from postbacks.values.identifiers import LEFT_OUT_IDS

_SET_BY_US = {
    "app": {"type": "string", "format": "uuid"},
    "received_at": {"type": "string", "format": "date-time"},
    "source": {"type": "string", "enum": EventSource.values},
    CORRECTED_BY: {
        "type": ["integer", "null"],
        "description": "Seconds by which the times of a wrong clock were corrected; negative where "
        "it ran ahead.",
    },
}
_LEFT_OUT_IDS = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "description": "What was sent in place of an ID and left out, by field; only where there was.",
}
_TIME = "ISO 8601 with an offset, or Unix seconds, milliseconds or microseconds."
_EVENT_TIME = {
    "type": ["string", "number", "null"],
    "description": f"{_TIME} At most 58 days ago and 14 days ahead. More than a minute ahead "
    "counts as now; see `sent_at`.",
}
_SENT_AT = {
    "type": ["string", "number", "null"],
    "description": f"The time of the device's clock when it sends: {_TIME} If it is off by more "
    "than a minute, the device's times are corrected by the difference.",
}


class PointedSerializer(serializers.Serializer):
    """One error of an event."""

    pointer = serializers.CharField(help_text="JSON pointer into the event.")
    detail = serializers.CharField()


class RejectionSerializer(serializers.Serializer):
    """An event that was rejected."""

    index = serializers.IntegerField(help_text="Its place in the request, counted from 0.")
    errors = PointedSerializer(many=True)  # type: ignore[assignment]  # a field, no property


class WarningSerializer(PointedSerializer):
    """A remark on an event that was accepted."""

    index = serializers.IntegerField(help_text="Its place in the request, counted from 0.")


class ReceiptSerializer(serializers.Serializer):
    """The result of a request with events."""

    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = RejectionSerializer(many=True)
    ids = serializers.ListField(
        child=serializers.UUIDField(allow_null=True),
        help_text="One per event sent, in order; null where it was rejected.",
    )
    warnings = WarningSerializer(many=True)


def event_schema() -> dict[str, Any]:
    """Return the schema of an event as an SDK sends it."""
    schema = _fields()
    for name in ("revenue", "price"):
        schema["properties"][name] = {"type": ["string", "number", "null"]}
    schema["properties"] |= {"event_time": _EVENT_TIME, "sent_at": _SENT_AT}
    schema["description"] = (
        "Unknown fields are kept in `params` and named in `warnings`. A word or an unfilled macro "
        "in place of an ID is left out and named there too."
    )
    return schema


def events_body_schema() -> dict[str, Any]:
    """Return the schema of the body of `POST /api/v1/events`."""
    many = {"type": "array", "items": event_schema(), "minItems": 1, "maxItems": 1000}
    return {
        "oneOf": [
            event_schema(),
            many,
            {
                "type": "object",
                "required": ["events"],
                "properties": {"events": many, "sent_at": _SENT_AT},
            },
        ]
    }


class EventExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]  # untyped there
    """Describes an event as the API answers it."""

    target_class = "postbacks.api.resources.events.EventSerializer"

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        """Return the schema of a row: every field of the SDK API, null where it wasn't sent."""
        schema = _fields()
        for name in ("revenue", "price"):
            schema["properties"][name] = {"type": ["string", "null"], "format": "decimal"}
        schema["properties"]["event_time"] = _SET_BY_US["received_at"]
        schema["properties"]["sent_at"] = {"type": ["string", "null"], "format": "date-time"}
        schema["properties"] |= _SET_BY_US
        schema["required"] = sorted(schema["properties"])
        schema["properties"][LEFT_OUT_IDS] = _LEFT_OUT_IDS
        return schema


def _fields() -> dict[str, Any]:
    schema = msgspec.json.schema(EventFields, schema_hook=_any_json)["$defs"]["EventFields"]
    for field in schema["properties"].values():
        field.pop("default", None)
    return {
        "type": "object",
        "properties": schema["properties"],
        "required": schema["required"],
    }


def _any_json(kind: type) -> dict[str, Any]:
    return {"description": "Any JSON value."}  # params are the app's own business
