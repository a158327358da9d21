"""Corrects the times of devices whose clocks are wrong.

A device that says when it sent a request shows how wrong its clock is: its times are corrected by
the difference to the arrival. Without that, a time that lies ahead is taken as now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from postbacks.values import refusals
from postbacks.values.timestamps import parse_timestamp

OLDEST: Final = timedelta(days=58)
FURTHEST_AHEAD: Final = timedelta(days=14)
TOLERANCE: Final = timedelta(minutes=1)  # the way to us, and what clocks differ by anyway
MOST_OFF: Final = timedelta(days=3653)  # further off, it is no clock: a counter or a wrong unit
CORRECTED_BY: Final = "event_time_corrected_by"  # a field of stored events, in whole seconds
# Google's servers say the times that end in `_server`; the device's clock says these.
DEVICE_TIMES: Final = ("install_begin_time", "install_finish_time", "referrer_click_time")

_ONE_STEP: Final = timedelta(milliseconds=1)
_NO_CORRECTION: Final = timedelta()


class ClockError(ValueError):
    """A time that can't be taken: the name of its field, and what to send."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.detail = detail


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """A device's clock at the arrival of its request.

    `correction` is added to its times: negative where the clock runs ahead, zero within a minute.
    """

    now: datetime
    sent_at: datetime | None = None
    correction: timedelta = _NO_CORRECTION

    @classmethod
    def read(cls, sent_at: object, *, now: datetime) -> "DeviceClock":
        """Return the clock that shows `sent_at` now. Raises ClockError."""
        if sent_at is None:
            return cls(now)
        moment = parse_timestamp(sent_at)
        if moment is None:
            raise ClockError("sent_at", refusals.not_time(sent_at))
        off_by = now - moment
        if abs(off_by) > MOST_OFF:
            raise ClockError(
                "sent_at",
                f"{refusals.quote(sent_at)} is more than 10 years from now. Write the time of the "
                "device's clock when it sends, or leave the field out.",
            )
        is_wrong = abs(off_by) > TOLERANCE
        return cls(now, moment, off_by if is_wrong else _NO_CORRECTION)


class EventTime(NamedTuple):  # made for each event
    """When an event happened: as the device's clock says, and as it is stored."""

    claimed: datetime
    stored: datetime

    @property
    def correction(self) -> timedelta:
        return self.stored - self.claimed

    @property
    def is_corrected(self) -> bool:
        return self.stored != self.claimed


def read_event_time(value: object, clock: DeviceClock) -> EventTime:
    """Return an event's time, corrected where its device's clock is wrong. Raises ClockError."""
    claimed = parse_timestamp(value)
    if claimed is None:
        raise ClockError("event_time", refusals.not_time(value))
    time = _shifted(claimed, clock.correction)
    if clock.now - OLDEST <= time <= clock.now + TOLERANCE:
        return EventTime(claimed, time)
    named = refusals.quote(value)
    seconds = whole_seconds(clock.correction)
    corrected = f", after its correction by {seconds:,} seconds" if seconds else ""
    if time > clock.now + FURTHEST_AHEAD:
        raise ClockError(
            "event_time",
            f"{named} is more than {FURTHEST_AHEAD.days} days in the future{corrected}. Write "
            "when the event happened.",
        )
    if time < clock.now - OLDEST:
        raise ClockError(
            "event_time",
            f"{named} is more than {OLDEST.days} days ago{corrected}. Send events within "
            f"{OLDEST.days} days.",
        )
    return EventTime(claimed, clock.now)  # ahead


def clock_fields(
    sent: Mapping[str, object], time: EventTime | None, clock: DeviceClock
) -> dict[str, object]:
    """Return the fields of an event that its device's clock changes or adds to those sent."""
    fields: dict[str, object] = {}
    if clock.sent_at is not None:
        fields["sent_at"] = as_text(clock.sent_at)
    is_corrected = time is not None and time.is_corrected
    if is_corrected or clock.correction:
        fields |= (corrected := _corrected_times(sent, time, clock))
        if is_corrected or corrected:
            correction = clock.correction if time is None else time.correction
            fields[CORRECTED_BY] = whole_seconds(correction)
    return fields


def correction_remark(value: object, time: EventTime | None, clock: DeviceClock) -> str:
    """Return what a warning says of corrected times; `value` is the `event_time` as sent."""
    if clock.correction:
        seconds = whole_seconds(clock.correction)
        direction = "ahead" if seconds < 0 else "behind"
        remark = (
            f"By sent_at the device's clock is {abs(seconds):,} seconds {direction}. Its times "
            f"were corrected by {seconds:,} seconds."
        )
        if time is None or time.stored - _shifted(time.claimed, clock.correction) >= -TOLERANCE:
            return remark
        return f"{remark} The event's was ahead even so, and was taken as now."
    ahead = whole_seconds(time.claimed - clock.now) if time else 0
    return (
        f"{refusals.quote(value)} is {ahead:,} seconds ahead of our clock, and was taken as now. "
        "Send sent_at, the device's time when it sends, for an exact correction."
    )


def in_order(times: Sequence[EventTime]) -> list[EventTime]:
    """Return one device's times, sorted by its clock, so that none is stored before the last.

    Only corrected times are moved, by as little as keeps the order.
    """
    ordered: list[EventTime] = []
    latest: EventTime | None = None
    for time in times:
        moved = time
        if time.is_corrected and latest is not None:
            step = _ONE_STEP if time.claimed > latest.claimed else _NO_CORRECTION
            moved = EventTime(time.claimed, max(time.stored, latest.stored + step))
        if latest is None or moved.stored >= latest.stored:
            latest = moved
        ordered.append(moved)
    return ordered


def as_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def whole_seconds(span: timedelta) -> int:
    return round(span.total_seconds())


def _corrected_times(
    sent: Mapping[str, object], time: EventTime | None, clock: DeviceClock
) -> dict[str, str]:
    """Return the times of the install by the device's clock, corrected.

    Without `sent_at` they are moved with the event if one of them is ahead too: if none is, only
    the event's own time is wrong.
    """
    moments = {name: moment for name in DEVICE_TIMES if (moment := parse_timestamp(sent.get(name)))}
    correction = clock.correction
    if not correction and time is not None:
        is_ahead = any(moment > clock.now + TOLERANCE for moment in moments.values())
        correction = time.correction if is_ahead else _NO_CORRECTION
    if not correction:
        return {}
    return {name: as_text(_shifted(moment, correction)) for name, moment in moments.items()}


def _shifted(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment.astimezone(UTC) + by
    except OverflowError:  # next to the year 1 or 9999: it is refused as it is
        return moment
