"""Figures equal what the logs say, in each span, whatever happened to the rows that they count."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction

from apps_registry.models import Organization
from apps_registry.tenancy import tenant
from postbacks.delivery.dead_pumps import BegunRequests, ClaimIds, return_claims_of_dead_pumps
from postbacks.infrastructure.database import roles
from postbacks.insights import figure_changes
from postbacks.models import FigureSpan, Postback, PostbackStatus, TotalOf
from postbacks.models.figures import OTHER_EVENTS
from postbacks.privacy import erasure, retention
from postbacks.privacy.requests import DeviceToErase, request_erasure
from postbacks.rulebook.resending import resend
from tests import database
from tests.claims import claim_due
from tests.events import event, postbacks_of, record
from tests.make import Tenant, make_tenant, make_tenant_rule
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.pipeline.conftest import partner_answering as partner_answering
from tests.pipeline.conftest import run_pump as run_pump
from tests.pipeline.test_reattribution import a_minute_later
from tests.touches import GAID, make_network, touch
from tests.workers import decide_all, work

pytestmark = pytest.mark.django_db(transaction=True)

Rows = dict[tuple[object, ...], tuple[int, Decimal | None]]

KATHMANDU = ZoneInfo("Asia/Kathmandu")  # three quarters of an hour off
# What the logs hold, counted by moments that have a figure's columns.
_RAW = """
SELECT received_at AS at, 'event' AS kind, app_id AS app, 0 AS rule, event_name AS name,
       '' AS state, CASE WHEN source = 'system' THEN '' ELSE currency END AS code,
       CASE WHEN source <> 'system' THEN revenue END AS amount
FROM event
WHERE NOT EXISTS (SELECT FROM undecided_event AS queued WHERE queued.id = event.id)
UNION ALL
SELECT event_received_at, 'postback', app_id, rule_id, event_name,
       CASE WHEN status = 'pending' AND attempts_made > 0 THEN 'retrying' ELSE status END, reason,
       NULL
FROM postback WHERE NOT test
UNION ALL
SELECT attempt.started_at, 'attempt', app_id, rule_id, event_name, outcome,
       coalesce(status_code::text, nullif(error, ''), outcome), NULL
FROM delivery_attempt AS attempt JOIN postback ON postback.id = attempt.postback_id
WHERE NOT postback.test
UNION ALL
SELECT delivered_at, 'delivery', app_id, rule_id, '', '', '', NULL
FROM postback WHERE NOT test AND delivered_at IS NOT NULL
UNION ALL
SELECT event_received_at, 'install', app_id, coalesce(campaign_id, 0), '', attribution_type, kind,
       NULL
FROM install
"""
_FIGURES = """
SELECT at, kind, app_ref, CASE kind WHEN 'install' THEN campaign_ref ELSE rule_ref END, event_name,
       state, CASE kind WHEN 'delivery' THEN '' ELSE code END, count, amount
FROM figure WHERE span = %s
UNION ALL
SELECT at, kind, app_ref, CASE kind WHEN 'install' THEN campaign_ref ELSE rule_ref END, event_name,
       state, CASE kind WHEN 'delivery' THEN '' ELSE code END, count, amount
FROM figure_change
"""
_TOTALS = """
SELECT total_of, span, at, kind, app_ref, rule_ref, partner_ref, campaign_ref, state, code, count,
       amount
FROM figure_total WHERE count <> 0 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
"""


def begin_of(span: FigureSpan, moment: datetime) -> object:
    if span is FigureSpan.DAY:
        return moment.astimezone(KATHMANDU).date()
    minutes = moment.minute - moment.minute % span
    return moment.astimezone(UTC).replace(minute=minutes, second=0, microsecond=0)


def summed(rows: list[tuple[object, ...]], span: FigureSpan) -> Rows:
    sums: dict[tuple[object, ...], tuple[int, Decimal | None]] = {}
    for at, *key, count, amount in rows:
        begin = begin_of(span, at)  # type: ignore[arg-type]  # the first column
        before, money = sums.get((begin, *key), (0, None))
        total = money if amount is None else (money or 0) + amount  # type: ignore[operator]
        sums[begin, *key] = (before + count, total)  # type: ignore[operator, assignment]
    return {key: value for key, value in sums.items() if value[0]}


def query(statement: str, *values: object) -> list[tuple[object, ...]]:
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def raw(span: FigureSpan) -> Rows:
    return summed([(*row[:-1], 1, row[-1]) for row in query(_RAW)], span)


def figures(span: FigureSpan) -> Rows:
    return summed(query(_FIGURES, span.value), span)


def fold(**options: int) -> int:
    with database.as_role(roles.WORKER):
        return figure_changes.fold(60, **options)


def assert_equal_to_the_logs() -> None:
    """Compare before the changes are folded and after that, for each span."""
    assert figures(FigureSpan.MINUTE) == raw(FigureSpan.MINUTE)
    fold(batch=7)  # in many batches
    for span in (FigureSpan.MINUTE, FigureSpan.QUARTER, FigureSpan.DAY):
        assert figures(span) == raw(span), span
    assert_totals_equal_to_figures()
    assert not query("SELECT FROM figure_change")


def assert_totals_equal_to_figures() -> None:
    """Compare what was folded with what the update sums up from figures."""
    folded = query(_TOTALS)
    assert {row[0] for row in folded} == set(TotalOf.values)
    query("DELETE FROM figure_total RETURNING 1")
    fill = import_module("postbacks.migrations.0054_total_figures").FILL
    with database.as_role(roles.OWNER), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(fill, None)
    assert query(_TOTALS) == folded


@pytest.fixture
def gem() -> Tenant:
    gem = make_tenant()
    Organization.objects.filter(pk=gem.organization.pk).update(time_zone=KATHMANDU.key)
    return gem


def test_figures_equal_the_logs_after_all_that_can_happen_to_a_postback(
    gem: Tenant,
    partner_answering: Callable[[Answer], RecordingPartner],
    run_pump: Run,
    tmp_path: os.PathLike[str],
    settings: object,
) -> None:
    def answer(path: str, _headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        return {"/gone": 404, "/busy": 503}.get(path.split("?")[0], 200), {}, b""

    settings.DATA_DIR = tmp_path  # type: ignore[attr-defined]
    url = partner_answering(answer).url
    _, link = make_network(gem)
    for path in ("/fine", "/gone", "/busy", "/idfa?id={{idfa!}}"):
        make_tenant_rule(gem, url + path, name=path, retry_delays=[3600])
    touch(gem, link)
    moneys: list[dict[str, object]] = [
        {"revenue": "4.99", "currency": "EUR"},
        {"revenue": "1.10", "currency": "USD"},
        {"revenue": "7"},
        {},
    ]
    record(gem, *(event("purchase", gaid=GAID, **money) for money in moneys))
    record(gem, event("open", install_id="organic"), event("level", install_id="organic"))

    def was_worked_off() -> bool:
        done = [postback.attempts_made or postback.reason for postback in postbacks_of(gem)]
        return bool(done) and all(done)

    run_pump(until=was_worked_off)
    assert_equal_to_the_logs()  # delivered, failed, retrying and skipped

    # Late: decided after their minute was folded, with an install that is credited later still.
    record(gem, event("open", gaid="58400000-8cf0-11bd-b23e-10b96e40000d", install_id="late"))
    fold()
    touch(gem, link, gaid="58400000-8cf0-11bd-b23e-10b96e40000d")
    assert_equal_to_the_logs()
    work()
    assert_equal_to_the_logs()
    touch(gem, link, gaid="58400000-8cf0-11bd-b23e-10b96e40000d", ago=30)
    a_minute_later()
    work()
    assert_equal_to_the_logs()

    # A pump is killed with what it had begun.
    ids = ClaimIds.make()
    record(gem, event("purchase", install_id="killed"))
    decide_all()
    with database.as_role(roles.WORKER):
        leases = claim_due(2, claim_id=ids.next())
        BegunRequests(ids.journal).add(leases[0].postback.id)
        pump = subprocess.Popen([sys.executable, "-c", ""])
        pump.wait()
        connection.cursor().execute(
            "INSERT INTO worker_heartbeat (name, beat_at, stop_requested, pid, claims)"
            " VALUES (%s, now(), false, %s, %s)",
            [f"{socket.gethostname()}-1:pump:0:{pump.pid}", pump.pid, ids.first],
        )
        assert return_claims_of_dead_pumps(watched_for=0) == len(leases)
    assert query("SELECT count(*) FROM delivery_attempt WHERE outcome = 'interrupted'") == [(1,)]
    assert_equal_to_the_logs()

    # People send again what failed and what was delivered.
    for status in (PostbackStatus.FAILED, PostbackStatus.DELIVERED):
        with tenant(gem.organization.pk):
            resend(Postback.objects.filter(status=status)[0])
    assert_equal_to_the_logs()
    run_pump(until=was_worked_off)
    assert_equal_to_the_logs()

    # A device is forgotten, with postbacks that are owed and an event that is not decided.
    record(gem, event("purchase", install_id="organic", revenue="3", currency="EUR"))
    decide_all()
    record(gem, event("purchase", install_id="organic", revenue="4", currency="EUR"))
    with tenant(gem.organization.pk):
        request_erasure(DeviceToErase(gem.organization.pk, gem.app.pk, {"install_id": "organic"}))
    with database.as_role(roles.WORKER):
        erasure.work(60, last_pass_after=timedelta(0))
    assert query("SELECT count(*) FROM postback WHERE reason = 'erased'") != [(0,)]
    assert query("SELECT count(*) FROM undecided_event") == [(0,)]
    assert_equal_to_the_logs()

    # The update to the first version with figures counts what the logs hold by then.
    query("DELETE FROM figure RETURNING 1")
    query("DELETE FROM figure_total RETURNING 1")
    count_logs = import_module("postbacks.migrations.0038_keep_figures").COUNT
    with database.as_role(roles.OWNER), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(count_logs, None)
    assert_equal_to_the_logs()


def test_figures_stay_when_the_days_that_they_count_are_dropped(
    gem: Tenant, settings: object
) -> None:
    make_tenant_rule(gem)
    record(gem, event("purchase", revenue="4.99", currency="EUR"))
    with database.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute("SELECT ensure_partitions(current_date - 40, 1)")
    for table in ("event", "event_key", "undecided_event"):
        query(f"UPDATE {table} SET received_at = received_at - interval '40 days' RETURNING 1")
    decide_all()
    fold()
    assert figures(FigureSpan.QUARTER) == raw(FigureSpan.QUARTER)
    assert figures(FigureSpan.DAY) == raw(FigureSpan.DAY)
    assert not figures(FigureSpan.MINUTE)  # kept for days only
    kept = figures(FigureSpan.DAY)
    settings.RETENTION_DAYS_EVENTS = settings.RETENTION_DAYS_POSTBACKS = 30  # type: ignore[attr-defined]

    with database.as_role(roles.WORKER):
        retention.drop_old_days()
        figure_changes.delete_old_figures()

    assert raw(FigureSpan.DAY) == {} != kept
    assert figures(FigureSpan.DAY) == kept


def test_a_day_knows_so_many_names_and_counts_the_rest_as_others(
    gem: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure_changes, "MOST_NAMES", 2)
    for names in (["b", "a", "c"], ["a", "d"], ["b", "e"]):
        record(gem, *(event(name) for name in names))
        decide_all()
        fold(batch=3)

    names = {key[4]: value[0] for key, value in figures(FigureSpan.DAY).items()}
    assert names == {"a": 2, "b": 2, OTHER_EVENTS: 3}


def test_days_follow_the_time_zone_of_the_organization(gem: Tenant) -> None:
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    moments = [noon - timedelta(days=2, hours=hours) for hours in range(0, 48, 5)]
    for moment in moments:
        query(
            "INSERT INTO figure_change (organization_id, at, kind, count)"
            " VALUES (%s, %s, 'event', 1) RETURNING 1",
            gem.organization.pk,
            moment,
        )

    def days() -> dict[datetime, int]:
        found = query("SELECT at, sum(count)::int FROM figure WHERE span = 1440 GROUP BY 1")
        totals = "SELECT at, count::int FROM figure_total WHERE span = 1440 AND total_of = 'all'"
        assert dict(query(totals)) == dict(found)  # type: ignore[arg-type]
        return dict(found)  # type: ignore[arg-type]

    def expected(zone: ZoneInfo) -> dict[datetime, int]:
        counts: dict[datetime, int] = {}
        for moment in moments:
            day: date = moment.astimezone(zone).date()
            begin = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
            counts[begin] = counts.get(begin, 0) + 1
        return counts

    fold()
    assert days() == expected(KATHMANDU)
    for zone in ("America/Los_Angeles", "Pacific/Chatham", "UTC"):
        Organization.objects.filter(pk=gem.organization.pk).update(time_zone=zone)
        fold()
        assert days() == expected(ZoneInfo(zone)), zone
