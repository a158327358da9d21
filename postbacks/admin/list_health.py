"""The health of rules, partners, apps and campaigns in their lists, from figures."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import BigIntegerField, QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps_registry.admin_base.health_columns import RowHealth
from apps_registry.admin_base.permissions import membership_of
from postbacks.insights import wording
from postbacks.insights.figure_parts import Subject
from postbacks.insights.list_health import (
    Health,
    HourTally,
    first_hour,
    read_health,
    read_last_outcomes,
    read_totals,
)
from postbacks.insights.overview.log_links import list_url
from postbacks.models import PostbackStatus

_BAR, _GAP, _HEIGHT = 2, 1, 22
_FEWEST = 10  # so that a single postback is no tower

_Values = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class ListHealth:
    """Reads the health of a list whose rows are what figures are grouped by."""

    by: Subject

    def read(self, request: HttpRequest, keys: Sequence[int]) -> Mapping[int, RowHealth]:
        now, zone = datetime.now(UTC), _zone(request)
        health = read_health(self.by, keys, now=now)
        return {key: self._row(key, row, now, zone) for key, row in health.items()}

    def annotate(
        self, request: HttpRequest, rows: "QuerySet[Any]", names: Collection[str]
    ) -> "QuerySet[Any]":
        columns = self._columns(names)
        annotated: QuerySet[Any] = rows.annotate(
            **{name: _column(rows, columns[name]) for name in names}
        )
        return annotated

    def _columns(self, names: Collection[str]) -> Mapping[str, _Values]:
        """Return the values of those that are asked for: ten thousand rows have as many."""
        values: dict[str, _Values] = {}
        if {"health_delivered", "health_failed"}.intersection(names):
            totals = read_totals(self.by, now=datetime.now(UTC))
            for place, name in enumerate(("health_delivered", "health_failed")):
                if name in names:
                    values[name] = {key: total[place] for key, total in totals.items()}
        if {"health_delivered_at", "health_failed_at"}.intersection(names):
            last = read_last_outcomes(self.by)
            if "health_delivered_at" in names:
                values["health_delivered_at"] = _minutes((r.subject, r.delivered_at) for r in last)
            if "health_failed_at" in names:
                values["health_failed_at"] = _minutes((r.subject, r.failed_at) for r in last)
        return values

    def _row(self, key: int, health: Health, now: datetime, zone: ZoneInfo) -> RowHealth:
        def ago(moment: datetime | None) -> str:
            return wording.ago(moment, now) if moment else ""

        return RowHealth(
            delivered=health.delivered,
            failed=health.failed,
            delivered_at=health.delivered_at,
            failed_at=health.failed_at,
            delivered_ago=ago(health.delivered_at),
            failed_ago=ago(health.failed_at),
            sparkline=_sparkline(health.hours, zone),
            failed_url=list_url(
                "postback",
                **{self.by.value: str(key), "status": PostbackStatus.FAILED},
                since=first_hour(now).isoformat(),
                test="no",
            ),
        )


def _minutes(moments: Iterable[tuple[int, datetime | None]]) -> _Values:
    """Return moments as their minutes, to which they are kept."""
    return {key: int(moment.timestamp()) // 60 for key, moment in moments if moment}


def _column(rows: "QuerySet[Any]", values: _Values) -> RawSQL:
    """Return a column of values by the row's id: one parameter, however many rows there are."""
    table = rows.model._meta.db_table
    return RawSQL(  # noqa: S611  # the name of our own table
        f'coalesce((%s::jsonb ->> "{table}".id::text)::bigint, 0)',
        [json.dumps(values, separators=(",", ":"))],
        output_field=BigIntegerField(),
    )


def _sparkline(hours: Sequence[HourTally], zone: ZoneInfo) -> SafeString:
    """Draw a bar for each hour, what failed on top of what was delivered; and say it in words."""
    busiest = max(hours, key=lambda hour: hour.delivered + hour.failed)
    most = busiest.delivered + busiest.failed
    words = "Nothing ended in the last 24 hours"
    if most:
        words = (
            f"Last 24 hours: {wording.number(sum(hour.delivered for hour in hours))} delivered, "
            f"{wording.number(sum(hour.failed for hour in hours))} failed; "
            f"most at {busiest.begins_at.astimezone(zone):%H:%M}, {wording.number(most)} an hour"
        )
    delivered, failed = "", ""
    for place, hour in enumerate(hours):
        base = _height(hour.delivered, most)
        delivered += _bar(place, 0, base)
        failed += _bar(place, base, _height(hour.failed, most))
    width = len(hours) * (_BAR + _GAP)
    return format_html(
        '<svg class="hl-spark" width="{}" height="{}" viewBox="0 0 {} {}" role="img"'
        ' aria-label="{}"><title>{}</title><path class="hl-ground" d="M0 {}h{}v1h-{}z"/>'
        '<path class="hl-delivered" d="{}"/><path class="hl-wrong" d="{}"/></svg>',
        *(width, _HEIGHT, width, _HEIGHT, words, words, _HEIGHT - 1, width, width),
        *(delivered, failed),
    )


def _height(count: int, most: int) -> float:
    """Return a bar's height; one among thousands stays visible."""
    return max(round((_HEIGHT - 1) * count / max(most, _FEWEST), 1), 1.5) if count else 0.0


def _bar(place: int, base: float, height: float) -> str:
    if not height:
        return ""
    bottom = round(_HEIGHT - 1 - base, 1)
    return f"M{place * (_BAR + _GAP)} {bottom}h{_BAR}v-{height}h-{_BAR}z"


def _zone(request: HttpRequest) -> ZoneInfo:
    membership = membership_of(request)
    return ZoneInfo(membership.organization.time_zone if membership else "UTC")
