"""Test devices: marked by one of their ids for some days, listed, removed."""

from typing import Any

from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.roles import Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.query import PageQuery
from postbacks.api.strict import RowSerializer
from postbacks.models import TestDevice
from postbacks.models.test_devices import FEWEST_DAYS, MOST_DAYS
from postbacks.privacy.device_marks import days_error, device_error, mark_device, mark_error
from postbacks.privacy.tombstones import ID_KINDS


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
