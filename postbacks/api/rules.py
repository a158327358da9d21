"""Callback rules: written, previewed, archived."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import App, Partner
from apps_registry.roles import Right
from postbacks.api.base import RegistryViewSet
from postbacks.api.fields import IdFilter
from postbacks.api.previews import PreviewAnswerSerializer, PreviewSerializer, preview
from postbacks.api.query import Page
from postbacks.api.rule_fields import RuleSerializer
from postbacks.models import CallbackRule, RuleStatus


class RulePage(Page):
    """Filters of callback rules; without `status` the archived ones are left out."""

    name = serializers.CharField(required=False)
    app = IdFilter(App)
    partner = IdFilter(Partner)
    status = serializers.ChoiceField(RuleStatus.choices, required=False)
    lookups = {"app": "app_id", "partner": "partner_id"}

    def narrow(self, rows: Any) -> Any:
        """Return the rows that the filters leave."""
        if "status" not in self.validated_data:
            rows = rows.exclude(status=RuleStatus.ARCHIVED)
        return super().narrow(rows)


class RuleViewSet(RegistryViewSet):
    """Which events send a postback to whom, and what it says."""

    model = CallbackRule
    serializer_class = RuleSerializer
    queries = {"list": RulePage}
    rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "preview": Right.READ,
        "create": Right.SET_UP,
        "update": Right.SET_UP,
        "partial_update": Right.SET_UP,
        "destroy": Right.SET_UP,
    }

    def get_queryset(self) -> Any:
        """Return rules with what they belong to."""
        return super().get_queryset().select_related("app", "partner")

    @extend_schema(request=PreviewSerializer, responses={200: PreviewAnswerSerializer})
    @action(detail=False, methods=["post"], serializer_class=PreviewSerializer)
    def preview(self, request: Request) -> Response:
        """Render a rule for an event; saves and sends nothing."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response(preview(serializer.validated_data))
