"""Rules, events and templates at their bounds: a worker's memory, and its signs of life."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.conf import settings
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from tests import database
from tests.events import event, record
from tests.make import make_partner, make_rule, make_tenant
from tests.pipeline.conftest import RecordingPartner

pytestmark = pytest.mark.django_db(transaction=True)

MOST_MEGABYTES = 300
MOST_SECONDS = 5.0  # of the pump's own processor time: a busy machine adds to any other
EVENTS = 6


def numbers(seed: int) -> list[float]:
    return [round(n * 1.001 + seed, 3) for n in range(1000)]


def texts(seed: int) -> list[str]:
    return [f"{seed}-{n:04d}-{'ж' * 6}" for n in range(1000)]


def lists_of(values: Callable[[int], Sequence[object]], count: int, field: str) -> dict[str, Any]:
    lines = [{"field": field, "operator": "in", "value": values(n)} for n in range(count)]
    return {"any": [*lines, {"field": "event_name", "operator": "exists", "value": True}]}


def patterns(pattern: str) -> dict[str, Any]:
    lines = [
        {"field": "params.text", "operator": "matches", "value": f"{pattern}{n}"} for n in range(49)
    ]
    return {"any": [*lines, {"field": "event_name", "operator": "exists", "value": True}]}


CONDITIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "none": lambda: {"all": []},
    "numbers": lambda: lists_of(numbers, 49, "params.level"),
    "texts": lambda: lists_of(texts, 24, "params.text"),
    "many states": lambda: patterns("((a?b?){30}){30}x"),
    "large patterns": lambda: patterns(r"\pL{90}"),
    "containers": lambda: {
        "any": [{"field": "params.all", "operator": "contains", "value": f"{n}"} for n in range(50)]
    },
}


def macro(name: str, *filters: str) -> str:
    return "{{" + "|".join([name, *filters]) + "}}"


def raw(body: str) -> dict[str, str]:
    return {"body_type": "raw", "body": body}


TEXT = macro("params.text")
LIST = ",".join([macro("params.all")] * 190)
TEMPLATES: dict[str, dict[str, Any]] = {
    "a GET": {"method": "GET"},
    "a large body": raw(TEXT * 190),
    "a large secret body": raw(TEXT * 190 + macro("credential.k")),
    "filters": raw(macro("params.text", *["upper", "lower"] * 8) * 190),
    "hashes": raw(macro("params.text", "sha256") * 190),
    "base64": raw(macro("params.text", *["base64"] * 16)),
    "headers": {"headers": {f"X-{n}": macro("params.text", "truncate:4000") for n in range(20)}},
    "JSON": {"body_type": "json", "body": '{"a": [' + LIST + "]}"},
    "a form": {"body_type": "form", "body": "&".join(f"a{n}={TEXT}" for n in range(190))},
}
EVENT_KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "small": lambda: event(params={"level": 1, "text": "a"}),
    "a long text": lambda: event(params={"text": "ab" * 2_700}),
    "a text at the limit": lambda: event(params={"text": "жx" * 10_000}),
    "thousands of keys": lambda: event(
        params={"all": {f"{n:x}": n for n in range(2_600)}, "text": "b"}
    ),
    "long fields": lambda: event(
        params={"text": "ab" * 2_000},
        **dict.fromkeys(("device_model", "user_agent", "carrier", "os_version"), "x" * 4_000),
    ),
}
RULES = st.lists(
    st.tuples(st.sampled_from(sorted(CONDITIONS)), st.sampled_from(sorted(TEMPLATES))),
    min_size=1,
    max_size=6,
)
TENANTS = st.lists(RULES, min_size=1, max_size=3)
KINDS = st.lists(st.sampled_from(sorted(EVENT_KINDS)), min_size=1, max_size=3)
WORST = [[("numbers", "a GET")] * 6, [("many states", "a large secret body"), ("texts", "filters")]]


def test_a_worker_stays_small_and_alive_whatever_is_at_its_bounds(
    ok_partner: RecordingPartner,
) -> None:
    reports = []

    @hypothesis_settings(
        max_examples=3, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @example(tenants=WORST, kinds=["a long text", "thousands of keys"])
    @given(tenants=TENANTS, kinds=KINDS)
    def works(tenants: list[list[tuple[str, str]]], kinds: list[str]) -> None:
        for rules in tenants:
            _prepare_tenant(rules, kinds, ok_partner)
        report = _run_pump()
        reports.append(report)
        assert report["peak_mb"] <= MOST_MEGABYTES, reports
        assert report["longest_cpu_seconds"] <= MOST_SECONDS, reports
        with database.superuser().cursor() as cursor:
            cursor.execute("SELECT count(*) FROM undecided_event")
            assert cursor.fetchone() == (0,)

    works()
    sys.stderr.write("".join(f"{report}\n" for report in reports))


def _prepare_tenant(
    rules: list[tuple[str, str]], kinds: list[str], partner: RecordingPartner
) -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        network = make_partner(credentials={"k": "s" * 4_000}, allowed_hosts=(partner.host,))
        for conditions, template in rules:
            make_rule(
                **{
                    "url": f"{partner.url}/?e={{{{event_name}}}}",
                    "method": "POST",
                    "partner": network,
                    "conditions": CONDITIONS[conditions](),
                    "retry_delays": [],
                    **TEMPLATES[template],
                }
            )
    for start in range(0, EVENTS, len(kinds)):
        record(gem, *(EVENT_KINDS[kind]() for kind in kinds[: EVENTS - start]))


def _run_pump() -> dict[str, Any]:
    environment = {"DJANGO_SETTINGS_MODULE": "postbacks.settings", "DATABASE_ROLE": roles.WORKER}
    process = subprocess.run(
        [sys.executable, "-m", "tests.pipeline.pump_at_bounds", "120"],
        cwd=settings.BASE_DIR,
        env=database.environment() | environment,
        check=True,
        capture_output=True,
    )
    return json.loads(process.stdout.splitlines()[-1])
