"""Discrepancies: a partner's list of conversions beside what was sent to it."""

import base64
import binascii
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import Partner
from apps_registry.roles import RIGHT_TO, Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import (
    EmptyAsNullField,
    IdFilter,
    MillisecondDateTimeField,
    PublicIdField,
)
from postbacks.api.problems import Conflict, InvalidRequest
from postbacks.api.query import PageQuery
from postbacks.api.strict import StrictSerializer
from postbacks.models import Discrepancy, DiscrepancyLine, DiscrepancyOutcome, JobStatus
from postbacks.rulebook import discrepancies
from postbacks.rulebook.converted_money import MoneyConverter, organization_currency
from postbacks.rulebook.discrepancies import ComparisonRequest, DiscrepancyRefusedError
from postbacks.values.partner_lists import UnreadableListError, decode


class DiscrepancyRequestSerializer(StrictSerializer):
    """A partner's list, as `text`, `file` or `ids`, and what of ours it is compared with."""

    partner = PublicIdField(Partner)
    text = serializers.CharField(
        required=False,
        trim_whitespace=False,
        help_text="Click, transaction, event or postback IDs, one a line; or CSV with dates and "
        "amounts, with or without a header.",
    )
    file = serializers.CharField(
        required=False, help_text="A CSV file as it is, in Base64: of Excel, too, in UTF-8 or -16."
    )
    ids = serializers.ListField(child=serializers.CharField(max_length=1_024), required=False)
    event_name = serializers.CharField(
        required=False, default="", max_length=64, help_text="Only these events of ours."
    )
    since = MillisecondDateTimeField(
        required=False, help_text="What was sent from then on should be in the list."
    )
    until = MillisecondDateTimeField(
        required=False, help_text="Likewise, to then. Default of both: the dates of the list."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs.keys() & {"text", "file", "ids"}) != 1:
            raise serializers.ValidationError(
                {"text": "Send the list once: as “text”, as “file” or as “ids”."}
            )
        since, until = attrs.get("since"), attrs.get("until")
        if since and until and since >= until:
            raise serializers.ValidationError({"until": "This is not after “since”."})
        return attrs

    @property
    def list_text(self) -> str:
        """The list as text. Raises UnreadableListError."""
        values = self.validated_data
        if "ids" in values:
            return "\n".join(f'"{id_.replace(chr(34), chr(34) * 2)}"' for id_ in values["ids"])
        if "file" not in values:
            return str(values["text"])
        try:
            return decode(base64.b64decode(values["file"], validate=True))
        except binascii.Error:
            raise UnreadableListError("“file” is no Base64.") from None


class DiscrepancySerializer(serializers.ModelSerializer):
    """A comparison and how far it is: its totals, and its money by currency."""

    id = serializers.UUIDField(source="public_id")
    partner = PublicIdField(read_only=True)
    percent = serializers.IntegerField()
    id_kind = EmptyAsNullField(
        allow_null=True, help_text="What the IDs are: `transaction`, `click`, `event`, `postback`."
    )
    readings = serializers.ListField(
        child=serializers.CharField(), help_text="Which column was read as what."
    )
    remarks = serializers.ListField(child=serializers.CharField())
    counts = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="Lines by outcome: `sent`, `failed`, `waiting`, `not_owed`, `unknown`, and "
        "`missing`, which was sent and is not in the list.",
    )
    their_money = serializers.DictField(child=serializers.CharField())
    our_money = serializers.DictField(
        child=serializers.DictField(child=serializers.CharField()),
        help_text="The revenue of our events, by outcome and currency.",
    )
    currency = serializers.SerializerMethodField(help_text="The organization's, of the totals.")
    their_total = serializers.SerializerMethodField(
        help_text="All of `their_money` in that currency, by the rates of the day when the "
        "comparison began; null without a rate for all of it."
    )
    our_totals = serializers.SerializerMethodField(help_text="Likewise, by outcome.")
    failure = serializers.CharField(help_text="Why it failed, empty if it did not.")
    without_id = serializers.IntegerField(
        help_text="Sent postbacks that carry no such ID, so that the list can't name them."
    )
    since = MillisecondDateTimeField(allow_null=True)
    until = MillisecondDateTimeField(allow_null=True)
    created_at = MillisecondDateTimeField()
    finished_at = MillisecondDateTimeField(allow_null=True)
    expires_at = MillisecondDateTimeField()

    class Meta:
        model = Discrepancy
        fields = (
            *("id", "partner", "event_name", "status", "total", "done", "percent", "id_kind"),
            *("readings", "remarks", "counts", "differing_amounts", "their_money", "our_money"),
            *(
                "currency",
                "their_total",
                "our_totals",
                "without_id",
                "failure",
                "since",
                "until",
                "asked_by",
                "created_at",
                "finished_at",
            ),
            "expires_at",
        )
        read_only_fields = fields

    @cached_property
    def _currency(self) -> str:
        return organization_currency()

    def get_currency(self, row: Discrepancy) -> str:
        return self._currency

    def get_their_total(self, row: Discrepancy) -> str | None:
        return self._total(row, row.their_money)

    @extend_schema_field(serializers.DictField(child=serializers.CharField(allow_null=True)))
    def get_our_totals(self, row: Discrepancy) -> dict[str, str | None]:
        return {outcome: self._total(row, money) for outcome, money in row.our_money.items()}

    def _total(self, row: Discrepancy, money: Mapping[str, str]) -> str | None:
        total = MoneyConverter.of(row, self._currency).total(money)
        return None if total is None else f"{total:f}"


class DiscrepancyLineSerializer(serializers.ModelSerializer):
    """A line of the partner beside ours; `line` is null for what they lack."""

    line = serializers.SerializerMethodField()
    id = serializers.CharField(source="partner_id_text")
    at = MillisecondDateTimeField(allow_null=True)
    reason = EmptyAsNullField(allow_null=True)
    detail = EmptyAsNullField(allow_null=True)
    event_id = serializers.UUIDField(source="sdk_event_id", allow_null=True)
    postback_id = serializers.UUIDField(source="postback_public_id", allow_null=True)
    sent_at = MillisecondDateTimeField(allow_null=True)
    amount = serializers.SerializerMethodField()
    our_amount = serializers.SerializerMethodField()
    amounts_differ = serializers.BooleanField(source="differs")

    class Meta:
        model = DiscrepancyLine
        fields = (
            *("line", "id", "outcome", "reason", "detail", "at", "amount", "currency"),
            *("event_name", "event_id", "postback_id", "sent_at", "status_code"),
            *("our_amount", "our_currency", "amounts_differ"),
        )
        read_only_fields = fields

    def get_line(self, line: DiscrepancyLine) -> int | None:
        return line.number or None

    def get_amount(self, line: DiscrepancyLine) -> str | None:
        return None if line.amount is None else f"{line.amount.normalize():f}"

    def get_our_amount(self, line: DiscrepancyLine) -> str | None:
        return None if line.our_amount is None else f"{line.our_amount.normalize():f}"


class DiscrepancyQuery(PageQuery):
    """Filters of comparisons."""

    partner = IdFilter(Partner)
    status = serializers.ChoiceField(JobStatus.choices, required=False)
    lookups = {"partner": "partner_id"}


class DiscrepancyLineQuery(PageQuery):
    """Filters of a comparison's lines."""

    outcome = serializers.ChoiceField(DiscrepancyOutcome.choices, required=False)


class DiscrepancyViewSet(OrganizationViewSet):
    """Comparisons of partners' lists with what was sent, kept for seven days."""

    model = Discrepancy
    serializer_class = DiscrepancySerializer
    queries = {"list": DiscrepancyQuery}
    long_actions = frozenset({"create"})
    rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "create": RIGHT_TO["compare_list"],
        "cancel": RIGHT_TO["compare_list"],
        "destroy": RIGHT_TO["compare_list"],
    }

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("partner").defer("text")

    @extend_schema(request=DiscrepancyRequestSerializer, responses={202: DiscrepancySerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Compare a partner's list with what was sent to it, in the background."""
        serializer = DiscrepancyRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        source = next(name for name in ("file", "ids", "text") if name in values)
        try:
            wanted = ComparisonRequest(
                partner=values["partner"],
                text=serializer.list_text,
                event_name=values["event_name"],
                since=values.get("since"),
                until=values.get("until"),
            )
            started = discrepancies.start(wanted)
        except UnreadableListError as refusal:
            raise InvalidRequest([{"pointer": f"/{source}", "detail": str(refusal)}]) from None
        except DiscrepancyRefusedError as refusal:
            raise Conflict(str(refusal)) from None
        return Response(self.get_serializer(started).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: DiscrepancySerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Stop a comparison; the lines that were compared stay."""
        if not discrepancies.cancel(self.get_object()):
            raise Conflict("The comparison has ended already; there is nothing to cancel.")
        stopped = self.get_serializer(self.get_object()).data
        return Response(stopped, status=status.HTTP_202_ACCEPTED)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete a comparison with its lines."""
        discrepancies.delete(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


class DiscrepancyLineViewSet(OrganizationViewSet):
    """The lines of a comparison: what they lack first, then the list in its order."""

    model = DiscrepancyLine
    serializer_class = DiscrepancyLineSerializer
    queries = {"list": DiscrepancyLineQuery}
    rights = {"list": Right.READ}
    can_be_exported = False

    def get_queryset(self) -> Any:
        discrepancy = (
            Discrepancy.objects.filter(public_id=self.kwargs["id"]).only("public_id").first()
        )
        if discrepancy is None:
            raise Http404
        return super().get_queryset().filter(discrepancy=discrepancy)
