"""A chart of one count by day: what to draw where. A template makes SVG of it, as for hours."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from postbacks.insights.hours_chart import ChartLine, round_ticks
from postbacks.insights.wording import number

PLOT_HEIGHT = 120
TOP = 10
BOTTOM = TOP + PLOT_HEIGHT
_GAP = 0.16  # of a day's width
_MOST_LABELS = 8


@dataclass(frozen=True, slots=True)
class DayBar:
    """One day; `left` and `width` are percent, `y` and `height` pixels."""

    left: float
    width: float
    bar_left: float
    bar_width: float
    y: float
    height: float
    words: str


@dataclass(frozen=True, slots=True)
class DayLabel:
    """A day's name below the axis."""

    middle: float
    text: str


@dataclass(frozen=True, slots=True)
class DaysChart:
    """The whole drawing, and what it shows in words."""

    title: str
    summary: str
    bars: tuple[DayBar, ...]
    labels: tuple[DayLabel, ...]
    lines: tuple[ChartLine, ...]


def draw(title: str, days: Sequence[date], counts: Sequence[int]) -> DaysChart:
    """Return the drawing of consecutive days."""
    ticks = round_ticks(max(counts))
    width = 100 / len(days)
    step = -(-len(days) // _MOST_LABELS)
    return DaysChart(
        title=title,
        summary=f"{title} by day: {number(sum(counts))} in all. The table below has every day.",
        bars=tuple(
            _bar(place * width, width, count, ticks[-1], f"{day_name(day)}: {number(count)}")
            for place, (day, count) in enumerate(zip(days, counts, strict=True))
        ),
        labels=tuple(
            DayLabel((place + 0.5) * width, day_name(day))
            for place, day in enumerate(days)
            if (len(days) - 1 - place) % step == 0  # today is named in any case
        ),
        lines=tuple(
            ChartLine(BOTTOM - PLOT_HEIGHT * tick / ticks[-1], number(tick)) for tick in ticks
        ),
    )


def day_name(day: date) -> str:
    """Return a day as people write it: Nov 25."""
    return f"{day:%b} {day.day}"


def _bar(left: float, width: float, count: int, top: int, words: str) -> DayBar:
    height = max(PLOT_HEIGHT * count / top, 1.5) if count else 0.0
    return DayBar(
        left=left,
        width=width,
        bar_left=left + width * _GAP / 2,
        bar_width=width * (1 - _GAP),
        y=BOTTOM - height,
        height=height,
        words=words,
    )
