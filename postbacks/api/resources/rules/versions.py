"""Versions of a rule in the API: their definitions, and the changes between two."""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers

from apps_registry.models import App
from postbacks.api.fields import MillisecondDateTimeField, PublicIdField, format_time
from postbacks.api.query import Query
from postbacks.api.resources.rules.serializers import OF_ONE_SAVE, RuleSerializer
from postbacks.api.strict import StrictSerializer
from postbacks.models import CallbackRule, CallbackRuleVersion
from postbacks.rulebook import versions as rule_history

_NOT_DEFINED = {"id", "status", "version", "held", *OF_ONE_SAVE, "created_at", "updated_at"}


class DefinitionSerializer(RuleSerializer):
    """The definition of one version of a rule."""

    class Meta:
        model = CallbackRule
        fields = tuple(name for name in RuleSerializer.Meta.fields if name not in _NOT_DEFINED)


class ChangeSerializer(serializers.Serializer):
    """One field that changed."""

    field = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class VersionSerializer(serializers.Serializer):
    """One version of a rule; `definition` is null where it can't be read any more."""

    number = serializers.IntegerField()
    saved_by = serializers.CharField(
        allow_null=True, help_text="Who saved it; null for programs without a person."
    )
    created_at = MillisecondDateTimeField()
    tested_at = MillisecondDateTimeField(
        allow_null=True, help_text="When a test of what it sends last succeeded; null: never."
    )
    definition = DefinitionSerializer(allow_null=True)


class ComparedVersionSerializer(VersionSerializer):
    """One version, and what changed from another one to it."""

    compared_to = serializers.IntegerField(allow_null=True)
    changes = ChangeSerializer(many=True)


class VersionQuery(Query):
    """Parameters of one version."""

    compare_to = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="The number of another version; by default the previous one.",
    )


class CopySerializer(StrictSerializer):
    """The apps that get a copy of a rule."""

    apps = serializers.ListField(
        child=PublicIdField(App), min_length=1, max_length=100, help_text="IDs of apps."
    )


class CopiesSerializer(serializers.Serializer):
    """The copies, all drafts."""

    results = RuleSerializer(many=True)


def version_rows(versions: Sequence[CallbackRuleVersion]) -> list[dict[str, Any]]:
    """Return versions as the API answers them."""
    return [
        {
            "number": version.number,
            "saved_by": str(version.saved_by) if version.saved_by else None,
            "created_at": format_time(version.created_at),
            "tested_at": format_time(version.tested_at) if version.tested_at else None,
            "definition": None if rule is None else dict(DefinitionSerializer(rule).data),
        }
        for version, rule in zip(versions, rule_history.rules_at(versions), strict=True)
    ]


def compare_versions(
    version: CallbackRuleVersion, other: CallbackRuleVersion | None
) -> dict[str, Any]:
    """Return a version with what changed from another one to it."""
    if other is None:
        return {**version_rows([version])[0], "compared_to": None, "changes": []}
    before, after = version_rows([other, version])
    return {**after, "compared_to": other.number, "changes": _changes(before, after)}


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    old, new = before["definition"] or {}, after["definition"] or {}
    return [
        {"field": name, "before": old.get(name), "after": new.get(name)}
        for name in DefinitionSerializer.Meta.fields
        if old.get(name) != new.get(name)
    ]
