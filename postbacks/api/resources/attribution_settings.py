"""Attribution settings of an app, a partner or a link; null inherits from the wider ones."""

from typing import Any

from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import App, AttributionSettings, Partner, TrackingLink
from postbacks.api.base import RegistryViewSet
from postbacks.api.fields import IdFilter, PublicIdField
from postbacks.api.query import PageQuery
from postbacks.api.strict import RowSerializer

_OWNERS = ("app", "partner", "link")


class AttributionSettingsSerializer(RowSerializer):
    """Settings of an app, a partner, both, or a link; without any of them, of all apps."""

    app = PublicIdField(App, required=False, allow_null=True, default=None)
    partner = PublicIdField(Partner, required=False, allow_null=True, default=None)
    link = PublicIdField(TrackingLink, required=False, allow_null=True, default=None)

    constraint_field = "link"

    class Meta:
        model = AttributionSettings
        fields = ("id", *AttributionSettings.audited)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse to change the owner of settings, or to combine a link with other owners."""
        faults: dict[str, str] = {}
        for name in _OWNERS:
            is_sent = isinstance(self.initial_data, dict) and name in self.initial_data
            if self.instance is None:
                continue
            if is_sent and attrs.get(name) != getattr(self.instance, name):
                faults[name] = "Whom settings are for stays as it is; make new ones."
            attrs.pop(name, None)
        if attrs.get("link") and (attrs.get("app") or attrs.get("partner")):
            faults["link"] = "A link has its own app and partner; leave those null."
        if faults:
            raise serializers.ValidationError(faults)
        return attrs


class AttributionSettingsQuery(PageQuery):
    """Filters of attribution settings."""

    app = IdFilter(App)
    partner = IdFilter(Partner)
    link = IdFilter(TrackingLink)
    lookups = {"app": "app_id", "partner": "partner_id", "link": "link_id"}


class AttributionSettingsViewSet(RegistryViewSet):
    """How installs are credited, where that differs from the defaults."""

    model = AttributionSettings
    row_names = ("set of attribution settings", "sets of attribution settings")
    serializer_class = AttributionSettingsSerializer
    queries = {"list": AttributionSettingsQuery}

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related(*_OWNERS)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete settings: the wider ones apply again."""
        self.get_object().delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
