"""The chart of postbacks by the steps of a period: what to draw where. A template makes SVG of it.

Positions along the time are percent of the width and heights are pixels, so that bars grow with the
page while labels keep a readable size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from postbacks.insights.days_chart import THINNEST, TOP, ChartLine, round_ticks
from postbacks.insights.overview.flow import StateTally, StepTally
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
_GAP = 0.12  # of a step's width
_TWO_DAYS = timedelta(days=2, hours=1)


@dataclass(frozen=True, slots=True)
class BarSegment:
    """One state's part of a bar."""

    state: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class ChartBar:
    """One step as a bar, and in words for its row of the table. A part of a step is narrower.

    `left` and `width` are the step's whole room, `bar_left` and `bar_width` what is drawn in it.
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
class StepLabel:
    """A moment on the axis. `every` is 1, 3 or 6: the wider the page, the more fit."""

    left: float
    text: str
    day: str
    every: int


@dataclass(frozen=True, slots=True)
class StepsChart:
    """The whole drawing. `unit` is what one bar stands for, in words."""

    unit: str
    bars: list[ChartBar]
    labels: list[StepLabel]
    lines: list[ChartLine]

    @property
    def rhythm(self) -> str:
        """Return how often there is a bar: by hour, every 6 hours."""
        return f"every {self.unit}" if self.unit[0].isdigit() else f"by {self.unit}"


def draw_steps(steps: Sequence[StepTally], zone: ZoneInfo) -> StepsChart:
    """Return the drawing of consecutive steps, with times as a clock in the zone shows them."""
    since, until = steps[0].step.start, steps[-1].step.end
    ticks = round_ticks(max(each.tally.total for each in steps))
    seconds = (until - since).total_seconds()
    length = max(each.step.end - each.step.start for each in steps)

    def left(moment: datetime) -> float:
        return 100 * (moment - since).total_seconds() / seconds

    return StepsChart(
        unit=_unit(length),
        bars=[
            _bar(
                each,
                left=left(each.step.start),
                right=left(each.step.end),
                top=ticks[-1],
                label=step_name(
                    each.step.start, each.step.end, zone, with_day=until - since > _TWO_DAYS
                ),
            )
            for each in steps
        ],
        labels=[
            StepLabel(left(start), text, day, every)
            for start, text, day, every in _labels([each.step.start for each in steps], zone)
        ],
        lines=[ChartLine(BOTTOM - PLOT_HEIGHT * tick / ticks[-1], number(tick)) for tick in ticks],
    )


def step_name(start: datetime, end: datetime, zone: ZoneInfo, *, with_day: bool = False) -> str:
    """Return a stretch as people write it. An hour that the clock shows twice names its offset."""
    first = start.astimezone(zone)
    day = f"{first:%a, %b} {first.day}"
    if end - start > timedelta(hours=12):
        return day
    last = first + (end - start)  # on the wall: as if the step's end changed no clock
    repeated = first.utcoffset() != first.replace(fold=1 - first.fold).utcoffset()
    clock = f"{first:%H:%M}\N{EN DASH}{last:%H:%M}" + (f" ({first:%Z})" if repeated else "")
    return f"{day}, {clock}" if with_day else clock


def _unit(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    if minutes > 12 * 60:
        return "day"
    if minutes > 60:
        return f"{minutes // 60} hours"
    return {60: "hour", 1: "minute"}.get(minutes, f"{minutes} minutes")


def _labels(starts: Sequence[datetime], zone: ZoneInfo) -> Iterator[tuple[datetime, str, str, int]]:
    """Yield what the axis names: full hours of a day or two, days of more, else some minutes."""
    span = starts[-1] - starts[0]
    on_the_wall = [(start, start.astimezone(zone)) for start in starts]
    if span > _TWO_DAYS:
        yield from _day_labels(on_the_wall)
    elif span > timedelta(hours=3):
        yield from _hour_labels(on_the_wall, all_fit=span <= timedelta(hours=12))
    else:
        minutes = 2 if span <= timedelta(minutes=20) else 10
        for start, local in on_the_wall:
            if local.minute % minutes == 0:
                yield start, f"{local:%H:%M}", "", 6


def _day_labels(
    on_the_wall: Sequence[tuple[datetime, datetime]],
) -> Iterator[tuple[datetime, str, str, int]]:
    days = [(start, local) for start, local in on_the_wall if not (local.hour or local.minute)]
    stride = -(-len(days) // 24)
    for index, (start, local) in enumerate(reversed(days)):
        if index % stride == 0:
            every = 6 if index % (4 * stride) == 0 else 3 if index % (2 * stride) == 0 else 1
            yield start, f"{local:%b} {local.day}", "", every


def _hour_labels(
    on_the_wall: Sequence[tuple[datetime, datetime]], *, all_fit: bool
) -> Iterator[tuple[datetime, str, str, int]]:
    for start, local in on_the_wall:
        if local.minute == 0:
            every = 6 if all_fit else next(step for step in (6, 3, 1) if local.hour % step == 0)
            day = f"{local:%a, %b} {local.day}" if local.hour == 0 else ""
            yield start, f"{local:%H:%M}", day, every


def _bar(step: StepTally, *, left: float, right: float, top: int, label: str) -> ChartBar:
    width = right - left
    gap = _GAP * width
    return ChartBar(
        left=left,
        width=width,
        bar_left=left + gap / 2,
        bar_width=width - gap,
        pieces=_pieces(step.tally, top),
        label=label,
        delivered=number(step.tally.delivered),
        failed=number(step.tally.failed),
        pending=number(step.tally.pending),
        skipped=number(step.tally.skipped),
    )


def _pieces(tally: StateTally, top: int) -> list[BarSegment]:
    pieces: list[BarSegment] = []
    y = float(BOTTOM)
    for state in _BOTTOM_UP:
        count: int = getattr(tally, state)
        if count:
            height = max(PLOT_HEIGHT * count / top, THINNEST)
            y -= height
            pieces.append(BarSegment(state, y, height))
    return pieces
