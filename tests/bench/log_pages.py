"""The delivery log: its first page, and one very deep in it, as a signed-in owner gets them."""

import time
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from django.test import Client
from django.urls import reverse

from postbacks.insights.keyset import KeysetPosition
from tests.bench.children import BenchError
from tests.bench.plan import Plan
from tests.bench.stage import Stage
from tests.bench.sums import Row, Spread, Within

_DAYS = 10
_WARM_UPS = 2
# Copies of a delivered postback and its attempt, spread evenly over the days.
_POSTBACKS = """
    INSERT INTO postback SELECT copy.*
    FROM (SELECT nextval('postback_id_seq') AS id,
                 %(newest)s - number * %(step)s AS moment, number
          FROM generate_series(1, %(count)s) AS number) AS fresh, postback,
        jsonb_populate_record(postback, jsonb_build_object(
            'id', fresh.id, 'public_id', gen_random_uuid(), 'event_id', fresh.id,
            'sdk_event_id', gen_random_uuid(), 'event_received_at', fresh.moment,
            'created_at', fresh.moment, 'delivered_at', fresh.moment
        )) AS copy
    WHERE postback.id = %(template)s
"""
_ATTEMPTS = """
    INSERT INTO delivery_attempt SELECT copy.*
    FROM (SELECT nextval('delivery_attempt_id_seq') AS id, id AS postback_id, event_received_at
          FROM postback WHERE id > %(last)s) AS fresh, delivery_attempt,
        jsonb_populate_record(delivery_attempt, jsonb_build_object(
            'id', fresh.id, 'postback_id', fresh.postback_id,
            'event_received_at', fresh.event_received_at, 'started_at', fresh.event_received_at
        )) AS copy
    WHERE delivery_attempt.postback_id = %(template)s
"""
_PAGE_AT = """
    SELECT id, event_received_at FROM postback
    ORDER BY event_received_at DESC, id DESC OFFSET %s LIMIT 2
"""


@dataclass(frozen=True, slots=True)
class _Page:
    """This is a page of the log: how to get it, and the address of a row that it must show."""

    name: str
    address: str
    shows: str


def measure(stage: Stage, plan: Plan) -> Row:
    """Fill the organization's log and time both pages in turns."""
    _fill(stage.sides[-1].conninfo, plan)
    first, deep = _pages(stage.sides[-1].conninfo, plan.log_depth)
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(stage.account.owner)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No directory at", UserWarning)  # of collected files
        looks = [
            (_look(client, first), _look(client, deep)) for _ in range(plan.log_looks + _WARM_UPS)
        ]
    times = zip((first, deep), zip(*looks[_WARM_UPS:], strict=True), strict=True)
    return Row(
        name=f"Delivery log with {plan.log_rows:,} postbacks, a page of the admin",
        unit="ms",
        figures={page.name: Spread(durations) for page, durations in times},
        compared_with=(first.name,),
        goals=(Within(2, first.name, deep.name),),
    )


def _fill(conninfo: str, plan: Plan) -> None:
    """Write the log, days and all."""
    values = {
        "newest": datetime.now(UTC) - timedelta(minutes=1),
        "step": timedelta(days=_DAYS - 0.5) / plan.log_rows,
        "count": plan.log_rows,
    }
    with psycopg.connect(conninfo) as superuser:
        superuser.execute("SET session_replication_role = replica")  # without checks of references
        superuser.execute(
            "SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date - %s, %s)", [_DAYS, _DAYS]
        )
        template = superuser.execute("SELECT min(id), max(id) FROM postback").fetchone()
        values |= {"template": template[0], "last": template[1]}
        superuser.execute(_POSTBACKS, values)
        superuser.execute(_ATTEMPTS, values)
    with psycopg.connect(conninfo, autocommit=True) as superuser:
        superuser.execute("VACUUM ANALYZE postback, delivery_attempt")


def _pages(conninfo: str, depth: int) -> tuple[_Page, _Page]:
    """Return the log's first page and the one that begins after so many rows."""
    with psycopg.connect(conninfo) as superuser:
        newest = superuser.execute(_PAGE_AT, [0]).fetchall()
        before, begins = superuser.execute(_PAGE_AT, [depth - 1]).fetchall()
    log = reverse("admin:postbacks_postback_changelist")
    deep = f"{log}?after={KeysetPosition(*before).encode()}"
    return (
        _Page("first page", log, _address(newest[0])),
        _Page(f"{depth:,} deep", deep, _address(begins)),
    )


def _address(row: tuple[int, datetime]) -> str:
    return reverse("admin:postbacks_postback_change", args=[row[0]])


def _look(client: Client, page: _Page) -> float:
    started_at = time.perf_counter()
    response = client.get(page.address)
    milliseconds = (time.perf_counter() - started_at) * 1000
    if response.status_code != 200 or page.shows.encode() not in response.content:
        raise BenchError(f"The delivery log's {page.name} is not the page that was asked for.")
    return milliseconds
