"""The caller's own organization: its settings, and export and import of its configuration."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import Organization
from apps_registry.roles import Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.problems import InvalidRequest, pointer
from postbacks.api.query import Query
from postbacks.api.strict import RowSerializer, inflated_body
from postbacks.configuration.document import UnreadableDocumentError, parse_document
from postbacks.configuration.exporting import export_configuration
from postbacks.configuration.importing import ImportProblemsError, import_document


class OrganizationSerializer(RowSerializer):
    """The organization."""

    class Meta:
        model = Organization
        fields = ("id", "name", "time_zone", "created_at")


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
        help_text="By partner, the credentials to enter: a document has only their names.",
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
        return Response(export_configuration())

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
        except ImportProblemsError as error:
            raise InvalidRequest(
                [
                    {"pointer": pointer(*problem.pointer), "detail": problem.detail}
                    for problem in error.problems
                ]
            ) from None
        return Response(asdict(outcome))
