"""How installs are credited: attribution settings, and devices that the fraud checks leave alone.

Settings are of an app, a partner or a link; null inherits from the wider ones. A test device is
marked by one of its ids for some days.
"""

from typing import Any

from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import App, AttributionSettings, Partner, TrackingLink
from apps_registry.roles import Right
from postbacks.api.base import OrganizationViewSet, RegistryViewSet
from postbacks.api.fields import IdFilter, PublicIdField
from postbacks.api.query import PageQuery
from postbacks.api.strict import RowSerializer
from postbacks.models import TestDevice
from postbacks.models.test_devices import FEWEST_DAYS, MOST_DAYS
from postbacks.privacy.device_marks import days_error, device_error, mark_device, mark_error
from postbacks.privacy.tombstones import ID_KINDS

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


class TestDeviceSerializer(RowSerializer):
    """A test device; the id that names it is not kept, and in no answer."""

    __test__ = False

    days = serializers.IntegerField(
        write_only=True,
        default=7,
        help_text=f"How many days the fraud checks leave it alone: {FEWEST_DAYS} to {MOST_DAYS}.",
    )

    class Meta:
        model = TestDevice
        fields = ("id", "name", "days", "kind", "ending", "created_at", "ends_at")
        read_only_fields = ("kind", "ending", "created_at", "ends_at")

    def get_fields(self) -> dict[str, serializers.Field]:
        ids = {
            kind: serializers.CharField(
                required=False,
                write_only=True,
                trim_whitespace=False,
                help_text="One ID of the device, in any spelling. Send exactly one.",
            )
            for kind in ID_KINDS
        }
        return {**super().get_fields(), **ids}

    def validate_days(self, days: int) -> int:
        if error := days_error(days):
            raise serializers.ValidationError(error)
        return days

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the values with the one id as `id_`. Raises ValidationError."""
        ids = {kind: attrs.pop(kind) for kind in ID_KINDS if kind in attrs}
        if not ids:
            names = ", ".join(ID_KINDS)
            raise serializers.ValidationError(f"Name the device by one of: {names}.")
        if len(ids) > 1:
            _, second, *_ = ids
            raise serializers.ValidationError(
                {second: f"{len(ids)} IDs were sent. Send one, and mark by the others separately."}
            )
        ((kind, value),) = ids.items()
        if error := device_error(kind, value) or mark_error(kind, value):
            raise serializers.ValidationError({kind: error})
        return {**attrs, "marked_by": (kind, value)}

    def save(self, **_: object) -> Any:
        """Mark the device; `validate` has looked for a mark that stands in the way."""
        kind, value = self.validated_data["marked_by"]
        row = TestDevice(name=self.validated_data["name"])
        mark_device(row, kind=kind, value=value, days=self.validated_data["days"])
        self.instance = row
        return row


class TestDeviceQuery(PageQuery):
    """Filters of test devices."""

    __test__ = False

    name = serializers.CharField(required=False)
    kind = serializers.ChoiceField(choices=ID_KINDS, required=False)


class TestDeviceViewSet(OrganizationViewSet, mixins.CreateModelMixin):
    """Devices of testers, which the fraud checks leave alone for some days."""

    __test__ = False

    model = TestDevice
    serializer_class = TestDeviceSerializer
    queries = {"list": TestDeviceQuery}
    rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "create": Right.SET_UP,
        "destroy": Right.SET_UP,
    }

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Remove a test device: the fraud checks apply to it again."""
        self.get_object().delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
