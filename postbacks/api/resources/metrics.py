"""Figures over time: what the Overview shows, for programs."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry import csv_format
from apps_registry.csv_format import FileFormat
from apps_registry.models import App, Campaign, Organization, Partner
from apps_registry.roles import Right
from apps_registry.tenancy import TenantModel
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import IdFilter, MillisecondDateTimeField, format_time
from postbacks.api.list_files import record_export
from postbacks.api.query import InvalidParameters, Query
from postbacks.callbacks.currency.conversion import USD
from postbacks.insights.figure_changes import MINUTES_KEPT, QUARTERS_KEPT
from postbacks.insights.figure_parts import EARLIEST, Subject
from postbacks.insights.figures import (
    FigureFilter,
    FigurePeriod,
    Figures,
    TooManyFiguresError,
    period,
    read_figures,
    revenues,
    sum_up,
)
from postbacks.insights.revenue import Revenue
from postbacks.models import CallbackRule
from postbacks.values.currencies import minor_digits

MOST_STEPS: Final = 1_500
MOST_ROWS: Final = 10_000
_DEFAULT_PERIOD = timedelta(hours=24)
_MARGIN = timedelta(hours=2)  # until which spans are certainly kept
_INTERVALS: Mapping[str, timedelta] = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
_MODELS: Mapping[Subject, type[TenantModel]] = {
    Subject.APP: App,
    Subject.PARTNER: Partner,
    Subject.CAMPAIGN: Campaign,
    Subject.RULE: CallbackRule,
}


class FiguresSerializer(serializers.Serializer):
    """What was counted. `docs/figures.md` says what each figure counts, and by which time."""

    events = serializers.IntegerField()
    wanted = serializers.IntegerField(help_text="Postbacks that rules made: skipped and owed.")
    skipped = serializers.DictField(
        child=serializers.IntegerField(), help_text="Postbacks that are not sent, by reason."
    )
    owed = serializers.IntegerField(help_text="Delivered, failed, retrying and pending.")
    delivered = serializers.IntegerField()
    retrying = serializers.IntegerField(help_text="Pending after a failed attempt.")
    pending = serializers.IntegerField(help_text="Not tried yet.")
    failed = serializers.IntegerField(help_text="Given up.")
    success_percent = serializers.FloatField(
        allow_null=True, help_text="The share of ended ones that were delivered."
    )
    attempts = serializers.IntegerField()
    codes = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="Attempts by the status code of the answer, or by the error without one.",
    )
    p50_ms = serializers.IntegerField(
        allow_null=True, help_text="From the event's arrival to its delivery, right to 5 %."
    )
    p95_ms = serializers.IntegerField(allow_null=True)
    p99_ms = serializers.IntegerField(allow_null=True)
    revenue = serializers.DictField(
        child=serializers.CharField(),
        help_text="By the currency that it came in; an empty name where an event had none.",
    )
    revenue_usd = serializers.CharField(
        help_text="What of it has an exchange rate, by the rates of its days."
    )
    revenue_converted = serializers.CharField(
        help_text="The same in the organization's currency, `currency`."
    )
    installs = serializers.IntegerField()
    attributed_installs = serializers.IntegerField()


class MetricsRowSerializer(FiguresSerializer):
    """The figures of one step and one subject."""

    at = serializers.CharField(
        allow_null=True, help_text="When the step begins; null without `interval`."
    )
    app = serializers.UUIDField(required=False, allow_null=True)
    partner = serializers.UUIDField(required=False, allow_null=True)
    campaign = serializers.UUIDField(required=False, allow_null=True)
    rule = serializers.UUIDField(required=False, allow_null=True)
    event_name = serializers.CharField(required=False, allow_null=True)
    name = serializers.CharField(
        required=False, allow_null=True, help_text="Of what the row is grouped by; null: of none."
    )


@extend_schema_serializer(many=False)
class MetricsSerializer(serializers.Serializer):
    """Figures of a period."""

    since = serializers.CharField(help_text="The beginning, at the whole minute, or span kept.")
    until = serializers.CharField()
    interval = serializers.ChoiceField([(name, name) for name in _INTERVALS], allow_null=True)
    time_zone = serializers.CharField(help_text="The organization's, in which days begin.")
    currency = serializers.CharField(help_text="The organization's, of `revenue_converted`.")
    total = FiguresSerializer()
    results = MetricsRowSerializer(many=True)


class MetricsQuery(Query):
    """The period, what it is cut into, and whose figures it has."""

    since = MillisecondDateTimeField(
        required=False, help_text="Its beginning; 24 hours before `until` unless given."
    )
    until = MillisecondDateTimeField(required=False, help_text="Its end; now unless given.")
    interval = serializers.ChoiceField(
        [(name, name) for name in _INTERVALS],
        required=False,
        help_text="A row for each. Minutes are kept 3 days, hours 100 days, days for good.",
    )
    app = IdFilter(App)
    partner = IdFilter(
        Partner, help_text="Postbacks of its rules; events, revenue and installs credited to it."
    )
    campaign = IdFilter(Campaign, help_text="Of devices that are credited to it.")
    rule = IdFilter(
        CallbackRule, help_text="Its postbacks. Events, revenue and installs are of all rules."
    )
    group_by = serializers.ChoiceField(
        [(subject.value, subject.value) for subject in Subject],
        required=False,
        help_text="A row for each. What belongs to none, as events to no rule, has null.",
    )


class MetricsViewSet(OrganizationViewSet):
    """Figures of events, postbacks, attempts, revenue and installs."""

    pagination_class = None  # type: ignore[assignment]  # the answer is one page
    serializer_class = MetricsSerializer
    queries = {"list": MetricsQuery}
    rights = {"list": Right.READ}
    can_be_exported = False  # its answer is the file
    row_names = ("figures", "figures")

    @extend_schema(
        responses={(200, "application/json"): MetricsSerializer, (200, "text/csv"): str},
        summary="Figures over time",
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer the figures of a period, by minute, hour or day and by one subject.

        They come from figures that are kept as work goes on, and stay when logs are dropped.
        """
        now = datetime.now(UTC)
        organization = Organization.objects.get(pk=self.caller.organization_id)
        zone = ZoneInfo(organization.time_zone)
        query: dict[str, Any] = self.query.validated_data
        of = _period(query, now=now, zone=zone)
        by = Subject(query["group_by"]) if "group_by" in query else None
        try:
            figures = read_figures(of, by=by, only=_filter(query), most=MOST_ROWS)
        except TooManyFiguresError:
            raise InvalidParameters(
                {
                    "group_by": f"These are more rows than an answer has, {MOST_ROWS:,}; choose a "
                    "shorter period, a longer interval, or one app."
                }
            ) from None
        total = sum_up(figures.values())
        answer = Response(
            {
                "since": format_time(of.since),
                "until": format_time(of.until),
                "interval": query.get("interval"),
                "time_zone": zone.key,
                "currency": organization.currency,
                "total": next(_views([total], now=now, currency=organization.currency)),
                "results": list(_rows(of, by, figures, now=now, currency=organization.currency)),
            }
        )
        if request.accepted_renderer.format in FileFormat.values:
            record_export(request, "figures")
            file_format = FileFormat(str(request.accepted_renderer.format))
            name = csv_format.file_name("figures", organization.name, now, file_format)
            answer["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer


def _period(query: Mapping[str, Any], *, now: datetime, zone: ZoneInfo) -> FigurePeriod:
    until = max(query.get("until", now), EARLIEST + _DEFAULT_PERIOD)
    since: datetime = query.get("since", min(until, now) - _DEFAULT_PERIOD)
    if since >= until:
        raise InvalidParameters({"since": "The period begins after its end; send an earlier one."})
    if since >= now:
        raise InvalidParameters({"since": "The period has not begun yet; send an earlier time."})
    name = query.get("interval")
    if name is None:
        return period(since, until, zone=zone, now=now)
    step = _INTERVALS[name]
    for finest, days_kept, coarser in (
        ("minute", MINUTES_KEPT, "hour"),
        ("hour", QUARTERS_KEPT, "day"),
    ):
        if name == finest and since < now - days_kept + _MARGIN:
            raise InvalidParameters(
                {
                    "interval": f"By {finest} figures are kept {days_kept.days} days; send a later "
                    f"“since” or the interval {coarser}."
                }
            )
    if (steps := (until - since) / step) > MOST_STEPS:
        raise InvalidParameters(
            {
                "interval": f"These are {steps:,.0f} steps of a {name}, and an answer has at most "
                f"{MOST_STEPS:,}; send a longer interval or a shorter period."
            }
        )
    return period(since, until, zone=zone, now=now, step=step)


def _filter(query: Mapping[str, Any]) -> FigureFilter:
    # 0 stands for none in figures, and for an unknown id in filters.
    names = ("app", "partner", "campaign", "rule")
    return FigureFilter(**{name: query[name] or -1 for name in names if name in query})


def _rows(
    of: FigurePeriod,
    by: Subject | None,
    figures: Mapping[tuple[int, str], Figures],
    *,
    now: datetime,
    currency: str,
) -> Iterator[dict[str, object]]:
    """Yield a row for each step, also where nothing happened; with a subject only for what did."""
    starts = of.starts
    if by is None:
        keys = [(step, "") for step in range(1, len(starts) + 1)] or [(0, "")]
    else:
        keys = sorted(figures)
    subjects = _subjects(by, {subject for _, subject in keys})
    parts = [figures.get(key) or Figures() for key in keys]
    views = _views(parts, now=now, currency=currency)
    for (step, subject), view in zip(keys, views, strict=True):
        row: dict[str, object] = {"at": format_time(starts[step - 1]) if step else None}
        if by is not None:
            row[by.value], name = subjects.get(subject, (None, None))
            if by is not Subject.EVENT_NAME:
                row["name"] = name
        yield {**row, **view}


def _subjects(by: Subject | None, keys: set[str]) -> dict[str, tuple[str | None, str | None]]:
    """Return the public id and the name of each subject by our id."""
    if by is None:
        return {}
    if by is Subject.EVENT_NAME:
        return {key: (key or None, None) for key in keys}
    rows: Any = _MODELS[by].objects.filter(pk__in=[int(key) for key in keys])
    return {str(row.pk): (str(row.public_id), row.name) for row in rows}


def _views(
    figures: Sequence[Figures], *, now: datetime, currency: str
) -> Iterator[dict[str, object]]:
    in_dollars = revenues(figures, now=now)
    converted = in_dollars if currency == USD else revenues(figures, now=now, currency=currency)
    for part, dollars, own in zip(figures, in_dollars, converted, strict=True):
        yield _view(part, dollars, own)


def _view(figures: Figures, dollars: Revenue, converted: Revenue) -> dict[str, object]:
    return {
        "events": figures.events,
        "wanted": figures.wanted,
        "skipped": dict(sorted(figures.skipped.items())),
        "owed": figures.owed,
        "delivered": figures.delivered,
        "retrying": figures.retrying,
        "pending": figures.pending,
        "failed": figures.failed,
        "success_percent": None
        if figures.success_percent is None
        else round(figures.success_percent, 2),
        "attempts": figures.attempts,
        "codes": dict(sorted(figures.codes.items())),
        "p50_ms": _milliseconds(figures, 0.5),
        "p95_ms": _milliseconds(figures, 0.95),
        "p99_ms": _milliseconds(figures, 0.99),
        "revenue": {
            currency: f"{amount:f}" for currency, amount in figures.revenue_by_currency().items()
        },
        "revenue_usd": f"{dollars.amount:.2f}",
        "revenue_converted": f"{converted.amount:.{minor_digits(converted.currency)}f}",
        "installs": figures.installs,
        "attributed_installs": figures.attributed,
    }


def _milliseconds(figures: Figures, share: float) -> int | None:
    seconds = figures.delivery_seconds(share)
    return None if seconds is None else round(1000 * seconds)
