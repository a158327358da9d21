"""One run from start to end: what is said, measured, printed and kept."""

import json
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from postbacks.infrastructure.database.embedded import EmbeddedServer
from tests.bench import candidates, crediting, growth, log_pages, neighbors, rendering, sink, table
from tests.bench.doors import Doors
from tests.bench.plan import FULL, QUICK, SIDES
from tests.bench.rounds import ROWS, Rounds
from tests.bench.stage import Stage
from tests.bench.sums import Row

_QUIET = 0.7
_THROUGH_DOORS = {"doors", "whole", "single", "latency", "crediting", "neighbors"}


class Session:
    """This runs the benchmark once and leaves a file of results and nothing else."""

    def __init__(
        self,
        folder: Path,
        server: EmbeddedServer,
        *,
        quick: bool,
        row_names: Sequence[str],
        own_database: bool,
    ) -> None:
        self.folder = folder
        self.plan = QUICK if quick else FULL
        self.row_names = row_names
        self.notes = sink.missing_programs()
        if own_database:
            self.notes.append("DATABASE_URL is not used: a benchmark has a PostgreSQL of its own.")
        transport = settings.DELIVERY_TRANSPORT
        self.notes.append(f"Postbacks are sent by {transport}; DELIVERY_TRANSPORT names another.")
        if quick:
            self.notes.append("QUICK: small counts and two processes a web server, to be quick.")
        if (load := os.getloadavg()[0]) > _QUIET:
            self.notes.append(f"Other programs are at work (load {load:.1f}): figures will suffer.")
        self.started_at = time.monotonic()
        references = SIDES[:-1] if set(row_names) & {"doors", *ROWS} else ()
        self.stage = Stage(server, self._say, references)

    def run(self) -> None:
        """Start everything, measure, end everything, then print and keep what was found."""
        for note in self.notes:
            self._say(note)
        try:
            self.stage.open()
            rows = self._measure()
        finally:
            self._close()
        self._report(rows)

    def _measure(self) -> list[Row]:
        in_rounds = [row for row in self.row_names if row in ROWS]
        if set(self.row_names) & _THROUGH_DOORS:
            self.stage.start_doors(self.plan.door_processes)
        rows = []
        if "doors" in self.row_names:  # before there are workers, which would take their part
            self.stage.start_door_without_database(self.plan.door_processes)
            rows += Doors(self.stage, self.plan, self._say).run()
        self.stage.start_workers()
        rounds = Rounds(self.stage, self.plan, in_rounds, self._say, self.started_at)
        if in_rounds:
            rounds.run()
            self.notes.append(self._said_of_rounds(rounds.done))
        rows += rounds.rows()
        return [*rows, *self._measure_once()]

    def _measure_once(self) -> Iterator[Row]:
        """Measure what takes no turns with the references."""
        if "crediting" in self.row_names:
            self._say("Installs with and without attribution …")
            yield crediting.measure(self.stage, self.plan)
        if "log" in self.row_names:
            self._say(f"Writing a delivery log of {self.plan.log_rows:,} postbacks …")
            yield log_pages.measure(self.stage, self.plan)
        if "growth" in self.row_names:
            yield growth.measure(self.stage, self.plan)
        if "candidates" in self.row_names:
            self._say(f"Writing {self.plan.touchpoints[-1]:,} touchpoints …")
            yield candidates.measure(self.stage, self.plan)
        if "rendering" in self.row_names:
            self._say("Rendering …")
            yield rendering.measure(self.plan)
        if "neighbors" in self.row_names:
            self._say("A tenant beside five neighbors …")
            yield neighbors.measure(self.stage, self.plan, self._say)

    def _said_of_rounds(self, done: int) -> str:
        if done == self.plan.rounds:
            return f"{done} interleaved rounds."
        return f"Only {done} of {self.plan.rounds} rounds: there was no time for more."

    def _close(self) -> None:
        """End everything; a second Ctrl-C does not leave half of it behind."""
        self._say("Stopping …")
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.stage.close()
        finally:
            signal.signal(signal.SIGINT, before)

    def _report(self, rows: Sequence[Row]) -> None:
        now = datetime.now(UTC)
        path = self.folder / f"{now:%Y-%m-%dT%H-%M-%S}.json"
        result = {
            "at": now.isoformat(timespec="seconds"),
            "machine": self._machine(),
            "sink_requests_per_second": self.stage.sink.bound,
            "rows": [table.as_json(row) for row in rows],
            "notes": self.notes,
        }
        path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        bound = self.stage.sink.bound
        lines = [self._machine()]
        if bound:
            lines.append(f"For comparison: wrk against the same sink, {bound:,.0f} requests/s.")
        sys.stdout.write("\n".join(["", *lines, "", table.table(rows), "", *self.notes, ""]))
        sys.stdout.write(f"All figures: {path}\n")

    def _machine(self) -> str:
        cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
        return (
            f"{cores} cores, {platform.machine()}, Python {platform.python_version()}, "
            f"PostgreSQL {self.stage.version}, sink: {self.stage.sink.kind}"
        )

    def _say(self, text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - self.started_at:6.1f} s  {text}\n")
        sys.stdout.flush()
