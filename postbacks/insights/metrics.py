"""What `/metrics` shows: what the processes have counted, and what the database says at the moment.

No gauge counts a table: each looks at one row, or at a bounded number.
"""

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from postbacks import __version__
from postbacks.delivery import attempt_reports
from postbacks.infrastructure import metrics
from postbacks.infrastructure.database import partitions, roles
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.insights.health import FIND_QUEUES, as_role, oldest_due_wait
from postbacks.intake.events.recording import EVENTS
from postbacks.intake.refused_events import UNLOGGED
from postbacks.models import BreakerState, EventSource, WorkerHeartbeat
from postbacks.models.heartbeats import CLUSTER

MOST_COUNTED = 10_000  # a gauge that says so many may mean more
_MOST_QUEUES = 1_000
_LONGEST_MS = 2_000

_COUNT_QUEUE = load_sql("postbacks.insights", "count_queue", find_queues=FIND_QUEUES)
_COUNT_UNDECIDED = """
SELECT count(*) FROM (
    SELECT FROM undecided_event ORDER BY organization_id, id LIMIT %s
) AS undecided
"""
_COUNT_BREAKERS = """
SELECT state, count(*) FROM (SELECT state FROM circuit_breaker LIMIT %s) AS breaker GROUP BY state
"""


def exposition() -> bytes:
    """Return everything in Prometheus' text format."""
    for source in (EventSource.SDK, EventSource.SERVER, EventSource.TENJIN):
        for result in ("taken", "duplicate", "rejected"):
            EVENTS.add((source.value, result), 0)
    for cause in ("counters", "database"):
        UNLOGGED.add((cause,), 0)
    attempt_reports.start_at_zero()
    registry = CollectorRegistry()
    registry.register(_Collector())
    return generate_latest(registry)


class _Collector:
    def describe(self) -> list[Metric]:
        return []  # nothing is asked for before the scrape

    def collect(self) -> Iterator[Metric]:
        yield from metrics.collect()
        yield _build_info()
        yield from _database_gauges()


@dataclass(frozen=True, slots=True)
class _Gauge:
    name: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[], dict[tuple[str, ...], float]]

    def metric(self) -> Metric:
        family = GaugeMetricFamily(self.name, self.help, labels=self.labels)
        for labels, value in self.read().items():
            family.add_metric(labels, value)
        return family


def _build_info() -> Metric:
    labels = {
        "version": __version__,
        "transport": settings.DELIVERY_TRANSPORT,
        "python": platform.python_version(),
    }
    family = GaugeMetricFamily(
        "postbacks_build_info", "Always 1; its labels say what runs.", labels=tuple(labels)
    )
    family.add_metric(tuple(labels.values()), 1)
    return family


def _database_gauges() -> Iterator[Metric]:
    """Read the gauges; without a database there are none, and what was counted is shown anyway."""
    read: list[Metric] = []
    is_up = 1
    try:
        with as_role(roles.WORKER):  # it sees every organization's
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {_LONGEST_MS}")
            read.extend(gauge.metric() for gauge in (*_GAUGES, *_queue_gauges()))
    except (DatabaseError, InterfaceError, psycopg.Error):
        connection.close()
        is_up = 0
    yield GaugeMetricFamily(
        "postbacks_database_up", "1 if the database answered this scrape, else 0.", value=is_up
    )
    if is_up:
        yield from read


def _queue_gauges() -> list[_Gauge]:
    parameters = {
        "most": MOST_COUNTED,
        "queues": _MOST_QUEUES,
        "lease": settings.LEASE_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_QUEUE, parameters)
        due, claimed = cursor.fetchone()
    return [
        _Gauge(
            "postbacks_due",
            f"Postbacks that are due now, at most {MOST_COUNTED}; without those of rules that"
            " limit how fast they send.",
            (),
            lambda: {(): due},
        ),
        _Gauge(
            "postbacks_claimed",
            f"Postbacks in the hands of a worker, at most {MOST_COUNTED}; without those of rules"
            " that limit how fast they send.",
            (),
            lambda: {(): claimed},
        ),
    ]


def _read_undecided() -> dict[tuple[str, ...], float]:
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_UNDECIDED, [MOST_COUNTED])
        return {(): cursor.fetchone()[0]}


def _read_breakers() -> dict[tuple[str, ...], float]:
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_BREAKERS, [MOST_COUNTED])
        counts = dict(cursor.fetchall())
    return {(state.value,): counts.get(state.value, 0) for state in BreakerState}


def _read_cluster() -> dict[tuple[str, ...], float]:
    age = WorkerHeartbeat.ages(CLUSTER).get(CLUSTER)
    return {} if age is None else {(): age}


def _read_pumps() -> dict[tuple[str, ...], float]:
    """Return the age of each slot's latest heartbeat; a slot's pump hands on every minute."""
    ages: dict[tuple[str, ...], float] = {}
    for beat in WorkerHeartbeat.pumps():
        worker, _, slot = beat.name.partition(":pump:")
        labels = (worker, slot.partition(":")[0])
        ages[labels] = min(beat.age, ages.get(labels, beat.age))
    return ages


_GAUGES = (
    _Gauge(
        "postbacks_oldest_due_seconds",
        "How long the oldest due postback has waited; without those of rules that limit how fast"
        " they send, and of open circuit breakers.",
        (),
        lambda: {(): oldest_due_wait().total_seconds()},
    ),
    _Gauge(
        "postbacks_undecided_events",
        f"Stored events for which no rule has been looked at yet, at most {MOST_COUNTED}.",
        (),
        _read_undecided,
    ),
    _Gauge(
        "postbacks_circuit_breakers",
        "Partners' hosts that fail or failed lately, by the state of their circuit breaker.",
        ("state",),
        _read_breakers,
    ),
    _Gauge(
        "postbacks_cluster_heartbeat_age_seconds",
        "Seconds since the last sign of life of any worker.",
        (),
        _read_cluster,
    ),
    _Gauge(
        "postbacks_pump_heartbeat_age_seconds",
        "Seconds since the last sign of life of each pump.",
        ("worker", "pump"),
        _read_pumps,
    ),
    _Gauge(
        "postbacks_partition_days_ahead",
        "Days after today for which the logs have partitions.",
        (),
        lambda: {(): partitions.days_ahead()},
    ),
    _Gauge(
        "postbacks_partition_days_kept",
        "Days from the oldest partition of events until today.",
        (),
        lambda: {(): partitions.days_kept()},
    ),
)
