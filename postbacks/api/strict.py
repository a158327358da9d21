"""Serializers that take nothing silently: what they do not know, they name."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import models
from rest_framework import serializers

from apps_registry.tenancy import TenantModel, current_organization
from postbacks.api.fields import MillisecondDateTimeField
from postbacks.callbacks.macros.problems import nearest

_SET_BY_US = "This field is set by Postbacks and can't be changed."


class StrictSerializer(serializers.Serializer):
    """Refuses unknown fields, and read-only ones unless they repeat what is."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the checked values, or raise with all faults at once."""
        faults = self._strange(data) if isinstance(data, Mapping) else {}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            detail = error.detail if isinstance(error.detail, dict) else {}
            raise serializers.ValidationError({**faults, **detail}) from None
        if faults:
            raise serializers.ValidationError(faults)
        return values

    def _strange(self, data: Mapping[str, object]) -> dict[str, list[str]]:
        faults: dict[str, list[str]] = {}
        for name, value in data.items():
            field = self.fields.get(name)
            if field is None:
                faults[name] = [self._unknown(name)]
            elif field.read_only and not self._repeats(name, value):
                faults[name] = [_SET_BY_US]
        return faults

    def _unknown(self, name: str) -> str:
        meant = nearest(name, self.fields)
        return f"There is no field “{name}”." + (f" Did you mean {meant}?" if meant else "")

    def _repeats(self, name: str, value: object) -> bool:
        """Tell whether a row that was read is being written back unchanged."""
        if not isinstance(self.instance, models.Model):
            return False
        return bool(self.to_representation(self.instance).get(name) == value)


class RowSerializer(StrictSerializer, serializers.ModelSerializer):
    """Shows and writes one row of the registry, by its public id."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.DateTimeField: MillisecondDateTimeField,
    }

    id = serializers.UUIDField(source="public_id", read_only=True)

    # The field of the request at which a broken constraint points.
    constraint_field = "name"

    def save(self, **_: object) -> Any:
        """Write the row, after the constraints were asked in words that people understand."""
        kind: type[TenantModel] = self.Meta.model
        row: Any = self.instance or kind()
        for name, value in self.validated_data.items():
            setattr(row, name, value)
        row.organization_id = current_organization()
        self._check_constraints(row)
        self.write(row)
        self.instance = row
        return row

    def write(self, row: Any) -> None:
        """Store the row; a subclass stores what belongs to it as well."""
        row.save()

    def _check_constraints(self, row: TenantModel) -> None:
        try:
            row.validate_constraints()
        except DjangoValidationError as error:
            raise serializers.ValidationError({self.constraint_field: error.messages}) from None
