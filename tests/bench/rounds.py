"""Takes turns: every side of every row once per round, as long as there is time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.conf import settings

from tests.bench import delivery, latency, whole_way
from tests.bench.plan import RATES, SIDES, Plan
from tests.bench.stage import Stage
from tests.bench.sums import AtLeast, AtMost, Figures, Goal, NotBelow, Row, Spread

ROWS = ("delivery", "whole", "single", "latency")
_NAIVE, _TUNED, _OURS = SIDES
_P50, _P99 = ("p50", 0.5), ("p99", 0.99)


@dataclass(frozen=True, slots=True)
class Goals:
    """What a transport has to reach: times naive and tuned, arrivals a second, milliseconds."""

    delivery: tuple[int, int]
    whole: int
    arrivals: int
    p50: int
    p99: int


_GOALS = {
    "requests": Goals(delivery=(25, 7), whole=24, arrivals=1_000, p50=20, p99=100),
    "curl": Goals(delivery=(100, 25), whole=50, arrivals=1_703, p50=10, p99=50),
}


@dataclass(slots=True)
class Rounds:
    """This measures the rows that were asked for and keeps what each round gave."""

    stage: Stage
    plan: Plan
    row_names: Sequence[str]
    say: Callable[[str], None]
    started_at: float
    done: int = 0
    _measurements: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def run(self) -> None:
        """Measure round after round; after the first, none is begun that would end too late."""
        took = 0.0
        while self.done < self.plan.rounds and (not self.done or self._has_time(took)):
            began_at = time.monotonic()
            for row in self.row_names:
                for side_index, side in enumerate(SIDES):
                    self._measure(row, side_index, side)
            took = time.monotonic() - began_at
            self.done += 1

    def rows(self) -> list[Row]:
        """Return what was measured."""
        makers = {
            "delivery": self._delivery,
            "whole": self._whole,
            "single": self._single,
            "latency": self._latencies,
        }
        return [row for name in self.row_names for row in makers[name]()]

    @property
    def _goals(self) -> Goals:
        return _GOALS[settings.DELIVERY_TRANSPORT]

    def _has_time(self, seconds: float) -> bool:
        return time.monotonic() - self.started_at + seconds < self.plan.ends_after

    def _measure(self, row: str, side_index: int, side: str) -> None:
        if row == "latency":
            rate, seconds = RATES[side_index], self.plan.latency_seconds
            durations = latency.measure(self.stage, side_index, rate, seconds)
            for name, share in (_P50, _P99):
                for hop, milliseconds in latency.percentiles(durations, share).items():
                    self._keep(name + hop, side, milliseconds)
            p50, p99 = (self._kept(name + latency.ARRIVED, side)[-1] for name, _ in (_P50, _P99))
            got = f"{latency.ARRIVED} p50 {p50:,.1f} ms, p99 {p99:,.1f} ms"
        else:
            measure, counts = {
                "delivery": (delivery.measure, self.plan.delivery),
                "whole": (whole_way.measure, self.plan.whole),
                "single": (whole_way.measure_single, self.plan.single),
            }[row]
            rate = measure(self.stage, side_index, counts[side_index])
            self._keep(row, side, rate)
            got = f"{rate:,.0f}/s"
        self.say(f"Round {self.done + 1} of {self.plan.rounds}, {row}, {side}: {got}")

    def _keep(self, figure: str, side: str, value: float) -> None:
        self._measurements.setdefault((figure, side), []).append(value)

    def _kept(self, figure: str, side: str) -> list[float]:
        return self._measurements[figure, side]

    def _figures(self, figure: str) -> Figures:
        return {side: Spread(tuple(self._kept(figure, side))) for side in SIDES}

    def _delivery(self) -> list[Row]:
        times_naive, times_tuned = self._goals.delivery
        goals = (AtLeast(times_naive, _OURS, _NAIVE), AtLeast(times_tuned, _OURS, _TUNED))
        name = f"Delivery by {settings.DELIVERY_TRANSPORT}: claim → send → log"
        return [self._rate(name, "delivery", self.plan.delivery, goals)]

    def _whole(self) -> list[Row]:
        name = "The whole way: HTTP batches of 100 in → decided → delivered → logged"
        goals = (AtLeast(self._goals.whole, _OURS, _NAIVE),)
        return [self._rate(name, "whole", self.plan.whole, goals)]

    def _single(self) -> list[Row]:
        name = "The whole way, one event a request from 64 clients: until it arrived and was logged"
        goals = (NotBelow(self._goals.arrivals, _OURS, "arrived/s"),)
        return [self._rate(name, "single", self.plan.single, goals)]

    def _rate(self, name: str, row: str, counts: Sequence[int], goals: tuple[Goal, ...]) -> Row:
        sizes = ", ".join(f"{side} {count:,}" for side, count in zip(SIDES, counts, strict=True))
        return Row(
            name=name,
            unit="acknowledged/s",
            figures=self._figures(row),
            compared_with=(_NAIVE, _TUNED),
            goals=goals,
            notes=(f"Postbacks per round: {sizes}.",),
        )

    def _latencies(self) -> list[Row]:
        rates = ", ".join(f"{side} {rate}" for side, rate in zip(SIDES, RATES, strict=True))
        note = f"Events per second: {rates}; the references bear no more."
        limits = {_P50[0]: self._goals.p50, _P99[0]: self._goals.p99}
        rows = [
            Row(
                name=f"Latency {name}: {way}, one event per request",
                unit="ms",
                figures=self._figures(name + way),
                compared_with=(_NAIVE, _TUNED),
                goals=(AtMost(limit, _OURS, "ms"),),
                notes=(note,),
            )
            for way in (latency.ARRIVED, latency.LOGGED)
            for name, limit in limits.items()
        ]
        hops = [
            Row(
                name=f"Latency {name} of {_OURS}, hop by hop",
                unit="ms",
                figures={hop: Spread(tuple(self._kept(name + hop, _OURS))) for hop in latency.HOPS},
            )
            for name in limits
        ]
        return rows + hops
