"""Alerts, what they have found, and the notices that were sent of it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.http import Http404
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import App, Organization, Partner
from apps_registry.roles import RIGHT_TO, Right
from postbacks.alerts.kinds import KINDS, SCOPES
from postbacks.alerts.preview import preview_alert
from postbacks.alerts.saving import (
    TooManyAlertsError,
    check_alert,
    delete_alerts,
    save_alert,
    send_test,
)
from postbacks.alerts.wording import alert_sentence
from postbacks.api.base import OrganizationViewSet, RegistryViewSet
from postbacks.api.fields import BoundedListField, EmptyAsNullField, IdFilter, PublicIdField
from postbacks.api.problems import Conflict, NoWorker
from postbacks.api.query import PageQuery
from postbacks.api.strict import RowSerializer, StrictSerializer
from postbacks.api.throttling import TooFast
from postbacks.models import (
    Alert,
    AlertIncident,
    AlertKind,
    AlertNotice,
    AlertTopic,
    CallbackRule,
    NoticeChannel,
    NoticeStatus,
    WorkerHeartbeat,
)
from postbacks.models.alerts import MOST_EMAILS
from postbacks.rulebook.test_send import TooManyTestsError

_LIMITS = ("threshold", "minutes", "direction")
_CLOCK = ["%H:%M", "%H:%M:%S"]
_NO_WORKER = "No worker runs now, so nothing can be sent. Start one with `manage.py worker`."


class AlertSerializer(RowSerializer):
    """An alert. Which of app, partner, rule, threshold, minutes and direction count is the kind's.

    What isn't sent begins with the kind's default: `{"kind": "success_rate"}` is an alert.
    """

    kind = serializers.ChoiceField(AlertKind.choices, help_text="Stays as it is once made.")
    name = serializers.CharField(max_length=100, required=False)
    app = PublicIdField(App, required=False, allow_null=True)
    partner = PublicIdField(Partner, required=False, allow_null=True)
    rule = PublicIdField(CallbackRule, required=False, allow_null=True)
    threshold = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=1_000,
        help_text="Percent: of requests that succeed, of a jump, or of the way to a suspension.",
    )
    minutes = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=1440)
    emails = BoundedListField(
        child=serializers.EmailField(),
        required=False,
        most=MOST_EMAILS,
        help_text="Addresses of members, who get an e-mail.",
    )
    webhook_url = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=2_000,
        help_text="Gets each notice as a POST, signed with the organization's signing secrets. Who "
        "may not set up alerts sees its host alone.",
    )
    quiet_from = serializers.TimeField(
        required=False, allow_null=True, format="%H:%M", input_formats=_CLOCK
    )
    quiet_until = serializers.TimeField(
        required=False, allow_null=True, format="%H:%M", input_formats=_CLOCK
    )
    condition = serializers.SerializerMethodField(help_text="What the alert does, in words.")
    open_incidents = serializers.SerializerMethodField(help_text="How many are open now.")

    class Meta:
        model = Alert
        fields = (
            *("id", "name", "kind", *SCOPES, *_LIMITS, "emails", "webhook_url"),
            *("quiet_from", "quiet_until", "enabled", "condition", "open_incidents", "created_at"),
        )
        read_only_fields = ("created_at",)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the row; only who may set up alerts sees more of a callback URL than its host."""
        values: dict[str, Any] = super().to_representation(instance)
        if not self.context["view"].caller.allows(Right.SET_UP):
            values["webhook_url"] = instance.masked_webhook_url
        return values

    def get_condition(self, alert: Alert) -> str:
        return str(alert_sentence(alert))

    def get_open_incidents(self, alert: Alert) -> int:
        counts: Mapping[int, int] = self.context.get("open_incidents", {})
        return counts.get(alert.pk, 0)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Fill in the kind's defaults, and check the alert as the form does."""
        if self.instance is not None and attrs.get("kind", self.instance.kind) != (
            self.instance.kind
        ):
            raise serializers.ValidationError({"kind": "The kind stays; make another alert."})
        if self.instance is None:
            attrs = {**KINDS[AlertKind(attrs["kind"])].defaults, **attrs}
        alert = described(self.instance, attrs)
        try:
            check_alert(alert)
        except ValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        return attrs

    def write(self, row: Any) -> None:
        try:
            save_alert(row)
        except TooManyAlertsError as refusal:
            raise Conflict(str(refusal)) from None


def described(saved: Any, attrs: Mapping[str, Any]) -> Alert:
    """Return an alert with these values, which is not saved."""
    alert = Alert(organization_id=saved.organization_id) if saved else Alert()
    for name in (*Alert.audited,):
        setattr(alert, name, attrs.get(name, getattr(saved or alert, name)))
    return alert


@extend_schema_serializer(many=False)
class AlertPreviewSerializer(serializers.Serializer):
    """What an alert would do, and how often it would have been raised."""

    condition = serializers.CharField()
    days = serializers.IntegerField(help_text="How many days were looked at.")
    raised = serializers.IntegerField(
        allow_null=True, help_text="How often; null where nothing says so, see `remark`."
    )
    newest_at = serializers.DateTimeField(allow_null=True)
    remark = serializers.CharField(help_text="The same as a sentence.")


class AlertIncidentSerializer(RowSerializer):
    """The time from when an alert was raised for one subject until it was over."""

    subject = serializers.CharField(source="label", read_only=True)
    clear_reason = EmptyAsNullField(read_only=True, allow_null=True)

    class Meta:
        model = AlertIncident
        fields = (
            *("id", "subject", "level", "value", "detail", "raised_at", "seen_at", "cleared_at"),
            "clear_reason",
        )
        read_only_fields = fields


class AlertNoticeSerializer(RowSerializer):
    """A notice on one channel. Its id is the `webhook-id` of the callback."""

    incident = PublicIdField(read_only=True, allow_null=True)
    error = EmptyAsNullField(read_only=True, allow_null=True)

    class Meta:
        model = AlertNotice
        fields = (
            *("id", "incident", "topic", "channel", "status", "created_at", "due_at", "tries"),
            *("ended_at", "status_code", "error"),
        )
        read_only_fields = fields


@extend_schema_serializer(many=False)
class SentTestSerializer(StrictSerializer):
    """The notices of a test, which a worker sends."""

    notices = AlertNoticeSerializer(many=True)


class AlertQuery(PageQuery):
    """Filters of alerts."""

    kind = serializers.ChoiceField(AlertKind.choices, required=False)
    enabled = serializers.BooleanField(required=False)
    app = IdFilter(App)
    partner = IdFilter(Partner)
    rule = IdFilter(CallbackRule)
    lookups = {"app": "app_id", "partner": "partner_id", "rule": "rule_id"}


class AlertIncidentQuery(PageQuery):
    """Filters of an alert's incidents."""

    open = serializers.BooleanField(
        required=False,
        help_text="Only open ones, or only those that ended.",
    )

    def narrow(self, rows: Any) -> Any:
        """Return the rows that the filters leave."""
        is_open = self.validated_data.pop("open", None)
        rows = super().narrow(rows)
        return rows if is_open is None else rows.filter(cleared_at__isnull=is_open)


class AlertNoticeQuery(PageQuery):
    """Filters of an alert's notices."""

    topic = serializers.ChoiceField(AlertTopic.choices, required=False)
    channel = serializers.ChoiceField(NoticeChannel.choices, required=False)
    status = serializers.ChoiceField(NoticeStatus.choices, required=False)


class AlertViewSet(RegistryViewSet):
    """What is watched, and who is told when it changes."""

    model = Alert
    serializer_class = AlertSerializer
    queries = {"list": AlertQuery}
    long_actions = frozenset({"preview"})
    rights = {
        **RegistryViewSet.rights,
        "preview": Right.SET_UP,
        "test": RIGHT_TO["test_send"],
    }

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related(*SCOPES)

    def get_serializer_context(self) -> dict[str, Any]:
        context = super().get_serializer_context()
        still_open = AlertIncident.objects.filter(cleared_at=None).values_list(
            "alert_id", flat=True
        )
        counts: dict[int, int] = {}
        for alert_id in still_open:
            counts[alert_id] = counts.get(alert_id, 0) + 1
        return {**context, "open_incidents": counts}

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete an alert with its incidents and notices."""
        delete_alerts([self.get_object()])
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=AlertSerializer, responses={200: AlertPreviewSerializer})
    @action(detail=False, methods=["post"])
    def preview(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Say what an alert would do and how often it would have been raised; save nothing."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        alert = described(None, serializer.validated_data)
        organization = Organization.objects.get(pk=self.caller.organization_id)
        zone = ZoneInfo(organization.time_zone)
        past = preview_alert(alert, now=datetime.now(UTC), zone=zone)
        answer = {
            "condition": str(alert_sentence(alert)),
            "days": past.days,
            "raised": past.raised,
            "newest_at": past.newest,
            "remark": past.sentence,
        }
        return Response(AlertPreviewSerializer(answer).data)

    @extend_schema(request=None, responses={202: SentTestSerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Have a worker send a notice of the topic `alert.test` on each channel."""
        alert = self.get_object()
        if not WorkerHeartbeat.is_any_alive():
            raise NoWorker(_NO_WORKER)
        try:
            sent = send_test(alert)
        except TooManyTestsError as refusal:
            raise TooFast(refusal.what, refusal.wait) from None
        if not sent:
            raise Conflict("This alert tells nobody: it has neither e-mails nor a callback URL.")
        answer = SentTestSerializer({"notices": sent}).data
        return Response(answer, status=status.HTTP_202_ACCEPTED)


class _OfAlertViewSet(OrganizationViewSet):
    """Rows of the alert that the address names."""

    rights = {"list": Right.READ}
    can_be_exported = False

    def get_queryset(self) -> Any:
        alert = Alert.objects.filter(public_id=self.kwargs["id"]).only("public_id").first()
        if alert is None:
            raise Http404
        return super().get_queryset().filter(alert=alert)


class AlertIncidentViewSet(_OfAlertViewSet):
    """The incidents of an alert, newest first; those that ended are kept for 90 days."""

    model = AlertIncident
    serializer_class = AlertIncidentSerializer
    queries = {"list": AlertIncidentQuery}


class AlertNoticeViewSet(_OfAlertViewSet):
    """The notices of an alert, newest first, kept for 90 days."""

    model = AlertNotice
    serializer_class = AlertNoticeSerializer
    queries = {"list": AlertNoticeQuery}

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("incident")
