"""The chart of one count by day: what to draw where. A template makes SVG of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from postbacks.insights.wording import number

PLOT_HEIGHT = 120
TOP = 10  # room for the topmost label
BOTTOM = TOP + PLOT_HEIGHT
THINNEST = 1.5  # one among thousands stays visible
_GAP = 0.16  # of a day's width
_MOST_LABELS = 8
_MOST_TICKS = 5


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
class ChartLine:
    """A line across the chart with its label."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class DaysChart:
    """The whole drawing; `summary` is its description in words."""

    title: str
    summary: str
    bars: tuple[DayBar, ...]
    labels: tuple[DayLabel, ...]
    lines: tuple[ChartLine, ...]


def draw_days(title: str, days: Sequence[date], counts: Sequence[int]) -> DaysChart:
    """Return the drawing of consecutive days."""
    ticks = round_ticks(max(counts))
    width = 100 / len(days)
    step = -(-len(days) // _MOST_LABELS)
    return DaysChart(
        title=title,
        summary=f"{title} by day: {number(sum(counts))} in all. The table below has every day.",
        bars=tuple(
            _bar(index * width, width, count / ticks[-1], f"{day_name(day)}: {number(count)}")
            for index, (day, count) in enumerate(zip(days, counts, strict=True))
        ),
        labels=tuple(
            DayLabel((index + 0.5) * width, day_name(day))
            for index, day in enumerate(days)
            if (len(days) - 1 - index) % step == 0  # today is named in any case
        ),
        lines=tuple(
            ChartLine(BOTTOM - PLOT_HEIGHT * tick / ticks[-1], number(tick)) for tick in ticks
        ),
    )


def round_ticks(most: int) -> list[int]:
    """Return round numbers from 0 to one that is not below the largest value."""
    step = 1
    while step * _MOST_TICKS < most:
        # 1, 2, 5, 10, 20, 50, …
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return list(range(0, max(-(-most // step), 1) * step + 1, step))


def day_name(day: date) -> str:
    """Return a day as people write it: Nov 25."""
    return f"{day:%b} {day.day}"


def _bar(left: float, width: float, share: float, words: str) -> DayBar:
    height = max(PLOT_HEIGHT * share, THINNEST) if share else 0.0
    return DayBar(
        left=left,
        width=width,
        bar_left=left + width * _GAP / 2,
        bar_width=width * (1 - _GAP),
        y=BOTTOM - height,
        height=height,
        words=words,
    )
