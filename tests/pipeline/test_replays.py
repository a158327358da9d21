"""Replays: each postback once, at a pace, followed to its end, and taken back by a cancel."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, connection

from apps_registry.models import AuditEntry
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.infrastructure.database import roles
from postbacks.models import (
    CallbackRule,
    DuePostback,
    Postback,
    PostbackStatus,
    Replay,
    ReplayedPostback,
    ReplayPart,
    RuleDevice,
    RuleStatus,
)
from postbacks.rulebook import replaying, replays, saving
from postbacks.rulebook.replays import (
    ReplayFilter,
    ReplayOverError,
    ReplayProgress,
    ReplayRefusedError,
    ReplayRequest,
)
from tests import database, make
from tests.claims import claim_due
from tests.events import attempts_of, event, postbacks_of, record
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.workers import decide_all, work_on_held, work_on_replays

pytestmark = pytest.mark.django_db(transaction=True)

PartnerAnswering = Callable[[Answer], RecordingPartner]
FAILED = ReplayRequest(filter=ReplayFilter(status="failed"))


@pytest.fixture
def gem() -> make.Tenant:
    return make.make_tenant()


def ended(
    of: make.Tenant, rule: CallbackRule, count: int, status: str = "failed", **fields: Any
) -> list[Postback]:
    """Have events decided, and leave their postbacks as attempts would."""
    before = {postback.pk for postback in postbacks_of(of)}
    record(of, *(event(install_id=f"device-{n}") for n in range(len(before), len(before) + count)))
    decide_all()
    ids = [postback.pk for postback in postbacks_of(of) if postback.pk not in before]
    with database.as_role(roles.WORKER), tenant(of.organization.pk):
        DuePostback.objects.filter(postback_id__in=ids).delete()
        delivered_at = datetime.now(UTC) if status == "delivered" else None
        reason = "http_404" if status == "failed" else ""
        Postback.objects.filter(pk__in=ids).update(
            **{
                "status": status,
                "reason": reason,
                "next_attempt_at": None,
                "delivered_at": delivered_at,
                "attempts_made": 0 if status == "skipped" else 1,
                **fields,
            }
        )
    return [postback for postback in postbacks_of(of) if postback.pk in ids]


def start(of: make.Tenant, request: ReplayRequest, confirm: int | None = None) -> Replay:
    with tenant(of.organization.pk):
        return replays.start(request, now=datetime.now(UTC), confirm=confirm)


def cancel(of: make.Tenant, replay: Replay) -> None:
    with tenant(of.organization.pk):
        replays.cancel(replay, now=datetime.now(UTC))


def progress(of: make.Tenant, replay: Replay) -> ReplayProgress:
    with tenant(of.organization.pk):
        return ReplayProgress.of(
            Replay.objects.get(pk=replay.pk), list(ReplayPart.objects.filter(replay=replay))
        )


def status_of(of: make.Tenant, replay: Replay) -> str:
    with tenant(of.organization.pk):
        return Replay.objects.get(pk=replay.pk).status


def set_status(of: make.Tenant, rule: CallbackRule, status: RuleStatus) -> None:
    with tenant(of.organization.pk):
        CallbackRule.objects.filter(pk=rule.pk).update(status=status)


def queued(of: make.Tenant) -> list[tuple[int, str]]:
    with tenant(of.organization.pk):
        return list(DuePostback.objects.order_by("postback_id").values_list("postback_id", "kind"))


def summary(of: make.Tenant) -> list[tuple[str, str]]:
    return [(postback.status, postback.reason) for postback in postbacks_of(of)]


def later() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=2)


@pytest.mark.parametrize("by_id", [True, False])
def test_a_replay_of_nothing_but_what_was_delivered_starts_only_if_that_is_asked_for(
    gem: make.Tenant, by_id: bool
) -> None:
    rule = make.make_tenant_rule(gem)
    delivered = ended(gem, rule, 2, "delivered")
    ids = tuple(postback.public_id for postback in delivered) if by_id else ()
    chosen = ReplayFilter() if by_id else ReplayFilter(status="delivered")
    request = ReplayRequest(filter=chosen, ids=ids)

    with pytest.raises(ReplayRefusedError, match=r'"include_delivered": true') as refusal:
        start(gem, request)

    assert refusal.value.field == "include_delivered"
    assert start(gem, replace(request, include_delivered=True), confirm=2).count == 2


def test_a_replay_sends_what_failed_once_and_counts_how_it_ended(
    gem: make.Tenant, partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    partner = partner_answering(
        lambda path, _: (404 if path.endswith("device-1") else 200, {}, b"")
    )
    rule = make.make_tenant_rule(gem, url=partner.url + "/{{install_id}}")
    failed = ended(gem, rule, 3)
    ended(gem, rule, 2, "delivered")

    replay = start(gem, FAILED)
    work_on_replays()
    assert queued(gem) == [(postback.pk, "replay") for postback in failed]
    run_pump(until=lambda: queued(gem) == [])
    work_on_replays(later())
    work_on_replays(later())

    counts = progress(gem, replay)
    assert (counts.total, counts.sent, counts.failed, counts.done) == (3, 2, 1, 3)
    assert (counts.queued, counts.percent, status_of(gem, replay)) == (0, 100, "finished")
    assert sorted(path for _, path, *_ in partner.requests) == [
        f"/device-{number}" for number in range(3)
    ]
    assert {(attempt.kind, attempt.number) for attempt in attempts_of(gem)} == {("replay", 2)}
    with tenant(gem.organization.pk):
        assert not ReplayedPostback.objects.exists()
        assert AuditEntry.objects.get(action="replayed").object_id == str(replay.public_id)


_CASES: list[tuple[str, dict[str, Any], dict[str, Any], list[int]]] = [
    ("all that can go", {}, {}, [0, 1, 2, 3]),
    ("failed", {"status": "failed"}, {}, [0, 1, 2]),
    ("skipped", {"status": "skipped"}, {}, [3]),
    ("delivered, asked once", {"status": "delivered"}, {}, []),
    ("delivered", {"status": "delivered"}, {"include_delivered": True}, [4]),
    ("everything", {}, {"include_delivered": True}, [0, 1, 2, 3, 4]),
    ("a reason", {"reason": "timeout"}, {}, [1]),
    ("a code", {"code": "503"}, {}, [0]),
    ("a class", {"code": "5XX"}, {}, [0, 2]),
    ("no answer", {"code": "none", "status": "failed"}, {}, [1]),
    ("an event", {"event_name": "purchase"}, {}, [0, 1, 2, 3]),
    ("another event", {"event_name": "level"}, {}, []),
]


def test_an_estimate_counts_what_the_filter_leaves_and_a_replay_queues_just_that(
    gem: make.Tenant,
) -> None:
    rule = make.make_tenant_rule(gem, rate_limit_per_second=1)
    ended(gem, rule, 1, reason="http_503", last_status_code=503)
    ended(gem, rule, 1, reason="timeout")
    ended(gem, rule, 1, reason="http_500", last_status_code=500)
    ended(gem, rule, 1, "skipped", reason="no_consent")
    ended(gem, rule, 1, "delivered", last_status_code=200)
    rows = postbacks_of(gem)
    with tenant(gem.organization.pk):
        partner = make.make_partner()
        places = {
            "rule": (rule.public_id, [0, 1, 2, 3]),
            "partner": (partner.public_id, []),
            "app": (gem.app.public_id, [0, 1, 2, 3]),
            "event_id": (rows[1].sdk_event_id, [1]),
            "since": (rows[1].event_received_at, [1, 2, 3]),
            "until": (rows[2].event_received_at, [0, 1]),
        }
        cases = _CASES + [(name, {name: value}, {}, ids) for name, (value, ids) in places.items()]
        for name, chosen, more, expected in cases:
            request = ReplayRequest(filter=ReplayFilter(**chosen), **more)
            counted = replays.estimate(request, now=later())
            matches = Postback.objects.filter(*request.conditions()).order_by("pk")
            sent = [row for row in matches if request.sends(row.status)]
            assert sent == [rows[number] for number in expected], name
            assert counted.count == len(expected), name
            assert counted.seconds == len(expected), name  # one a second, as the rule says


def test_postbacks_are_replayed_by_id_and_each_is_counted(
    gem: make.Tenant, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    rule = make.make_tenant_rule(gem, url=ok_partner.url)
    failed = ended(gem, rule, 2)
    delivered = ended(gem, rule, 1, "delivered")
    record(gem, event(install_id="on-its-way"))
    decide_all()
    pending = postbacks_of(gem)[-1]

    ids = tuple(row.public_id for row in (failed[0], *delivered, pending))
    replay = start(gem, ReplayRequest(ids=ids))
    work_on_replays()

    assert (pending.pk, "auto") in queued(gem)
    assert (failed[0].pk, "replay") in queued(gem)
    assert len(queued(gem)) == 2
    counts = progress(gem, replay)
    assert (counts.total, counts.queued) == (3, 1)
    assert counts.skip_reasons == {"delivered": 1, "pending": 1}


def test_what_was_delivered_goes_again_only_if_it_is_asked_for_twice(
    gem: make.Tenant, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    rule = make.make_tenant_rule(gem, url=ok_partner.url)
    ended(gem, rule, 1)
    ended(gem, rule, 2, "delivered")
    wish = ReplayRequest(include_delivered=True)

    for wrong in (None, 0, 2, 4):
        with pytest.raises(ReplayRefusedError, match='"confirm": 3'):
            start(gem, wish, confirm=wrong)
    replay = start(gem, wish, confirm=3)
    work_on_replays()
    run_pump(until=lambda: queued(gem) == [])
    work_on_replays(later())

    assert len(ok_partner.requests) == 3
    assert progress(gem, replay).sent == 3
    assert {status for status, _ in summary(gem)} == {PostbackStatus.DELIVERED}


def test_a_skipped_postback_is_decided_again_by_the_rule_of_now(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem, triggers=["purchase"], frequency="first")
    wanted, unwanted = ended(gem, rule, 2, "skipped", reason="not_mapped")
    with database.as_role(roles.WORKER), tenant(gem.organization.pk):
        RuleDevice.objects.filter(device__endswith="device-0").delete()

    replay = start(gem, ReplayRequest(filter=ReplayFilter(status="skipped")))
    as_decided = start(gem, ReplayRequest(filter=ReplayFilter(status="skipped"), as_decided=True))
    work_on_replays()

    assert queued(gem) == [(wanted.pk, "replay")]
    assert progress(gem, replay).skip_reasons == {"first_time_used": 1}
    assert progress(gem, as_decided).skip_reasons.get("never_decided", 0) >= 1
    cancel(gem, replay)
    work_on_replays()
    assert summary(gem) == [("skipped", "not_mapped")] * 2
    with tenant(gem.organization.pk):  # the first time is free again
        devices = RuleDevice.objects.values_list("device", flat=True)
        assert [device.rsplit(":", 1)[-1] for device in devices] == ["device-1"]
    assert unwanted.status == "skipped"


@pytest.mark.parametrize(
    ("status", "reason"),
    [(RuleStatus.ARCHIVED, "rule_archived"), (RuleStatus.PAUSED, "rule_off")],
)
def test_a_rule_that_sends_nothing_has_its_share_skipped(
    gem: make.Tenant, status: RuleStatus, reason: str
) -> None:
    rule = make.make_tenant_rule(gem)
    ended(gem, rule, 2)
    set_status(gem, rule, status)

    replay = start(gem, FAILED)
    work_on_replays()

    assert queued(gem) == []
    assert progress(gem, replay).skip_reasons == {reason: 2}
    assert (status_of(gem, replay), summary(gem)) == (
        "finished",
        [("failed", "http_404")] * 2,
    )


def test_a_suspended_rule_holds_its_share_and_a_cancel_takes_it_back(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem)
    ended(gem, rule, 2)
    set_status(gem, rule, RuleStatus.SUSPENDED)

    replay = start(gem, FAILED)
    work_on_replays()
    assert summary(gem) == [("pending", "rule_suspended")] * 2
    work_on_replays(datetime.now(UTC) + timedelta(seconds=3))
    assert progress(gem, replay).held == 2
    assert status_of(gem, replay) == "finished"  # what is held waits for a person
    with pytest.raises(ReplayOverError):
        cancel(gem, replay)


def test_a_cancel_stops_at_once_and_takes_back_what_nobody_has_begun(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem)
    ended(gem, rule, 6)
    replay = start(gem, ReplayRequest(filter=ReplayFilter(status="failed"), per_second=1))
    work_on_replays()
    assert len(queued(gem)) == 5  # so much is queued ahead of its pace
    with database.as_role(roles.WORKER):
        (claimed,) = claim_due(1)

    cancel(gem, replay)

    with database.as_role(roles.WORKER):
        assert claim_due(10) == []  # before any worker has taken back anything
    work_on_replays()
    assert queued(gem) == [(claimed.postback.id, "replay")]
    assert [status for status, _ in summary(gem)] == ["pending"] + ["failed"] * 5
    assert {reason for _, reason in summary(gem)[1:]} == {"http_404"}
    assert (progress(gem, replay).taken_back, status_of(gem, replay)) == (4, "cancelled")
    cancel(gem, replay)  # twice is once


def test_a_replay_keeps_its_own_pace_and_the_rules(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem, rate_limit_per_second=2)
    ended(gem, rule, 60)
    start(gem, ReplayRequest(filter=ReplayFilter(status="failed"), per_second=10))
    begun = datetime.now(UTC)

    work_on_replays(begun)
    assert len(queued(gem)) == 20  # the rule's queue has room for no more
    with tenant(gem.organization.pk):
        moments = list(DuePostback.objects.order_by("due_at").values_list("due_at", flat=True))
    gaps = {round((b - a).total_seconds(), 2) for a, b in pairwise(moments)}
    assert gaps == {0.1}
    work_on_replays(begun + timedelta(seconds=60))
    assert len(queued(gem)) == 20  # nothing was sent meanwhile


def test_two_identical_requests_at_once_make_one(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem)
    ended(gem, rule, 2)
    made: list[int] = []

    def ask() -> None:
        made.append(start(gem, FAILED).pk)
        connection.close()

    people = [threading.Thread(target=ask) for _ in range(4)]
    for person in people:
        person.start()
    for person in people:
        person.join()

    assert len(made) == 4
    assert len(set(made)) == 1
    with tenant(gem.organization.pk):
        assert ReplayPart.objects.count() == 1
        assert AuditEntry.objects.filter(action="replayed").count() == 1
    other = start(gem, ReplayRequest(filter=ReplayFilter(status="failed"), per_second=7))
    assert other.pk not in made


def test_a_worker_that_is_killed_in_a_batch_loses_nothing_and_doubles_nothing(
    gem: make.Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = make.make_tenant_rule(gem)
    ended(gem, rule, 5)
    replay = start(gem, ReplayRequest(filter=ReplayFilter(status="failed"), per_second=500))
    monkeypatch.setattr(replaying, "BATCH", 2)
    queue, calls = replaying._queue_batch, [0]

    def die_in_the_second(*arguments: Any) -> int:
        done = queue(*arguments)
        calls[0] += 1
        if calls[0] == 2:
            with psycopg.connect(database.superuser_conninfo(), autocommit=True) as superuser:
                pid = connection.connection.info.backend_pid
                superuser.execute("SELECT pg_terminate_backend(%s)", [pid])
        return done

    with monkeypatch.context() as patched:
        patched.setattr(replaying, "_queue_batch", die_in_the_second)
        with suppress(OperationalError, InterfaceError):
            work_on_replays()
    connection.close()
    assert len(queued(gem)) == 2
    work_on_replays()

    assert len(queued(gem)) == 5
    assert progress(gem, replay).queued == 5
    with tenant(gem.organization.pk):
        assert ReplayedPostback.objects.count() == 5


def test_a_rare_match_is_found_in_a_long_log(
    gem: make.Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = make.make_tenant_rule(gem)
    ended(gem, rule, 9, "delivered")
    (rare,) = ended(gem, rule, 1)
    ended(gem, rule, 9, "delivered")
    monkeypatch.setattr(replaying, "_WINDOW", 3)

    replay = start(gem, FAILED)
    work_on_replays()

    assert queued(gem) == [(rare.pk, "replay")]
    assert progress(gem, replay).queued == 1


def test_a_replay_by_decided_versions_pins_them(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem, url="https://old.example/p")
    ended(gem, rule, 1)
    with tenant(gem.organization.pk):
        saved = CallbackRule.objects.get(pk=rule.pk)
        saved.url = "https://new.example/p"
        saving.save_checked(saved, by=None)

    start(gem, ReplayRequest(filter=ReplayFilter(status="failed"), as_decided=True))
    work_on_replays()

    with tenant(gem.organization.pk):
        due = DuePostback.objects.get()
    assert (due.pinned_version, due.host) == (1, "old.example:443")


def test_an_archived_partners_share_is_skipped_and_a_resend_meanwhile_is_not_doubled(
    gem: make.Tenant,
) -> None:
    with tenant(gem.organization.pk):
        partner = make.make_partner()
    rule = make.make_tenant_rule(gem, partner=partner)
    ended(gem, rule, 1)
    with tenant(gem.organization.pk):
        partner.status = Lifecycle.ARCHIVED
        partner.save()

    replay = start(gem, FAILED)
    work_on_replays()
    work_on_held()

    assert progress(gem, replay).skip_reasons == {"rule_archived": 1}


def test_nothing_is_replayed_of_another_organization(gem: make.Tenant) -> None:
    other = make.make_tenant("Moss Valley")
    rule = make.make_tenant_rule(gem)
    (theirs,) = ended(gem, rule, 1)

    replay = start(other, ReplayRequest(ids=(theirs.public_id,)))
    assert (replay.count, replay.status) == (0, "finished")
    start(other, ReplayRequest(filter=ReplayFilter(rule=rule.public_id)))
    work_on_replays()

    assert queued(gem) == []
