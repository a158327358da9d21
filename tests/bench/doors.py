"""Rows 4 and 5: what the doors take, in batches of 100 and one by one, durable before the answer.

Nothing is decided or sent meanwhile: no worker runs yet. Beside Postbacks stand what the same
packages give by the book (REST framework, a ModelSerializer, `save()` or `bulk_create`), and three
bounds: PostgreSQL copying the same rows from a file into the same three tables, our view with
nothing stored, and nginx answering at once.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psycopg

from tests.bench import load, sample
from tests.bench.children import BenchError
from tests.bench.load import Door
from tests.bench.plan import Plan
from tests.bench.stage import Stage
from tests.bench.sums import AtLeast, Row, Spread

OURS = "Postbacks"
_SAVE = "REST framework and save()"
_BULK = "REST framework and bulk_create"
_COPY = "COPY by PostgreSQL"
_NO_DATABASE = "the view without a database"
_NGINX = "nginx, answering at once"
_WRITTEN_COLUMNS = """
    SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""
_TABLES = ("event_key", "event", "undecided_event")  # what an event is stored in


@dataclass(slots=True)
class Doors:
    """Measures each door by turns, round after round."""

    stage: Stage
    plan: Plan
    say: Callable[[str], None]
    _rates: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def run(self) -> list[Row]:
        """Measure all rounds; what they stored leaves the queue undecided."""
        for number in range(self.plan.door_rounds):
            for row, measures in (("single", self._singles()), ("batches", self._batches())):
                for name, measure in measures.items():
                    rate = measure()
                    self._rates.setdefault((row, name), []).append(rate)
                    self.say(
                        f"Round {number + 1} of {self.plan.door_rounds}, {row}, {name}: "
                        f"{rate:,.0f}/s"
                    )
        with psycopg.connect(self.stage.sides[-1].conninfo) as superuser:
            superuser.execute("TRUNCATE undecided_event")
        return [self._row_of_singles(), self._row_of_batches()]

    def _singles(self) -> Mapping[str, Callable[[], float]]:
        naive, *_, ours = self.stage.sides
        stock, fast = self.plan.single_events
        doors = {
            _SAVE: (Door(_SAVE, naive.port, naive.key, "/stored"), stock),
            OURS: (Door(OURS, ours.port, ours.key), fast),
            _NO_DATABASE: (Door(_NO_DATABASE, self.stage.no_database_port, ours.key), fast),
        }
        if self.stage.sink.kind == "nginx":
            doors[_NGINX] = (Door(_NGINX, self.stage.sink.port, ours.key), 10 * fast)
        return {name: lambda of=of: _rate(*of) for name, of in doors.items()}

    def _batches(self) -> Mapping[str, Callable[[], float]]:
        naive, *_, ours = self.stage.sides
        stock, fast = self.plan.batches
        return {
            _SAVE: lambda: _rate(Door(_SAVE, naive.port, naive.key, "/stored"), stock, batch=True),
            _BULK: lambda: _rate(
                Door(_BULK, naive.port, naive.key, "/stored-in-bulk"), stock, batch=True
            ),
            OURS: lambda: _rate(Door(OURS, ours.port, ours.key), fast, batch=True),
            _COPY: lambda: _copy(self.stage, fast * sample.BATCH),
        }

    def _figures(self, row: str) -> dict[str, Spread]:
        return {
            name: Spread(tuple(rates)) for (of, name), rates in self._rates.items() if of == row
        }

    def _row_of_singles(self) -> Row:
        figures = self._figures("single")
        notes = [f"{load.SINGLE_CLIENTS} clients; each waits for its answer."]
        if _NGINX not in figures:
            notes.append("nginx is not installed: its answer is left out.")
        return Row(
            name="The door, one event a request: in → stored → answered",
            unit="events/s",
            figures=figures,
            compared_with=(_SAVE, _NO_DATABASE),
            goals=(AtLeast(8, OURS, _SAVE), AtLeast(0.5, OURS, _NO_DATABASE)),
            notes=tuple(notes),
        )

    def _row_of_batches(self) -> Row:
        return Row(
            name="The door, 100 events a request: in → stored → answered",
            unit="events/s",
            figures=self._figures("batches"),
            compared_with=(_SAVE, _BULK, _COPY),
            goals=(AtLeast(20, OURS, _SAVE), AtLeast(8, OURS, _BULK), AtLeast(0.3, OURS, _COPY)),
            notes=(f"{load.BATCH_CLIENTS} clients. COPY: into {', '.join(_TABLES)}, by one core.",),
        )


def _rate(door: Door, requests: int, *, batch: bool = False) -> float:
    events = sample.BATCH if batch else 1
    return requests * events / load.send(door, requests, batch=events)


def _copy(stage: Stage, count: int) -> float:
    """Copy so many stored events, from files, into tables with the same columns and indexes."""
    ours = stage.sides[-1]
    folder = stage.server.cluster
    with psycopg.connect(ours.conninfo, autocommit=True) as superuser:
        for table in _TABLES:
            superuser.execute(f"CREATE TABLE copy_of_{table} (LIKE {table} INCLUDING ALL)")
            ((columns,),) = superuser.execute(_WRITTEN_COLUMNS, [table])
            rows = superuser.execute(
                f"COPY (SELECT {columns} FROM {table} ORDER BY id DESC LIMIT {count}) "
                f"TO '{folder}/{table}.copy'"
            ).rowcount
            if rows != count:
                raise BenchError(f"There are {rows} rows of {table} to copy, not {count}.")
        started_at = time.monotonic()
        with superuser.transaction():
            for table in _TABLES:
                superuser.execute(f"COPY copy_of_{table} FROM '{folder}/{table}.copy'")
        seconds = time.monotonic() - started_at
        for table in _TABLES:
            superuser.execute(f"DROP TABLE copy_of_{table}")
    return count / seconds
