"""The parts of an attempt's time, as a bar and as rows beside it."""

from collections.abc import Iterator
from dataclasses import dataclass

from postbacks.insights import wording
from postbacks.models import DeliveryAttempt
from postbacks.values.request_timings import RequestTimings


@dataclass(frozen=True, slots=True)
class TimedPart:
    """One part of the time: from `start`, `width` long, both in thousandths of the whole."""

    name: str
    label: str
    duration: str
    start: int
    width: int


@dataclass(frozen=True, slots=True)
class AttemptTimings:
    """The parts in their order, and the whole."""

    parts: tuple[TimedPart, ...]
    total: str
    is_reused: bool


def timings_view(attempt: DeliveryAttempt) -> AttemptTimings | None:
    """Return where the time went; None where it was not measured."""
    timings = attempt.timings
    if timings is None:
        return None
    whole = max(attempt.duration_ms, 1)
    parts = tuple(_parts(timings, attempt.duration_ms, whole))
    return AttemptTimings(parts, _text(attempt.duration_ms), timings.is_reused)


def _parts(timings: RequestTimings, total: int, whole: int) -> Iterator[TimedPart]:
    at = 0
    for name, label, length in _lengths(timings, total):
        start = min(at * 1000 // whole, 1000)
        width = min(max(length * 1000 // whole, 4), 1000 - start)
        yield TimedPart(name, label, _text(length), start, width)
        at += length


def _lengths(timings: RequestTimings, total: int) -> Iterator[tuple[str, str, int]]:
    spent = 0
    for name, label, length in (
        ("dns", "Look-up of the name (DNS)", timings.dns_ms),
        ("connect", "Connection", timings.connect_ms),
        ("tls", "TLS", timings.tls_ms),
    ):
        if length is not None:
            spent += length
            yield name, label, length
    if timings.first_byte_ms is None:
        yield "wait", "Without an answer", max(total - spent, 0)
        return
    yield "wait", "Until the first byte of the answer", max(timings.first_byte_ms - spent, 0)
    yield "read", "Reading the answer", max(total - max(timings.first_byte_ms, spent), 0)


def _text(milliseconds: int) -> str:
    return wording.seconds(milliseconds / 1000) if milliseconds else "< 1 ms"
