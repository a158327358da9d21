"""The chart of postbacks by hour: what to draw where. A template makes SVG of it.

Positions along the time are percent of the width and heights are pixels, so that bars grow with the
page while labels keep a readable size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from postbacks.insights.days_chart import THINNEST, TOP, ChartLine, round_ticks
from postbacks.insights.overview.last_day import DayTally, HourTally
from postbacks.insights.wording import number
from postbacks.models import PostbackStatus

PLOT_HEIGHT = 200
BOTTOM = TOP + PLOT_HEIGHT
_BOTTOM_UP = (
    PostbackStatus.DELIVERED,
    PostbackStatus.SKIPPED,
    PostbackStatus.PENDING,
    PostbackStatus.FAILED,
)
_GAP = 0.12  # of an hour's width


@dataclass(frozen=True, slots=True)
class BarSegment:
    """One state's part of a bar."""

    state: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class ChartBar:
    """One hour as a bar, and in words for its row of the table. A part of an hour is narrower.

    `left` and `width` are the hour's whole room, `bar_left` and `bar_width` what is drawn in it.
    """

    left: float
    width: float
    bar_left: float
    bar_width: float
    pieces: list[BarSegment]
    label: str
    delivered: str
    failed: str
    pending: str
    skipped: str


@dataclass(frozen=True, slots=True)
class HourLabel:
    """A full hour on the axis. `every` is 1, 3 or 6: the wider the page, the more fit."""

    left: float
    text: str
    day: str
    every: int


@dataclass(frozen=True, slots=True)
class HoursChart:
    """The whole drawing."""

    bars: list[ChartBar]
    hours: list[HourLabel]
    lines: list[ChartLine]


def draw_hours(hours: Sequence[HourTally], zone: ZoneInfo) -> HoursChart:
    """Return the drawing of consecutive hours, with times as a clock in the zone shows them."""
    since, until = hours[0].hour.start, hours[-1].hour.end
    ticks = round_ticks(max(hour.tally.total for hour in hours))
    seconds = (until - since).total_seconds()

    def left(moment: datetime) -> float:
        return 100 * (moment - since).total_seconds() / seconds

    return HoursChart(
        bars=[
            _bar(
                hour,
                left=left(hour.hour.start),
                right=left(hour.hour.end),
                top=ticks[-1],
                zone=zone,
            )
            for hour in hours
        ],
        hours=[
            _hour_label(left(hour.hour.start), hour.hour.start.astimezone(zone))
            for hour in hours
            if hour.hour.start.astimezone(zone).minute == 0
        ],
        lines=[ChartLine(BOTTOM - PLOT_HEIGHT * tick / ticks[-1], number(tick)) for tick in ticks],
    )


def hour_name(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    """Return an hour as people write it. An hour that the clock shows twice names its offset."""
    first = start.astimezone(zone)
    last = first + (end - start)  # on the wall: as if the hour's end changed no clock
    repeated = first.utcoffset() != first.replace(fold=1 - first.fold).utcoffset()
    return f"{first:%H:%M}\N{EN DASH}{last:%H:%M}" + (f" ({first:%Z})" if repeated else "")


def _bar(hour: HourTally, *, left: float, right: float, top: int, zone: ZoneInfo) -> ChartBar:
    width = right - left
    gap = _GAP * width
    return ChartBar(
        left=left,
        width=width,
        bar_left=left + gap / 2,
        bar_width=width - gap,
        pieces=_pieces(hour.tally, top),
        label=hour_name(hour.hour.start, hour.hour.end, zone),
        delivered=number(hour.tally.delivered),
        failed=number(hour.tally.failed),
        pending=number(hour.tally.pending),
        skipped=number(hour.tally.skipped),
    )


def _pieces(tally: DayTally, top: int) -> list[BarSegment]:
    pieces: list[BarSegment] = []
    y = float(BOTTOM)
    for state in _BOTTOM_UP:
        count: int = getattr(tally, state)
        if count:
            height = max(PLOT_HEIGHT * count / top, THINNEST)
            y -= height
            pieces.append(BarSegment(state, y, height))
    return pieces


def _hour_label(left: float, local: datetime) -> HourLabel:
    every = next(step for step in (6, 3, 1) if local.hour % step == 0)
    day = f"{local:%a, %b} {local.day}" if local.hour == 0 else ""
    return HourLabel(left, f"{local:%H:%M}", day, every)
