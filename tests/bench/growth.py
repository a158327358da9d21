"""Row 9: every list, filter and search in a generated load, beside the same in a small one."""

import json
import os
import sys
from collections.abc import Mapping

import psycopg

from postbacks.infrastructure.database import roles
from postbacks.infrastructure.database.embedded import LOGIN
from tests.bench.children import finish
from tests.bench.plan import Plan
from tests.bench.stage import Stage
from tests.bench.sums import EveryAtMost, EveryWithin, Row, Spread

_SMALL, _LARGE = "small", "large"
_ROUNDS = 2
_MOST_TIMES, _MOST_MILLISECONDS, _MOST_OF_A_SEARCH = 1.5, 300, 50
_SEARCH = "Search: "
_MOST_SECONDS = 7_200.0  # of a load, or of a look at all pages


def measure(stage: Stage, plan: Plan) -> Row:
    """Load two databases and time every page of both in turns."""
    environments = {
        _SMALL: _load(stage, _SMALL, plan.growth[0]),
        _LARGE: _load(stage, _LARGE, plan.growth[1]),
    }
    looks: dict[str, dict[str, tuple[float, ...]]] = {name: {} for name in environments}
    for _ in range(_ROUNDS):
        for name, environment in environments.items():
            for page, durations in _look(environment, plan.growth_looks).items():
                looks[name][page] = looks[name].get(page, ()) + durations
    small, large = (
        {page: Spread(durations) for page, durations in looks[name].items()}
        for name in (_SMALL, _LARGE)
    )
    few, many = plan.growth
    return Row(
        name=f"Pages with {many:,} attempts",
        unit="ms",
        figures=large,
        beside=(f"{few:,}", small),
        goals=(
            EveryWithin(_MOST_TIMES, small, f"of the same with {few:,}"),
            EveryAtMost(_MOST_MILLISECONDS, "ms"),
            EveryAtMost(_MOST_OF_A_SEARCH, "ms", of=_SEARCH),
        ),
    )


def _load(stage: Stage, name: str, attempts: int) -> Mapping[str, str]:
    database = f"bench_{name}"
    roles.ensure_database(stage.server.admin_conninfo("postgres"), database)
    roles.ensure_roles(stage.server.admin_conninfo(database), login=LOGIN)
    url = f"postgresql://{LOGIN}@/{database}?host={stage.server.socket_folder}"
    environment = {**os.environ, "DATABASE_URL": url}
    manage = [sys.executable, "manage.py"]
    finish([*manage, "migrate", "--verbosity=0"], environment)
    stage.say(f"Writing {attempts:,} attempts …")
    scale = f"--scale={attempts / 10_000_000}"
    finish([*manage, "generateload", scale], environment, seconds=_MOST_SECONDS)
    with psycopg.connect(stage.server.admin_conninfo(database), autocommit=True) as superuser:
        superuser.execute("CHECKPOINT")
    return environment


def _look(environment: Mapping[str, str], looks: int) -> Mapping[str, tuple[float, ...]]:
    command = [sys.executable, "-m", "tests.bench.pages", str(looks)]
    return {
        page: tuple(durations)
        for page, durations in json.loads(
            finish(command, environment, seconds=_MOST_SECONDS)
        ).items()
    }
