"""The audit log: who changed what, from which value to which, and from where. Read only."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import ActorKind, Door
from apps_registry.models import AuditEntry
from apps_registry.roles import Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import MillisecondDateTimeField
from postbacks.api.query import PageQuery


@extend_schema_field({"type": "object", "additionalProperties": {"type": "array", "items": {}}})
class ChangesField(serializers.JSONField):
    """What changed: `{"field": [from, to]}`; of a secret only that it did."""


class ActorSerializer(serializers.Serializer):
    """Who did it."""

    kind = serializers.ChoiceField(ActorKind.choices, source="actor_kind")
    name = serializers.CharField(source="actor_name", help_text="E-mail address or token.")
    door = serializers.ChoiceField(Door.choices, help_text="The interface it came through.")
    ip_address = serializers.IPAddressField(allow_null=True)


class ObjectSerializer(serializers.Serializer):
    """What it was done to, by its name at that time."""

    type = serializers.CharField(source="object_type", help_text="For example callback_rule.")
    id = serializers.CharField(source="object_id", help_text="Its ID in this API.")
    name = serializers.CharField(source="object_name")


class AuditEntrySerializer(serializers.ModelSerializer):
    """One action of a person or a program."""

    id = serializers.UUIDField(source="public_id")
    at = MillisecondDateTimeField()
    actor = ActorSerializer(source="*")
    object = ObjectSerializer(source="*")
    action = serializers.ChoiceField(Action.choices)
    changes = ChangesField()

    class Meta:
        model = AuditEntry
        fields = ("id", "at", "actor", "action", "object", "changes")
        read_only_fields = fields


class AuditLogQuery(PageQuery):
    """Filters of the audit log; `since` is included, `until` is not."""

    action = serializers.ChoiceField(Action.choices, required=False)
    object_type = serializers.CharField(
        required=False, max_length=64, help_text="For example callback_rule, partner_credential."
    )
    object = serializers.UUIDField(required=False, help_text="The ID of what was changed.")
    actor = serializers.CharField(
        required=False, max_length=255, help_text="Part of an e-mail address or a token's name."
    )
    since = MillisecondDateTimeField(required=False, help_text="At this time or later.")
    until = MillisecondDateTimeField(required=False, help_text="Before this time.")
    lookups = {
        "object": "object_id",
        "actor": "actor_name__icontains",
        "since": "at__gte",
        "until": "at__lt",
    }


class AuditLogViewSet(OrganizationViewSet):
    """Changes by people and programs, newest first. Nobody can write or delete an entry."""

    model = AuditEntry
    row_names = ("audit entry", "audit entries")
    serializer_class = AuditEntrySerializer
    queries = {"list": AuditLogQuery}
    rights = {"list": Right.READ, "retrieve": Right.READ}
    time_key = "at"
