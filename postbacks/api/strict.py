"""Reads requests strictly: unknown members are refused by name, never ignored."""

import json
import re
from collections.abc import Mapping
from decimal import MAX_EMAX, Decimal, InvalidOperation
from typing import Any, ClassVar

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import models
from rest_framework import exceptions, serializers
from rest_framework.parsers import JSONParser
from rest_framework.request import Request

from apps_registry.crypto import keys
from apps_registry.tenancy import TenantModel, current_organization
from postbacks.api.fields import MillisecondDateTimeField
from postbacks.callbacks.macros.problems import nearest
from postbacks.intake.events.body import inflate
from postbacks.intake.events.lenient_json import misplaced_mark, stands_twice
from postbacks.values.refusals import quote

_SET_BY_US = "This field is set by Postbacks and can't be changed."
_MOST_DIGITS = 4_300  # of a whole number; Python converts no more
_MOST_UNKNOWN = 100  # named in one refusal: each is compared with all names for what was meant
_MOST_CHOICES = 60  # named in a refusal
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # serializers check values, nobody checks keys


class StrictJsonParser(JSONParser):
    """Accepts JSON, also gzipped, in which every key occurs once; decimals keep all digits."""

    def parse(
        self,
        stream: object,
        media_type: str | None = None,
        parser_context: Mapping[str, object] | None = None,
    ) -> dict[str, object]:
        """Return the body's data. Raises ParseError (400), or BodyError (400, 413 or 415)."""
        try:
            text = inflated_body((parser_context or {})["request"]).decode("utf-8-sig")  # type: ignore[arg-type]  # REST framework's
            if mark := misplaced_mark(text, 0):
                raise exceptions.ParseError(mark)
            return json.loads(  # type: ignore[no-any-return]  # serializers look closer
                text,
                parse_float=_decimal,
                parse_int=_integer,
                parse_constant=_refuse_constant,
                object_pairs_hook=_unique_keys,
            )
        except UnicodeDecodeError:
            raise exceptions.ParseError("The body is not valid UTF-8.") from None
        except RecursionError:
            raise exceptions.ParseError("The JSON is nested too deeply.") from None
        except json.JSONDecodeError as error:
            reason = misplaced_mark(text, error.pos) or f"The body is not valid JSON: {error}"
            raise exceptions.ParseError(reason) from None
        except ValueError as error:
            raise exceptions.ParseError(f"The body is not valid JSON: {error}") from None


def inflated_body(request: Request) -> bytes:
    """Return a request's body decompressed. Raises BodyError (400, 413 or 415)."""
    return inflate(request._request.body, request.META.get("HTTP_CONTENT_ENCODING", ""))


def _naming_choices(field: object, errors: Any) -> Any:
    """Return a field's errors; where none of its choices was sent, with the choices."""
    if isinstance(field, serializers.ListField) and isinstance(errors, dict):
        return {index: _naming_choices(field.child, each) for index, each in errors.items()}
    if not isinstance(field, serializers.ChoiceField) or not isinstance(errors, list):
        return errors
    choices = ", ".join(str(choice) for choice in list(field.choices)[:_MOST_CHOICES])
    more = ", …" if len(field.choices) > _MOST_CHOICES else ""
    return [
        f"{str(error).removesuffix('.')}; send one of {choices}{more}."
        if getattr(error, "code", "") == "invalid_choice" and choices not in error
        else error
        for error in errors
    ]


class StrictSerializer(serializers.Serializer):
    """Refuses unknown fields, and read-only ones unless they repeat the stored value."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the checked values, or raise with all errors at once."""
        refused = self._refused_fields(data) if isinstance(data, Mapping) else {}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            detail = error.detail if isinstance(error.detail, dict) else {}
            detail = {name: _naming_choices(self.fields.get(name), e) for name, e in detail.items()}
            raise serializers.ValidationError({**refused, **detail}) from None
        if refused:
            raise serializers.ValidationError(refused)
        return values

    def _refused_fields(self, data: Mapping[str, object]) -> dict[str, list[str]]:
        unknown = [name for name in data if name not in self.fields]
        refused = {name: [self._unknown(name)] for name in unknown[:_MOST_UNKNOWN]}
        for name, value in data.items():
            field = self.fields.get(name)
            if field is not None and field.read_only and not self._repeats(name, value):
                refused[name] = [_SET_BY_US]
        return refused

    def _unknown(self, name: str) -> str:
        meant = nearest(name, self.fields)
        return f"There is no field “{name}”." + (f" Did you mean {meant}?" if meant else "")

    def _repeats(self, name: str, value: object) -> bool:
        """Tell whether a row that was read is being written back unchanged."""
        if not isinstance(self.instance, models.Model):
            return False
        return bool(self.to_representation(self.instance).get(name) == value)


class RowSerializer(StrictSerializer, serializers.ModelSerializer):
    """Reads and writes one row of the registry, by its public id."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.DateTimeField: MillisecondDateTimeField,
    }

    id = serializers.UUIDField(source="public_id", read_only=True)

    # The field of the request at which a broken constraint points.
    constraint_field = "name"

    def save(self, **_: object) -> Any:
        """Check the constraints, whose names are sentences for people, then write the row."""
        model: type[TenantModel] = self.Meta.model
        row: Any = self.instance or model()
        for name, value in self.validated_data.items():
            setattr(row, name, value)
        row.organization_id = current_organization()
        self._check_constraints(row)
        self.write(row)
        self.instance = row
        return row

    def write(self, row: Any) -> None:
        """Store the row; a subclass stores its dependents as well."""
        row.save()

    def _check_constraints(self, row: TenantModel) -> None:
        try:
            row.validate_constraints()
        except DjangoValidationError as error:
            raise serializers.ValidationError({self.constraint_field: error.messages}) from None


class KeySerializer(RowSerializer):
    """A key or token, stored as a hash; only the answer to its creation has the `secret`."""

    kind_of_key: ClassVar[str]
    secret: str

    def write(self, row: Any) -> None:
        key = keys.make_key(self.kind_of_key)
        row.prefix, row.hash = key.prefix, key.hash
        row.save()
        self.secret = key.secret


def _refuse_constant(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise exceptions.ParseError(
            f"The number {quote(text)} has an exponent that nothing can hold; it may be from "
            f"-{MAX_EMAX} to {MAX_EMAX}."
        ) from None


def _integer(text: str) -> int:
    digits = len(text.removeprefix("-"))
    if digits > _MOST_DIGITS:
        raise exceptions.ParseError(
            f"The number {quote(text)} has {digits:,} digits; a whole number may have at most "
            f"{_MOST_DIGITS:,} digits."
        )
    return int(text)


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if _UNSTORABLE.search("".join(members)):
        raise ValueError("a key holds a character that is no text")
    if len(members) != len(pairs):
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                raise exceptions.ParseError(stands_twice(name))
            names.add(name)
    return members
