"""Events as they were received. The SDK posts to the same address."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, get_args, get_type_hints

from django.db.models import QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.csv_format import ColumnType
from apps_registry.models import App
from apps_registry.roles import RIGHT_TO, Right
from postbacks.api.base import ReportedViewSet
from postbacks.api.fields import IdFilter, MillisecondDateTimeField, PublicIdField, format_time
from postbacks.api.problems import Conflict
from postbacks.api.query import PageQuery, Query
from postbacks.api.sdk.events import SdkEventsView
from postbacks.callbacks.empty_macros import EmptyCause
from postbacks.insights.device_identifiers import newest_of_devices
from postbacks.insights.logs import TimeRange
from postbacks.intake.events.device_clock import CORRECTED_BY
from postbacks.intake.events.fields import IN_COLUMNS, EventFields
from postbacks.models import Event
from postbacks.rulebook.explain import explain
from postbacks.rulebook.postback_reasons import RuleDecision
from postbacks.values.identifiers import device_spellings

_BESIDE_COLUMNS = [name for name in EventFields.__struct_fields__ if name not in IN_COLUMNS]
_FIRST = (
    *("event_id", "app", "event_name", "event_time", CORRECTED_BY, "received_at", "source"),
    *("platform", "bundle_id", "customer_user_id", "revenue", "currency"),
)
COLUMNS = (
    *_FIRST,
    *(name for name in _BESIDE_COLUMNS if name not in {*_FIRST, "params"}),
    "params",
)

_TYPES = {Decimal: ColumnType.MONEY, bool: ColumnType.BOOLEAN}
# As the SDK API has them; times that stores write in several ways stay texts.
_HINTS = get_type_hints(EventFields)
COLUMN_TYPES = {
    **{
        name: next(
            (type_ for kind, type_ in _TYPES.items() if kind in get_args(_HINTS.get(name))),
            ColumnType.TEXT,
        )
        for name in COLUMNS
    },
    **dict.fromkeys(("event_time", "received_at"), ColumnType.TIME),
    **dict.fromkeys((CORRECTED_BY, "quantity", "att_status"), ColumnType.INTEGER),
}


class EventSerializer(serializers.BaseSerializer):
    """One event: every field of the SDK API, null where it wasn't sent."""

    def to_representation(self, instance: Event) -> dict[str, object]:
        """Return the row as one flat object."""
        fields = {**dict.fromkeys(_BESIDE_COLUMNS), **instance.fields}
        return {
            "event_id": str(instance.event_id),
            "app": str(instance.app.public_id),
            "event_name": instance.event_name,
            "event_time": format_time(instance.event_time),
            CORRECTED_BY: None,
            "received_at": format_time(instance.received_at),
            "source": instance.source,
            "platform": instance.platform or None,
            "bundle_id": instance.bundle_id or None,
            "customer_user_id": instance.customer_user_id or None,
            "revenue": None if instance.revenue is None else f"{instance.revenue:f}",
            "currency": instance.currency or None,
            **fields,
            # As text from the database on: as a number it would pass through a float.
            "price": instance.exact_price,  # type: ignore[attr-defined]  # see `get_queryset`
            "params": instance.params,
        }


_MOST_OF_INSTALL: Final = 10_000


class EventQuery(PageQuery):
    """Filters of events; `since` is included, `until` is not.

    A page of rare matches may be short: `Searched-Until` says how far it looked, “next” goes on.
    """

    app = IdFilter(App)
    event_id = serializers.UUIDField(required=False)
    event_name = serializers.CharField(required=False)
    customer_user_id = serializers.CharField(required=False)
    install_id = serializers.CharField(
        required=False,
        max_length=255,
        help_text="The ID that the app's SDK made, in any spelling. Of an install's events the "
        f"newest {_MOST_OF_INSTALL:,} of the time that is asked for.",
    )
    since = MillisecondDateTimeField(required=False, help_text="Received at this time or later.")
    until = MillisecondDateTimeField(required=False, help_text="Received before this time.")
    lookups = {"app": "app_id", "since": "received_at__gte", "until": "received_at__lt"}

    def narrow(self, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        install_id = self.validated_data.pop("install_id", "")
        if not install_id:
            return super().narrow(rows)
        devices = device_spellings(f"install_id:{install_id}")
        apps = list(App.objects.values_list("pk", flat=True))  # for the index of devices
        of_device = super().narrow(rows.filter(app_id__in=apps, device__in=devices))
        newest = newest_of_devices(of_device.order_by(), _MOST_OF_INSTALL)
        moments = dict(newest.values_list("pk", "received_at"))
        if not moments:
            return rows.none()
        days = (min(moments.values()), max(moments.values()))
        return rows.filter(pk__in=moments, received_at__range=days)

    @property
    def searched(self) -> "QuerySet[Any] | None":
        """Return the rows among which rare ones are searched; None where an index finds them."""
        asked = self.initial_data.keys()
        if asked & {"event_id", "customer_user_id", "install_id"} or not asked & {
            "app",
            "event_name",
        }:
            return None
        values = self.validated_data
        span = TimeRange(values.get("since"), values.get("until"))
        return span.within(Event.objects.all(), "received_at")


class EventAppQuery(Query):
    """The app of the event, where several have an event with this id."""

    app = IdFilter(App)


class ReasonSerializer(serializers.Serializer):
    """A reason for a rule's decision; `code` is stable, `detail` is for people."""

    code = serializers.CharField()
    detail = serializers.CharField()


class EmptyMacroSerializer(serializers.Serializer):
    """A macro that had no value in the request; `code` is stable, `detail` is for people."""

    macro = serializers.CharField()
    code = serializers.ChoiceField([cause.value for cause in EmptyCause])
    detail = serializers.CharField()


class ForeseenSerializer(serializers.Serializer):
    """What a rule would do with an event that came now."""

    decision = serializers.ChoiceField([decision.value for decision in RuleDecision])
    reasons = ReasonSerializer(many=True)


class ExplainedSerializer(serializers.Serializer):
    """What one rule decided about an event."""

    rule = PublicIdField(read_only=True)
    rule_name = serializers.CharField(source="rule.name")
    decision = serializers.ChoiceField([decision.value for decision in RuleDecision])
    reasons = ReasonSerializer(many=True)
    if_it_came_now = ForeseenSerializer(
        help_text="What the rule would do with it by its version, status and credit of today."
    )
    postback = PublicIdField(
        read_only=True, allow_null=True, help_text="The postback, if there is one."
    )
    empty_macros = EmptyMacroSerializer(
        many=True, help_text="The macros without a value in the postback's request, and why."
    )


class EventViewSet(ReportedViewSet):
    """Events that apps and servers reported."""

    model = Event
    serializer_class = EventSerializer
    queries = {"list": EventQuery, "retrieve": EventAppQuery, "explain": EventAppQuery}
    rights = {"list": Right.READ, "retrieve": Right.READ, "explain": RIGHT_TO["explain"]}
    time_key = "received_at"
    lookup_field = "event_id"
    lookup_url_kwarg = "event_id"

    report_view = SdkEventsView
    create = SdkEventsView.post

    @property
    def searched(self) -> "QuerySet[Any] | None":
        return self.query.searched if isinstance(self.query, EventQuery) else None

    def get_queryset(self) -> Any:
        # The apps in a query of their own: a join might keep PostgreSQL from reading days in order.
        rows = super().get_queryset().prefetch_related("app")
        return rows.annotate(exact_price=KeyTextTransform("price", "fields"))

    def csv_columns(self) -> Sequence[str]:
        return COLUMNS

    def column_types(self) -> Mapping[str, ColumnType]:
        return COLUMN_TYPES

    def csv_rows(self, rows: Sequence[Event]) -> Iterator[Mapping[str, object]]:
        """Return events by column, with the revenue as a number."""
        serializer = EventSerializer()
        for row in rows:
            yield {**serializer.to_representation(row), "revenue": row.revenue}

    @extend_schema(parameters=[EventAppQuery])
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer one event. An event id is unique per app: in two apps, `app` must say which."""
        return Response(self.get_serializer(self._event()).data)

    @extend_schema(parameters=[EventAppQuery], responses={200: ExplainedSerializer(many=True)})
    @action(detail=True, methods=["get"], pagination_class=None)
    def explain(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer for each rule what it decided about the event, and why.

        A rule that sent nothing is judged by its version, its status and the install's credit of
        that time; `changed_since` says if it would decide otherwise today.
        """
        return Response(ExplainedSerializer(explain(self._event()), many=True).data)

    def _event(self) -> Event:
        """Return the event of the address. Raises Http404 and Conflict."""
        parameters = self.query.validated_data
        rows = self.get_queryset().filter(event_id=self.kwargs["event_id"])
        if "app" in parameters:
            rows = rows.filter(app_id=parameters["app"])
        events: list[Event] = list(rows[:2])
        if not events:
            raise Http404
        if len(events) > 1:
            raise Conflict("Several apps have an event with this ID; name one with ?app=.")
        return events[0]
