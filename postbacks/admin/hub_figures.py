"""The figures of an app and of a partner on their pages: the last 24 hours, in words.

They come from what is kept as work goes on; each leads to exactly the rows that it counts.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.urls import reverse

from apps_registry.models import App, Partner
from postbacks.insights import wording
from postbacks.insights.figure_parts import Subject
from postbacks.insights.figures import (
    FigureFilter,
    FigurePeriod,
    Figures,
    period,
    read_figures,
    revenues,
    sum_up,
)
from postbacks.insights.list_health import read_last_outcomes
from postbacks.insights.overview.log_links import list_url
from postbacks.models import FlowState, PostbackStatus

_DAY = timedelta(hours=24)
_NOTHING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class HubFigure:
    """One figure of the last 24 hours, and where one sees what it counts."""

    label: str
    text: str
    url: str = ""
    tone: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class _LastDay:
    """What an app or a partner did in the last 24 hours."""

    row: App | Partner
    of: FigurePeriod
    now: datetime
    figures: Figures
    currency: str

    @property
    def is_partner(self) -> bool:
        return isinstance(self.row, Partner)

    @property
    def filter(self) -> dict[str, str]:
        return {"partner" if self.is_partner else "app": str(self.row.pk)}

    def counted(self, label: str, count: int, model: str, **more: str) -> dict[str, Any]:
        """Return a figure that leads to the rows of a log."""
        ends = {"since": self.of.since.isoformat(), "until": self.of.until.isoformat()}
        url = list_url(model, **self.filter, **ends, **more)
        return {"label": label, "text": wording.number(count), "url": url}

    def postbacks(self, label: str, count: int, status: PostbackStatus) -> dict[str, Any]:
        return self.counted(label, count, "postback", status=status, test="no")


def hub_figures(row: App | Partner, *, currency: str, zone: ZoneInfo) -> list[HubFigure]:
    """Return the figures in the order in which things happen: what came in, then what went out."""
    now = datetime.now(UTC)
    of = period(now - _DAY, now, zone=zone, now=now)
    is_partner = isinstance(row, Partner)
    only = FigureFilter(partner=row.pk) if is_partner else FigureFilter(app=row.pk)
    day = _LastDay(row, of, now, sum_up(read_figures(of, only=only).values()), currency)
    events = [] if is_partner else [HubFigure(**day.counted("Events", day.figures.events, "event"))]
    success = [_success(day.figures)] if is_partner else []
    return [*events, _installs(day), _revenue(day), *success, _delivery_time(day), *_ended(day)]


def _installs(day: _LastDay) -> HubFigure:
    count, attributed = day.figures.installs, day.figures.attributed
    note = "credited to this partner"
    if not day.is_partner:
        organic = wording.number(count - attributed)
        note = f"{wording.number(attributed)} attributed, {organic} organic" if count else ""
    return HubFigure(**day.counted("Installs", count, "install"), note=note)


def _revenue(day: _LastDay) -> HubFigure:
    (revenue,) = revenues([day.figures], now=day.now, currency=day.currency)
    of = "of events credited to it" if day.is_partner else ""
    note = " · ".join(filter(None, (of, revenue.note)))
    url = f"{reverse('admin:index')}?{urlencode(day.filter)}"
    return HubFigure("Revenue", str(revenue), url, note=note)


def _success(figures: Figures) -> HubFigure:
    percent = figures.success_percent
    if percent is None:
        return HubFigure("Success rate", _NOTHING, note="no postback has ended")
    return HubFigure("Success rate", wording.percent(percent), note="of those that have ended")


def _delivery_time(day: _LastDay) -> HubFigure:
    median, most = (day.figures.delivery_seconds(share) for share in (0.5, 0.95))
    if median is None or most is None:
        return HubFigure("Delivery time", _NOTHING, note="nothing delivered yet")
    note = f"median · 95\N{NO-BREAK SPACE}% within {wording.seconds(most)}"
    return HubFigure("Delivery time", wording.seconds(median), note=note)


def _ended(day: _LastDay) -> list[HubFigure]:
    """Return what became of the postbacks, by status."""
    figures = day.figures
    by = Subject.PARTNER if day.is_partner else Subject.APP
    last = next(iter(read_last_outcomes(by, [day.row.pk])), None)
    delivered_ago, failed_ago = (
        f"the last one {wording.ago(moment, day.now)}" if moment else ""
        for moment in ((last.delivered_at, last.failed_at) if last else (None, None))
    )
    percent = None if day.is_partner else figures.success_percent
    success = f"{wording.percent(percent)} success" if percent is not None else ""
    waiting, skipped = figures.pending + figures.retrying, figures.states[FlowState.SKIPPED]
    return [
        HubFigure(
            **day.postbacks("Delivered", figures.delivered, PostbackStatus.DELIVERED),
            note=" · ".join(filter(None, (success, delivered_ago))),
        ),
        HubFigure(**day.postbacks("Pending", waiting, PostbackStatus.PENDING)),
        HubFigure(
            **day.postbacks("Failed", figures.failed, PostbackStatus.FAILED),
            tone="bad" if figures.failed else "",
            note=failed_ago,
        ),
        HubFigure(**day.postbacks("Skipped", skipped, PostbackStatus.SKIPPED)),
    ]
