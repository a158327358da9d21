"""Looking up the touchpoints of 100 installs, among few touchpoints and among very many.

The same installs are asked for before and after the table is filled. Every touchpoint but theirs is
a click of a device of its own, spread over eight days, with a name that is as random as ours.
"""

import time
from datetime import UTC, datetime, timedelta

import psycopg

from postbacks.attribution.candidates import CandidateSearch, find_candidates
from postbacks.infrastructure.database import prepared, roles
from postbacks.values import identifiers
from tests import database
from tests.bench import touches
from tests.bench.children import BenchError
from tests.bench.plan import Plan
from tests.bench.product import Account
from tests.bench.stage import Stage
from tests.bench.sums import Row, Spread, Within

_DAYS = 8
_INSTALLS = 100
_CLICKS = 3
_WARM_UPS = 3
_TOUCHPOINTS = """
    INSERT INTO touchpoint (
        organization_id, public_id, app_id, partner_id, campaign_id, link_id, kind, source,
        occurred_at, received_at
    )
    SELECT organization_id, gen_random_uuid(), app_id, partner_id, campaign_id, link_id, kind,
           source, moment, moment
    FROM (SELECT * FROM touchpoint ORDER BY id LIMIT 1) AS template,
        (SELECT %(now)s - number * %(step)s AS moment
         FROM generate_series(1, %(count)s) AS number) AS fresh
"""
_KEYS = """
    INSERT INTO touchpoint_key (
        organization_id, app_id, key, kind, occurred_at, received_at, touchpoint_id
    )
    SELECT organization_id, app_id, gen_random_uuid(), kind, occurred_at, received_at, id
    FROM touchpoint WHERE id > %(last)s
"""
# Whole indexes are made several times as quickly as they grow row by row in no order.
_WITHOUT_INDEXES = """
    DROP INDEX touchpoint_by_public_id;
    ALTER TABLE touchpoint_key DROP CONSTRAINT touchpoint_key_pkey;
"""
_WITH_INDEXES = """
    CREATE INDEX touchpoint_by_public_id ON touchpoint (organization_id, public_id);
    ALTER TABLE touchpoint_key
        ADD PRIMARY KEY (organization_id, app_id, key, occurred_at, touchpoint_id);
"""


def measure(stage: Stage, plan: Plan) -> Row:
    """Fill up, look, fill up again, look again."""
    now = datetime.now(UTC)
    idfas = [f"7D92078A-8246-4BA4-AE5B-{number:012d}" for number in range(_INSTALLS)]
    link = touches.make_link(stage.account, "Glow Ads")
    for _ in range(_CLICKS):
        touches.click(stage.account, link, idfas, at=now)
    searches = [_search(stage.account, idfa, now) for idfa in idfas]
    figures = {}
    filled = 0
    for count in plan.touchpoints:
        _fill(stage.sides[-1].conninfo, count - filled, now)
        filled = count
        figures[f"{count:,} touchpoints"] = Spread(_looks(searches, plan.candidate_looks))
    few, many = figures
    return Row(
        name=f"Looking up the touchpoints of {_INSTALLS} installs",
        unit="ms",
        figures=figures,
        compared_with=(few,),
        goals=(Within(2, few, many),),
    )


def _search(account: Account, idfa: str, now: datetime) -> CandidateSearch:
    ids = {"idfa": idfa, "idfv": idfa, "install_id": f"device-{idfa}"}
    names = {*identifiers.identifiers_of(ids), *identifiers.hashed_identifiers(ids)}
    return CandidateSearch(account.organization.pk, account.app.pk, frozenset(names), now)


def _fill(conninfo: str, count: int, now: datetime) -> None:
    values = {"count": count, "now": now, "step": timedelta(days=_DAYS - 0.5) / count}
    with psycopg.connect(conninfo) as superuser:
        superuser.execute("SET session_replication_role = replica")  # without checks of references
        superuser.execute("SET maintenance_work_mem = '512MB'")
        superuser.execute(
            "SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date - %s, %s)", [_DAYS, _DAYS]
        )
        row = superuser.execute("SELECT max(id) FROM touchpoint").fetchone()
        superuser.execute(_WITHOUT_INDEXES)
        superuser.execute(_TOUCHPOINTS, values)
        superuser.execute(_KEYS, {"last": row[0] if row else 0})
        superuser.execute(_WITH_INDEXES)
    with psycopg.connect(conninfo, autocommit=True) as superuser:
        superuser.execute("ANALYZE touchpoint_key, touchpoint")


def _looks(searches: list[CandidateSearch], count: int) -> tuple[float, ...]:
    durations = []
    with database.as_role(roles.WORKER):
        prepared.replan()
        for _ in range(count + _WARM_UPS):
            started_at = time.perf_counter()
            results = find_candidates(searches)
            durations.append((time.perf_counter() - started_at) * 1000)
            if any(len(candidates) != _CLICKS for candidates in results):
                raise BenchError("An install's clicks were not found.")
    return tuple(durations[_WARM_UPS:])
