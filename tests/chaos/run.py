"""One run: what is done in which order, what it prints and keeps."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psycopg

from tests.chaos.damage import Damage, FullDisk, Wound
from tests.chaos.installation import ChaosError, Installation
from tests.chaos.judge import Limits, Verdict, judge, seen_after
from tests.chaos.traffic import Traffic

_TRICKLE = 20  # events a second, at all times, besides the bursts
_RELEASE_SECONDS = 0.1
_WATCH_SECONDS = 45.0  # after which a wound counts as never healed
_DRAIN_SECONDS = 150.0
_PAIRS = 0.15  # this share of the kills comes together with the next one


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is sent, and what is done to how many."""

    events: int  # in bursts, one before each kill
    kills: dict[str, int]
    faults: dict[str, int]
    fault_seconds: float
    limits: Limits
    pause: float  # seconds, at most, between a burst and a kill


FULL = Plan(
    events=20_000,
    kills={
        "pump": 12,
        "cluster master": 5,
        "supervisor": 5,
        "web worker": 5,
        "gunicorn master": 4,
        "PostgreSQL backend": 4,
        "postmaster": 4,
    },
    faults={
        "disk full": 2,
        "PostgreSQL frozen": 2,
        "connections exhausted": 2,
        "Redis gone": 2,
    },
    fault_seconds=6.0,
    limits=Limits(mid_batch=8, recovery_seconds=10.0),
    pause=2.0,
)
SHORT = Plan(
    events=700,
    kills={
        "pump": 2,
        "cluster master": 1,
        "supervisor": 1,
        "web worker": 1,
        "gunicorn master": 1,
        "PostgreSQL backend": 1,
        "postmaster": 1,
    },
    faults={"connections exhausted": 1},
    fault_seconds=2.0,
    # Seconds say little while tests of many processes share the machine.
    limits=Limits(mid_batch=1, recovery_seconds=30.0),
    pause=0.5,
)


@dataclass(slots=True)
class Run:
    """A run on an installation that has been started."""

    installation: Installation
    plan: Plan
    seed: int
    full_disk: FullDisk
    say: Callable[[str], object]
    wounds: list[Wound] = field(default_factory=list)
    _dice: random.Random = field(init=False)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)  # noqa: S311

    def do(self) -> Verdict:
        """Do everything, and judge."""
        traffic = Traffic(self.installation, self._dice)
        damage = Damage(self.installation, self._dice, self.full_disk, self.plan.fault_seconds)
        traffic.start()
        trickle = threading.Thread(target=self._trickle, args=[traffic])
        trickle.start()
        try:
            steps = self._steps(damage)
            for kinds in steps:
                traffic.release(-(-self.plan.events // len(steps)))
                time.sleep(self._dice.uniform(0.1, self.plan.pause))
                self._step(kinds, damage, traffic)
        finally:
            self._is_over.set()
            trickle.join()
        traffic.finish()
        self._drain()
        return judge(self.installation, traffic, self.wounds, self.plan.limits)

    def _steps(self, damage: Damage) -> list[list[str]]:
        kinds = [kind for kind, count in self.plan.kills.items() for _ in range(count)]
        faults = self.plan.faults.items()
        kinds += [kind for kind, count in faults if kind in damage.faults for _ in range(count)]
        self._dice.shuffle(kinds)
        steps: list[list[str]] = []
        for kind in kinds:
            if steps and len(steps[-1]) == 1 and self._dice.random() < _PAIRS:
                steps[-1].append(kind)
            else:
                steps.append([kind])
        return steps

    def _step(self, kinds: Sequence[str], damage: Damage, traffic: Traffic) -> None:
        wounds = []
        for kind in kinds:
            wound = self._wound(kind, damage)
            wounds.append(wound)
            self.wounds.append(wound)
        deadline = time.monotonic() + _WATCH_SECONDS
        # What comes together with an outage heals after it.
        outage = max((wound.ended_at for wound in wounds if wound.is_outage), default=0.0)
        sick = wounds
        while sick and time.monotonic() < deadline:
            sick = [wound for wound in sick if not self._is_healed(wound, traffic, outage)]
            time.sleep(0.05)
        with suppress(ChaosError):
            self.installation.wait_for(self.installation.is_whole, "", seconds=_WATCH_SECONDS)
            for wound in wounds:
                wound.whole_in = time.monotonic() - wound.ended_at
        for wound in wounds:
            self.say(_line(wound))

    def _wound(self, kind: str, damage: Damage) -> Wound:
        deadline = time.monotonic() + _WATCH_SECONDS
        while True:
            try:
                return damage.do(kind)
            except psycopg.OperationalError:  # the wound before has not healed
                if time.monotonic() > deadline:
                    raise ChaosError(f"{kind}: the database is not back.") from None
                time.sleep(0.1)

    def _is_healed(self, wound: Wound, traffic: Traffic, outage: float) -> bool:
        began = max(wound.began_at, outage)
        if wound.recovered_in is None:
            at = seen_after(self.installation.look(), traffic, began)
            wound.recovered_in = at - began if at else None
        if wound.claims and wound.returned_in is None and self._is_returned(wound):
            wound.returned_in = time.monotonic() - began
        return wound.recovered_in is not None and not (wound.claims and wound.returned_in is None)

    def _is_returned(self, wound: Wound) -> bool:
        try:
            left = self.installation.query(
                "SELECT count(*) FROM worker_heartbeat WHERE claims = %s", wound.claims
            )
        except psycopg.OperationalError:
            return False
        return left == [(0,)]

    def _trickle(self, traffic: Traffic) -> None:
        while not self._is_over.wait(_RELEASE_SECONDS):
            traffic.release(round(_TRICKLE * _RELEASE_SECONDS))

    def _drain(self) -> None:
        self.say("Waiting until the queue is empty …")
        busy = "SELECT EXISTS (SELECT FROM undecided_event) OR EXISTS (SELECT FROM due_postback)"
        try:
            self.installation.wait_for(
                lambda: self.installation.query(busy) == [(False,)], "", seconds=_DRAIN_SECONDS
            )
        except ChaosError:
            self.say("It is not; what is stuck counts as stuck.")


def table(verdict: Verdict, wounds: Sequence[Wound]) -> str:
    """Return what a person reads at the end."""
    head = ("", "times", "delivery went on after", "claims back after", "whole after, s")
    lines = [_row(*head)]
    for kind, count in Counter(wound.kind for wound in wounds).items():
        of_kind = [wound for wound in wounds if wound.kind == kind]
        spreads = (
            _spread([wound.recovered_in for wound in of_kind]),
            _spread([wound.returned_in for wound in of_kind]),
            _spread([wound.whole_in for wound in of_kind]),
        )
        lines.append(_row(kind, str(count), *spreads))
    lines.append("")
    lines += [f"{name:<42}{value!s:>10}" for name, value in verdict.figures.items()]
    lines.append("")
    lines += [f"BROKEN: {sentence}" for sentence in verdict.broken] or ["Every promise was kept."]
    return "\n".join(lines)


def keep(path: Path, run: Run, verdict: Verdict) -> None:
    """Write all figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "seed": run.seed,
        "disk": run.full_disk.means,
        "recovery_limit_seconds": run.plan.limits.recovery_seconds,
        "figures": verdict.figures,
        "broken": verdict.broken,
        "evidence": verdict.evidence,
        "wounds": [asdict(wound) for wound in run.wounds],
    }
    path.write_text(json.dumps(result, indent=2, default=str) + "\n")


def _row(kind: str, *cells: str) -> str:
    return f"{kind:<24}{cells[0]:>6}" + "".join(f"{cell:>24}" for cell in cells[1:])


def _spread(durations: Sequence[float | None]) -> str:
    seconds = sorted(each for each in durations if each is not None)
    if not seconds:
        return ""
    return f"{seconds[len(seconds) // 2]:.1f}, at most {seconds[-1]:.1f}"


def _line(wound: Wound) -> str:
    words = [f"{wound.kind} {wound.pid or ''}".strip()]
    if wound.in_flight is not None:
        words.append(f"{wound.claimed} claimed, {wound.in_flight} in flight")
    if wound.note:
        words.append(wound.note)
    never = "never"
    went_on = never if wound.recovered_in is None else f"{wound.recovered_in:.1f} s"
    words.append(f"delivery went on after {went_on}")
    if wound.claims:
        returned = never if wound.returned_in is None else f"{wound.returned_in:.1f} s"
        words.append(f"claims back after {returned}")
    words.append("never whole" if wound.whole_in is None else f"whole after {wound.whole_in:.1f} s")
    return "; ".join(words)
