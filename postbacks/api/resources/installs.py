"""Installs with their credit: the touchpoint that won, those that lost, and why."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db.models import F, Prefetch
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import App, Campaign, Partner, TrackingLink
from apps_registry.roles import RIGHT_TO, Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import IdFilter, MillisecondDateTimeField, PublicIdField
from postbacks.api.query import PageQuery
from postbacks.api.resources.search import StoryEntrySerializer, story_data
from postbacks.attribution import reasons
from postbacks.insights.device_story import story_of_install
from postbacks.insights.touchpoint_outcomes import json_objects
from postbacks.models import Attribution, Event, Install, InstallKind, InstallState, TouchpointKind
from postbacks.models.days import whole_days
from postbacks.values.attribution import ORGANIC
from postbacks.values.identifiers import install_id_spellings

_NESTED = ("attribution", "candidates", "rejections", "remarks")
TYPES = (*TouchpointKind.choices, (ORGANIC, "Organic"))


class CreditSerializer(serializers.Serializer):
    """The credit of an install; an organic one has no partner."""

    type = serializers.ChoiceField(TYPES, source="attribution_type")
    method = serializers.SerializerMethodField(help_text="How it was recognized.")
    partner = PublicIdField(read_only=True, allow_null=True)
    campaign = PublicIdField(read_only=True, allow_null=True)
    touchpoint = serializers.UUIDField(allow_null=True)
    touched_at = MillisecondDateTimeField(allow_null=True)
    window_seconds = serializers.SerializerMethodField(
        help_text="How old the touchpoint was allowed to be."
    )

    def get_method(self, install: Install) -> str | None:
        return install.method or None

    def get_window_seconds(self, install: Install) -> int | None:
        """Return the window that applied at the time of the decision."""
        decision = _decision(install)
        return decision.window_seconds if decision else None


class ConsideredSerializer(serializers.Serializer):
    """A touchpoint that was considered; names are those of the time of the decision."""

    touchpoint = serializers.CharField(allow_null=True)
    reason = serializers.CharField(help_text="`won`, or why it lost, for example `out_of_window`.")
    sentence = serializers.CharField(allow_null=True, help_text="The reason in words.")
    kind = serializers.CharField(allow_null=True)
    method = serializers.CharField(allow_null=True)
    partner_name = serializers.CharField(allow_null=True)
    campaign_name = serializers.CharField(allow_null=True)
    occurred_at = serializers.CharField(allow_null=True)
    measured = serializers.FloatField(
        allow_null=True,
        help_text="What missed the limit, for example seconds before the install; null where the "
        "reason is about no limit, or the decision is older than these figures.",
    )
    limit = serializers.FloatField(allow_null=True, help_text="The window or limit of that time.")
    unit = serializers.ChoiceField(
        [("seconds", "Seconds"), ("touchpoints", "Touchpoints within an hour")], allow_null=True
    )


class RemarkSerializer(serializers.Serializer):
    """Something odd about the credit, which decided nothing."""

    code = serializers.CharField(help_text="For example `short_time_to_install`.")
    sentence = serializers.CharField()


class InstallListSerializer(serializers.ListSerializer):
    """Finds the events of all rows of a page at once."""

    child: "InstallSerializer"

    def to_representation(self, data: Any) -> list[Any]:
        self.child.event_ids = _event_ids(data)
        rows: list[Any] = super().to_representation(data)
        return rows


class InstallSerializer(serializers.ModelSerializer):
    """An install with its credit."""

    event_ids: Mapping[int, str] | None = None  # of a whole page, by the install's primary key

    id = serializers.UUIDField(source="public_id")
    event_id = serializers.SerializerMethodField(
        help_text="The event that was this install; null where it is not kept any more."
    )
    app = PublicIdField(read_only=True)
    install_id = serializers.SerializerMethodField(help_text="The ID that the app's SDK made.")
    kind = serializers.ChoiceField(InstallKind.choices)
    state = serializers.ChoiceField(
        InstallState.choices, help_text="A provisional credit can still change."
    )
    platform = serializers.SerializerMethodField(help_text="Null where it is unknown.")
    installed_at = MillisecondDateTimeField()
    received_at = MillisecondDateTimeField(source="event_received_at")
    attribution_version = serializers.IntegerField()
    attribution = CreditSerializer(source="*")
    candidates = serializers.SerializerMethodField()
    rejections = serializers.SerializerMethodField()
    remarks = serializers.SerializerMethodField()

    class Meta:
        model = Install
        list_serializer_class = InstallListSerializer
        fields = (
            *("id", "app", "install_id", "event_id", "kind", "state", "platform"),
            *("installed_at", "received_at"),
            *("attribution_version", "attribution", "candidates", "rejections", "remarks"),
        )
        read_only_fields = fields

    def get_event_id(self, install: Install) -> str | None:
        event_ids = _event_ids([install]) if self.event_ids is None else self.event_ids
        return event_ids.get(install.pk)

    def get_install_id(self, install: Install) -> str | None:
        """Return the id; null where the SDK made none, or it was erased."""
        return install.install_id or None

    def get_platform(self, install: Install) -> str | None:
        return install.platform or None

    @extend_schema_field(ConsideredSerializer(many=True))
    def get_candidates(self, install: Install) -> list[dict[str, object]]:
        """Return every touchpoint that was considered, with why it won or lost."""
        decision = _decision(install)
        return list(_considered(decision.candidates)) if decision else []

    @extend_schema_field(ConsideredSerializer(many=True))
    def get_rejections(self, install: Install) -> list[dict[str, object]]:
        """Return the touchpoints that were rejected as fraud."""
        decision = _decision(install)
        return list(_considered(decision.rejections)) if decision else []

    @extend_schema_field(RemarkSerializer(many=True))
    def get_remarks(self, install: Install) -> list[dict[str, str]]:
        decision = _decision(install)
        codes: Sequence[str] = decision.remarks if decision else ()
        return [{"code": code, "sentence": reasons.of_remark(code)} for code in codes]


class InstallCsvSerializer(InstallSerializer):
    """An install as one row of CSV: its credit in columns of its own, with names.

    In place of the touchpoints that were considered it has their number.
    """

    columns = (
        *(name for name in InstallSerializer.Meta.fields if name not in _NESTED),
        *(f"attribution_{name}" for name in CreditSerializer().fields),
        *("attribution_partner_name", "attribution_campaign_name"),
        *("candidates", "rejections", "remarks"),
    )

    def to_representation(self, instance: Install) -> dict[str, Any]:
        install = super().to_representation(instance)
        credit = {
            **install["attribution"],
            "partner_name": instance.partner.name if instance.partner else None,
            "campaign_name": instance.campaign.name if instance.campaign else None,
        }
        row = {**install, **{f"attribution_{name}": value for name, value in credit.items()}}
        row |= {name: len(install[name]) for name in ("candidates", "rejections")}
        row["remarks"] = " ".join(remark["code"] for remark in install["remarks"])
        return {name: row[name] for name in self.columns}


class InstallQuery(PageQuery):
    """Filters of installs; `since` and `until` are about when the install was received."""

    app = IdFilter(App)
    install_id = serializers.CharField(required=False, max_length=255)
    partner = IdFilter(Partner)
    campaign = IdFilter(Campaign)
    link = IdFilter(TrackingLink)
    type = serializers.ChoiceField(TYPES, required=False)
    kind = serializers.ChoiceField(InstallKind.choices, required=False)
    state = serializers.ChoiceField(InstallState.choices, required=False)
    since = MillisecondDateTimeField(required=False, help_text="Received at this time or later.")
    until = MillisecondDateTimeField(required=False, help_text="Received before this time.")
    lookups = {
        "app": "app_id",
        "partner": "partner_id",
        "campaign": "campaign_id",
        "link": "link_id",
        "type": "attribution_type",
        "install_id": "install_id__in",
        "since": "event_received_at__gte",
        "until": "event_received_at__lt",
    }

    def validate_install_id(self, install_id: str) -> list[str]:
        """Return the id in every spelling that rows may have of it."""
        return install_id_spellings(install_id)


class InstallViewSet(OrganizationViewSet):
    """Installs of apps, with the partner and campaign that earned them."""

    model = Install
    serializer_class = InstallSerializer
    queries = {"list": InstallQuery}
    rights = {"list": Right.READ, "retrieve": Right.READ, "explain": RIGHT_TO["explain"]}
    time_key = "event_received_at"

    def get_queryset(self) -> Any:
        current = Attribution.objects.filter(version=F("install__attribution_version"))
        rows = super().get_queryset().prefetch_related("app", "partner", "campaign")
        return rows.prefetch_related(Prefetch("attributions", queryset=current))

    @extend_schema(responses={200: StoryEntrySerializer(many=True)})
    @action(detail=True, methods=["get"], pagination_class=None)
    def explain(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer what led to the install and what it led to, until the device's next, in order."""
        story = story_of_install(self.get_object())
        return Response(story_data(story))

    def csv_columns(self) -> Sequence[str]:
        return InstallCsvSerializer.columns

    def csv_serializer(self, rows: Any = None) -> Any:
        return InstallCsvSerializer(rows, many=rows is not None)


def _decision(install: Install) -> Attribution | None:
    """Return the current decision; None for installs from before decisions were stored."""
    return next(iter(install.attributions.all()), None)


def _event_ids(installs: Sequence[Install]) -> dict[int, str]:
    """Return the IDs of the events that installs were, by the installs' primary keys."""
    if not installs:
        return {}
    events = Event.objects.filter(
        pk__in=[install.event_ref for install in installs],
        received_at__range=whole_days(install.event_received_at for install in installs),
    )
    by_ref = dict(events.values_list("pk", "event_id"))
    return {
        install.pk: str(by_ref[install.event_ref])
        for install in installs
        if install.event_ref in by_ref
    }


def _considered(stored: object) -> Iterator[dict[str, object]]:
    """Yield touchpoints as they were stored; erased values are null."""
    for row in json_objects(stored):
        yield {
            "touchpoint": _text(row, "touchpoint"),
            "reason": _text(row, "reason") or "",
            "sentence": _text(row, "sentence"),
            "kind": _text(row, "kind"),
            "method": _text(row, "method"),
            "partner_name": _text(row, "partner"),
            "campaign_name": _text(row, "campaign"),
            "occurred_at": _text(row, "occurred_at"),
            "measured": _number(row, "measured"),
            "limit": _number(row, "limit"),
            "unit": _text(row, "unit"),
        }


def _text(row: Mapping[str, Any], name: str) -> str | None:
    value = row.get(name)
    return value if isinstance(value, str) and value else None


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else None
