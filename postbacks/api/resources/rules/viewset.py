"""Callback rules: saved, previewed, versioned, copied, archived; what a suspended one holds."""

from collections.abc import Sequence
from typing import Any, cast

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import App, Partner
from apps_registry.roles import RIGHT_TO, Right
from postbacks.api.base import RegistryViewSet
from postbacks.api.fields import IdFilter, MillisecondDateTimeField, PublicIdField, format_time
from postbacks.api.problems import Conflict
from postbacks.api.query import PageQuery, Query
from postbacks.api.resources.rules.previews import (
    PreviewAnswerSerializer,
    PreviewSerializer,
    TranslateSerializer,
    TranslationSerializer,
    preview_content,
    translation_content,
)
from postbacks.api.resources.rules.serializers import (
    OF_SOME_ANSWERS,
    RuleSerializer,
    answer_rule_errors,
)
from postbacks.api.resources.rules.trials import DryRunQuery, RuleTrialsViewSet
from postbacks.api.strict import StrictSerializer
from postbacks.models import CallbackRule, CallbackRuleVersion, JobAction, PostbackJob, RuleStatus
from postbacks.rulebook import held_postbacks
from postbacks.rulebook import versions as rule_versions
from postbacks.rulebook.breakers import breakers_of_rules
from postbacks.rulebook.held_postbacks import NotReleasableError

_NOT_DEFINED = {
    "id",
    "status",
    "version",
    "held",
    "breakers",
    *OF_SOME_ANSWERS,
    "created_at",
    "updated_at",
}


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
        for version, rule in zip(versions, rule_versions.rules_at(versions), strict=True)
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


class HeldActionSerializer(StrictSerializer):
    """What to do with everything that the rule holds."""

    action = serializers.ChoiceField(
        JobAction.choices,
        help_text="`send` queues them at the rule's pace; `drop` skips them (`held_dropped`).",
    )


class HeldJobSerializer(serializers.Serializer):
    """A job that sends or drops held postbacks in the background."""

    id = serializers.UUIDField(source="public_id")
    rule = serializers.UUIDField(source="rule.public_id")
    action = serializers.ChoiceField(JobAction.choices)
    status = serializers.SerializerMethodField(help_text="`running` or `finished`.")
    total = serializers.IntegerField(help_text="How many were held when the job was started.")
    done = serializers.IntegerField(help_text="How many were queued or dropped so far.")
    created_at = MillisecondDateTimeField()
    finished_at = MillisecondDateTimeField(allow_null=True)

    def get_status(self, job: PostbackJob) -> str:
        return "running" if job.finished_at is None else "finished"


class HeldSerializer(serializers.Serializer):
    """How many postbacks the rule holds, and the job that was started last."""

    held = serializers.IntegerField()
    job = HeldJobSerializer(allow_null=True)


class HeldViewSet(RegistryViewSet):
    """What a rule holds."""

    @extend_schema(responses={200: HeldSerializer})
    @action(detail=True)
    def held(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer how many postbacks a suspended rule held, and how far sending or dropping is."""
        rule: CallbackRule = self.get_object()
        job = held_postbacks.newest_job(rule)
        content = {"held": held_postbacks.held_count(rule), "job": job}
        return Response(HeldSerializer(content).data)

    @extend_schema(request=HeldActionSerializer, responses={202: HeldJobSerializer})
    @held.mapping.post
    def start_held(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Send or drop everything that the rule holds, in the background.

        A second call starts no second job; with the other action the running job changes to it.
        """
        rule: CallbackRule = self.get_object_in_use()
        serializer = HeldActionSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            job = held_postbacks.start_job(rule, JobAction(serializer.validated_data["action"]))
        except NotReleasableError as refusal:
            raise Conflict(str(refusal)) from None
        return Response(HeldJobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


class RuleQuery(PageQuery):
    """Filters of callback rules; without `status` the archived ones are left out."""

    name = serializers.CharField(required=False)
    app = IdFilter(App)
    partner = IdFilter(Partner)
    status = serializers.ChoiceField(RuleStatus.choices, required=False)
    lookups = {"app": "app_id", "partner": "partner_id"}

    def narrow(self, rows: Any) -> Any:
        if "status" not in self.validated_data:
            rows = rows.exclude(status=RuleStatus.ARCHIVED)
        return super().narrow(rows)


class RuleViewSet(RuleTrialsViewSet, HeldViewSet):
    """Rules that say which events send a postback, to which partner, with what content."""

    model = CallbackRule
    serializer_class = RuleSerializer
    queries = {
        "list": RuleQuery,
        "versions": PageQuery,
        "version": VersionQuery,
        "dry_run_state": DryRunQuery,
        "cancel_dry_run": DryRunQuery,
    }
    long_actions = frozenset({"preview", "translate"})
    rights = {
        **RegistryViewSet.rights,
        "preview": RIGHT_TO["preview"],
        "translate": Right.READ,
        "versions": RIGHT_TO["version"],
        "version": RIGHT_TO["version"],
        "restore": RIGHT_TO["restore"],
        "copy": Right.SET_UP,
        "test_send": RIGHT_TO["test_send"],
        "dry_run": RIGHT_TO["dry_run"],
        "dry_run_state": RIGHT_TO["dry_run"],
        "cancel_dry_run": RIGHT_TO["dry_run"],
        "held": Right.READ,
        "start_held": RIGHT_TO["start_held"],
    }

    def get_queryset(self) -> Any:
        rows = super().get_queryset().select_related("app", "partner", "failure")
        return rows.annotate(held=held_postbacks.held_count_of_rules())

    def skipped_by_archiving(self, row: Any) -> int:
        return held_postbacks.skipped_by_archiving([row])

    def read_related(self, rows: Sequence[Any]) -> None:
        breakers = breakers_of_rules(rows)
        for rule in rows:
            rule.open_breakers = breakers.get(rule.pk, [])

    def csv_columns(self) -> Sequence[str]:
        return [name for name in super().csv_columns() if name not in OF_SOME_ANSWERS]

    @extend_schema(request=PreviewSerializer, responses={200: PreviewAnswerSerializer})
    @action(detail=False, methods=["post"], serializer_class=PreviewSerializer)
    def preview(self, request: Request) -> Response:
        """Render a rule for an event; saves and sends nothing."""
        serializer = cast(PreviewSerializer, self.get_serializer(data=request.data))
        serializer.is_valid(raise_exception=True)
        content = preview_content(serializer.validated_data)
        notes = {"notes": list(serializer.url_notes)} if serializer.url_notes else {}
        return Response({**content, **notes})

    @extend_schema(request=TranslateSerializer, responses={200: TranslationSerializer})
    @action(detail=False, methods=["post"], serializer_class=TranslateSerializer)
    def translate(self, request: Request) -> Response:
        """Turn a callback URL made for another vendor into one of ours; saves nothing."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response(translation_content(**serializer.validated_data))

    @extend_schema(responses={200: VersionSerializer(many=True)})
    @action(detail=True, serializer_class=VersionSerializer)
    def versions(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer the versions of a rule, the newest first."""
        versions = self.get_object().versions.select_related("saved_by")
        page = self.paginate_queryset(versions)
        return self.get_paginated_response(version_rows(page or []))

    @extend_schema(responses={200: ComparedVersionSerializer})
    @action(detail=True, url_path="versions/<int:number>")
    def version(self, request: Request, number: int, *args: Any, **kwargs: Any) -> Response:
        """Answer one version, and the changes from another one to it."""
        version = self._version(number)
        other = self.query.validated_data.get("compare_to")
        if other is None:
            before = version.rule.versions.filter(number=number - 1).first()
        else:
            before = self._version(other)
        return Response(compare_versions(version, before))

    @extend_schema(request=None, responses={200: RuleSerializer})
    @action(detail=True, methods=["post"], url_path="versions/<int:number>/restore")
    def restore(self, request: Request, number: int, *args: Any, **kwargs: Any) -> Response:
        """Restore the definition of a version; that makes a new version."""
        self.get_object_in_use()
        version = self._version(number)
        try:
            with answer_rule_errors():
                rule = rule_versions.restore(version, by=self.caller.user)
        except rule_versions.NotRestorableError as error:
            raise Conflict(str(error)) from None
        return Response(self.get_serializer(self.get_queryset().get(pk=rule.pk)).data)

    @extend_schema(request=CopySerializer, responses={201: CopiesSerializer})
    @action(detail=True, methods=["post"])
    def copy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make a draft of the rule for each app."""
        rule = self.get_object_in_use()
        serializer = CopySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with answer_rule_errors():
            copies = rule_versions.copy_to(
                rule, serializer.validated_data["apps"], by=self.caller.user
            )
        rows = self.get_queryset().in_bulk([copy.pk for copy in copies])
        results = self.get_serializer([rows[copy.pk] for copy in copies], many=True).data
        return Response({"results": results}, status=status.HTTP_201_CREATED)

    def _version(self, number: int) -> CallbackRuleVersion:
        versions = self.get_object().versions.select_related("saved_by", "rule")
        version: CallbackRuleVersion = get_object_or_404(versions, number=number)
        return version
