"""`/metrics`: what the processes count, what the database says, and who may read it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client, override_settings
from prometheus_client.parser import text_string_to_metric_families

from postbacks.delivery import attempt_reports
from postbacks.delivery.attempt_reports import error_class
from postbacks.infrastructure import metrics
from postbacks.models import PostbackStatus, WorkerHeartbeat
from postbacks.web.log_filter import json_formatter
from tests.events import event, postbacks_of, record
from tests.make import make_tenant, make_tenant_rule
from tests.pipeline.conftest import RecordingPartner, Run
from tests.workers import decide_all

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-of-prometheus"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Count into a folder of the test's own."""
    monkeypatch.setenv(metrics.FOLDER_VARIABLE, str(tmp_path / "metrics"))
    return tmp_path / "metrics"


def scrape() -> Samples:
    answer = Client().get("/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def count(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of the samples that have these labels among theirs."""
    return sum(
        value
        for (sample, own), value in samples.items()
        if sample == name and labels.items() <= dict(own).items()
    )


def test_events_and_attempts_are_counted_and_no_tenant_is_named(
    partner_answering, run_pump: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "postbacks.delivery.attempt_reports")
    gem = make_tenant("Gem Harbor")
    partner: RecordingPartner = partner_answering(
        lambda path, _: (200, {}, b"ok") if "purchase" in path else (404, {}, b"")
    )
    make_tenant_rule(gem, url=partner.url + "/{{event_name}}")
    first = event()
    record(gem, first, event("level_up"), {"event_name": ""})
    record(gem, first)

    before = scrape()
    run_pump(
        until=lambda: [p.status != PostbackStatus.PENDING for p in postbacks_of(gem)] == [True] * 2
    )
    after = scrape()

    assert count(before, "postbacks_undecided_events") == 2
    events = {
        result: count(after, "postbacks_events_total", source="server", result=result)
        for result in ("taken", "duplicate", "rejected")
    }
    assert events == {"taken": 2, "duplicate": 1, "rejected": 1}
    assert count(before, "postbacks_attempts_total") == 0
    assert count(after, "postbacks_attempts_total", outcome="delivered", error="") == 1
    assert count(after, "postbacks_attempts_total", outcome="failed", error="http_4xx") == 1
    assert count(after, "postbacks_delivery_seconds_count") == 1
    assert 0 < count(after, "postbacks_delivery_seconds_sum") < 60
    assert count(after, "postbacks_delivery_seconds_bucket", le="+Inf") == 1
    lines = [
        json.loads(json_formatter().format(each))
        for each in caplog.records
        if each.name == "postbacks.delivery.attempt_reports"
    ]
    by_outcome = {line["outcome"]: line for line in lines}
    assert len(lines) == 2
    assert (
        by_outcome["failed"].items()
        >= {
            "organization": str(gem.organization.public_id),
            "attempt": 1,
            "kind": "auto",
            "status_code": 404,
            "error_code": "http_404",
            "host": partner.host,
        }.items()
    )
    assert {line["postback"] for line in lines} == {str(p.public_id) for p in postbacks_of(gem)}
    assert "/purchase" not in str(lines)
    text = Client().get("/metrics").text
    for name in ("Gem Harbor", str(gem.organization.public_id), "organization", partner.host):
        assert name not in text


def test_organizations_are_named_where_that_is_switched_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gem, coin = make_tenant(), make_tenant("Coin Castle")
    counter = metrics.Counter(
        "postbacks_attempts", "", ("kind", "outcome", "error", "organization")
    )
    monkeypatch.setattr(attempt_reports, "ATTEMPTS", counter)
    with override_settings(METRICS_BY_ORGANIZATION=True):
        attempt_reports.report_interrupted(
            [
                (gem.organization.pk, "auto"),
                (coin.organization.pk, "auto"),
                (coin.organization.pk, "auto"),
            ]
        )
        samples = scrape()

    for of, expected in ((gem, 1), (coin, 2)):
        name = str(of.organization.public_id)
        counted = count(samples, "postbacks_attempts_total", organization=name)
        assert counted == expected


def test_the_queue_is_counted_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    gem = make_tenant()
    make_tenant_rule(gem)
    record(gem, *(event() for _ in range(4)))

    decide_all()
    assert count(scrape(), "postbacks_due") == 4
    monkeypatch.setattr("postbacks.insights.metrics.MOST_COUNTED", 3)
    assert count(scrape(), "postbacks_due") == 3


@pytest.mark.parametrize(
    ("token", "peer", "headers", "proxies", "status"),
    [
        ("", "127.0.0.1", {}, 0, 200),
        ("", "::1", {}, 0, 200),
        ("", "::ffff:127.0.0.1", {}, 0, 200),
        ("", "203.0.113.7", {}, 0, 403),
        ("", "", {}, 0, 403),
        ("", "127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 0, 403),  # an undeclared proxy
        ("", "127.0.0.1", {"X-Forwarded-For": "203.0.113.7"}, 1, 403),
        ("", "127.0.0.1", {"X-Forwarded-For": "127.0.0.1, 203.0.113.7"}, 1, 403),
        ("", "127.0.0.1", {"X-Forwarded-For": "203.0.113.7, 127.0.0.1"}, 1, 200),
        ("", "203.0.113.7", {"X-Forwarded-For": "127.0.0.1"}, 1, 403),
        (TOKEN, "203.0.113.7", {"Authorization": f"Bearer {TOKEN}"}, 0, 200),
        (TOKEN, "203.0.113.7", {"Authorization": f"bearer {TOKEN}"}, 0, 200),
        (TOKEN, "127.0.0.1", {}, 0, 401),
        (TOKEN, "127.0.0.1", {"Authorization": f"Basic {TOKEN}"}, 0, 401),
        (TOKEN, "127.0.0.1", {"Authorization": "Bearer wrong"}, 0, 401),
        (TOKEN, "127.0.0.1", {"Authorization": "Bearer"}, 0, 401),
        (TOKEN, "127.0.0.1", {"Authorization": "Bearer über"}, 0, 401),
    ],
)
def test_who_may_read(
    token: str, peer: str, headers: dict[str, str], proxies: int, status: int
) -> None:
    with override_settings(METRICS_TOKEN=token, TRUSTED_PROXY_COUNT=proxies):
        answer = Client().get("/metrics", headers=headers, REMOTE_ADDR=peer)

    assert answer.status_code == status
    assert (b"postbacks_build_info" in answer.content) == (status == 200)


@pytest.fixture
def no_database() -> Iterator[None]:
    host = connection.settings_dict["HOST"]
    connection.close()
    connection.settings_dict["HOST"] = "/nonexistent"
    yield
    connection.close()
    connection.settings_dict["HOST"] = host


def test_without_a_database_what_was_counted_is_still_shown(no_database) -> None:
    samples = scrape()

    assert count(samples, "postbacks_database_up") == 0
    assert ("postbacks_due", ()) not in samples
    assert "postbacks_events_total" in {name for name, _ in samples}


def test_a_folder_that_cannot_be_written_leaves_the_gauges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(metrics.FOLDER_VARIABLE, str(tmp_path / "file" / "metrics"))

    names = {name for name, _ in scrape()}

    assert "postbacks_due" in names
    assert "postbacks_events_total" not in names
    assert "Nothing is counted for /metrics" in caplog.text


_COUNT_AND_STAY = """
import os, sys
from postbacks.infrastructure.metrics import Counter, Histogram
Counter("of_tests", "Of tests.", ("kind",)).add(("a",), 3)
Histogram("of_tests_seconds", "Of tests.", (1, 2)).observe([0.5, 1.5, 9])
print("counted", flush=True)
if os.fork() == 0:
    Counter("of_tests", "Of tests.", ("kind",)).add(("a",), 1)
    os._exit(0)
os.wait()
print("forked", flush=True)
sys.stdin.read()
"""


def test_counts_outlive_killed_processes_and_their_files_do_not(folder: Path) -> None:
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", _COUNT_AND_STAY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, metrics.FOLDER_VARIABLE: str(folder)},
        )
        with process:
            assert process.stdout
            assert process.stdout.readline() == b"counted\n"
            assert process.stdout.readline() == b"forked\n"
            running = {s.name: s.value for m in metrics.collect() for s in m.samples}
            process.send_signal(signal.SIGKILL)
    ended = {
        (s.name, s.labels.get("le", "")): s.value for m in metrics.collect() for s in m.samples
    }

    assert running["of_tests_total"] == 12
    assert ended[("of_tests_total", "")] == 12
    assert ended[("of_tests_seconds_bucket", "1.0")] == 3
    assert ended[("of_tests_seconds_bucket", "2.0")] == 6
    assert ended[("of_tests_seconds_bucket", "+Inf")] == 9
    assert ended[("of_tests_seconds_sum", "")] == 33
    assert sorted(path.name for path in folder.iterdir()) == [
        "counter_ended.db",
        "folder.lock",
        "histogram_ended.db",
    ]


def test_a_spoiled_file_is_left_out(folder: Path) -> None:
    scrape()
    (folder / "counter_1-spoiled.db").write_bytes(b"\xff\x7f\0\0garbage")

    assert "postbacks_events_total" in {name for name, _ in scrape()}


def test_partners_invent_no_labels() -> None:
    codes = [f"http_{code}" for code in range(1_000)] + ["http_", "http_²", "x" * 99, "timeout", ""]

    assert {error_class(code) for code in codes} == {
        *(f"http_{first}xx" for first in range(1, 6)),
        *("http_other", "not_sent", "timeout", ""),
    }


def test_dashboard_alerts_and_documentation_name_the_metrics_that_exist() -> None:
    WorkerHeartbeat.beat("cluster")
    WorkerHeartbeat.objects.create(
        name="host-1:pump:0:1", beat_at="2026-01-01T00:00:00Z", claims="0" * 32
    )
    existing = {name for name, _ in scrape()}
    word = re.compile(r"\bpostbacks_[a-z_]+")
    dashboard = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())
    expressions = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    alerts = (ROOT / "deploy" / "prometheus-alerts.yml").read_text()
    page = (ROOT / "docs" / "production.md").read_text()
    monitoring = page.partition("## Monitoring")[2].partition("\n## ")[0]

    def series(text: str) -> set[str]:
        return set(word.findall(text))

    documented = series(monitoring)
    families = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in existing}
    declared = {
        name
        for module in (ROOT / "postbacks").rglob("*.py")
        for name in re.findall(r'(?:Counter|Histogram)\(\s*"(postbacks_\w+)"', module.read_text())
    }
    assert declared
    assert {
        name for name in declared if name not in families and f"{name}_total" not in families
    } == (set()), "every counter is known before it counts"
    assert documented == families
    assert series(" ".join(expressions)) <= existing
    assert series(alerts) <= existing
    assert families - {
        re.sub(r"_(bucket|sum|count)$", "", n) for n in series(str(expressions))
    } == (set()), "the dashboard shows every metric"
