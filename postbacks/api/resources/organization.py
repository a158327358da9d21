"""The caller's own organization: its settings, its configuration as a file, its audit log."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import ActorKind, Door
from apps_registry.models import AuditEntry, Organization
from apps_registry.roles import Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import MillisecondDateTimeField
from postbacks.api.problems import Conflict, InvalidRequest, pointer
from postbacks.api.query import PageQuery, Query
from postbacks.api.strict import RowSerializer, inflated_body
from postbacks.configuration.document import UnreadableDocumentError, parse_document
from postbacks.configuration.exporting import export_configuration
from postbacks.configuration.importing import (
    ImportProblemsError,
    ImportRunningError,
    import_document,
)


class OrganizationSerializer(RowSerializer):
    """The organization."""

    class Meta:
        model = Organization
        fields = ("id", "name", "time_zone", "currency", "created_at")


class ImportQuery(Query):
    """How to import."""

    dry_run = serializers.BooleanField(
        default=False, help_text="Answer what an import would do, and change nothing."
    )


class ImportOutcomeSerializer(serializers.Serializer):
    """The result of an import, by kind and name."""

    created = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    changed = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    left = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    credentials_to_enter = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        help_text="By partner or scheduled export, the secrets to enter: a document has names.",
    )
    drafts = serializers.ListField(
        child=serializers.CharField(),
        help_text="Rules that were imported as drafts, because their partner lacks credentials.",
    )


class OwnOrganizationViewSet(OrganizationViewSet):
    """The organization of the token."""

    row_names = ("organization: the token's own", "organizations")
    serializer_class = OrganizationSerializer
    queries = {"import_configuration": ImportQuery}
    long_actions = frozenset({"export", "import_configuration"})
    rights = {
        "retrieve": Right.READ,
        "partial_update": Right.MANAGE,
        "export": Right.EXPORT,
        "import_configuration": Right.MANAGE,
    }

    def get_queryset(self) -> Any:
        return Organization.objects.filter(pk=self.caller.organization_id)

    def get_object(self) -> Any:
        return self.get_queryset().get()

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change the organization's name or time zone."""
        serializer = self.get_serializer(self.get_object(), data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def export(self, request: Request) -> Response:
        """Return the whole configuration: everything that people set up, without secrets."""
        may_set_up = self.caller.allows(Right.SET_UP)
        return Response(export_configuration(with_callbacks=may_set_up))

    @extend_schema(request=OpenApiTypes.OBJECT, responses={200: ImportOutcomeSerializer})
    def import_configuration(self, request: Request) -> Response:
        """Import an exported document, all of it or nothing.

        Rows are found by their names: an import can be repeated, and changes nothing that the
        document doesn't name.
        """
        _ = request.data  # strict: each key once
        try:
            document = parse_document(inflated_body(request))
            outcome = import_document(
                document, by=self.caller.user, only_plan=self.query.validated_data["dry_run"]
            )
        except UnreadableDocumentError as error:
            raise exceptions.ValidationError(str(error)) from None
        except ImportRunningError as error:
            raise Conflict(str(error)) from None
        except ImportProblemsError as error:
            raise InvalidRequest(
                [
                    {"pointer": pointer(*problem.pointer), "detail": problem.detail}
                    for problem in error.problems
                ]
            ) from None
        return Response(asdict(outcome))


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
