"""The fields that serializers share: ids, times, references to other rows."""

from datetime import UTC, datetime
from typing import Any

from django.db import models
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps_registry.tenancy import Lifecycle, TenantModel
from postbacks.values.uuid7 import uuid_or_none


class MillisecondDateTimeField(serializers.DateTimeField):
    """A time: ISO 8601, written in UTC with milliseconds and Z."""

    def to_representation(self, value: datetime) -> str:
        return format_time(value)


def format_time(moment: datetime) -> str:
    """Return a time as every answer writes it: 2026-05-04T10:00:00.000Z."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


@extend_schema_field(OpenApiTypes.UUID)
class PublicIdField(serializers.RelatedField):
    """A reference to another row by its public id.

    Rows of other organizations do not exist here, and nothing new may refer to archived ones.
    """

    default_error_messages = {"unknown": "There is no {what} with this ID."}

    def __init__(self, model: type[TenantModel] | None = None, **kwargs: object) -> None:
        if not kwargs.get("read_only"):
            kwargs["queryset"] = model.objects if model else None
        super().__init__(**kwargs)  # type: ignore[arg-type]  # REST framework's own arguments

    def to_internal_value(self, data: object) -> Any:
        rows: Any = self.get_queryset()
        row = rows.filter(public_id=uuid_or_none(str(data))).first()
        if row is None or row.status == Lifecycle.ARCHIVED:
            self.fail("unknown", what=rows.model._meta.verbose_name)
        return row

    def to_representation(self, value: Any) -> str:
        return str(value.public_id)


class EmptyAsNullField(serializers.CharField):
    """A text of the database, where empty means none."""

    def to_representation(self, value: str) -> str | None:  # type: ignore[override]  # null too
        return value or None


class IdFilter(serializers.UUIDField):
    """A filter by another row's public id; an unknown id matches nothing."""

    def __init__(self, model: type[TenantModel], **kwargs: object) -> None:
        self.rows: models.Manager[Any] = model.objects
        super().__init__(required=False, **kwargs)  # type: ignore[arg-type]  # as above

    def to_internal_value(self, data: object) -> int:  # type: ignore[override]  # our own id
        """Return the row's internal id, so that the filtered table needs no join."""
        public_id = super().to_internal_value(data)  # type: ignore[arg-type]  # it checks
        ids = self.rows.filter(public_id=public_id).values_list("pk", flat=True)
        return ids.first() or 0


class _Bounded:
    """Checks how many members there are before it checks any of them."""

    def __init__(self, *args: Any, most: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.most = most

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, list | dict) and len(data) > self.most:
            raise serializers.ValidationError(
                f"These are {len(data):,}; send at most {self.most:,}."
            )
        return super().to_internal_value(data)  # type: ignore[misc]  # of the field


class BoundedListField(_Bounded, serializers.ListField):
    """A list of at most `most` members."""


class BoundedDictField(_Bounded, serializers.DictField):
    """An object of at most `most` members."""
