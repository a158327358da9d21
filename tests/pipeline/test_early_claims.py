"""What a pump decides it sends itself, as far as nobody else is due before."""

import socket
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from threading import Event

import pytest
from django.db import connection, transaction

from postbacks import pipeline
from postbacks.callbacks import rendering
from postbacks.delivery.dead_pumps import BegunRequests, ClaimIds, return_claims_of_dead_pumps
from postbacks.delivery.enqueue import EarlyClaim
from postbacks.delivery.http.destinations import Destinations, parse_networks
from postbacks.delivery.http.requests_transport import RequestsTransport
from postbacks.delivery.lanes import Lanes
from postbacks.delivery.pump import Pump
from postbacks.delivery.shares import Shares, Speed, most_of_one_lane
from postbacks.infrastructure.database import roles
from postbacks.models import HeldReason, RuleStatus
from postbacks.models.heartbeats import WorkerHeartbeat
from postbacks.values.outgoing_request import Lease
from tests import database
from tests.claims import claim_due
from tests.events import attempts_of, event, postbacks_of, record
from tests.make import make_tenant, make_tenant_rule
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.pipeline.test_breaker_waits import make_breaker
from tests.pipeline.test_lane_queues import fill
from tests.pipeline.test_pump import all_ended

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://a.example.com/p?id={{advertising_id}}&at={{acquired_at_ms}}"
LANE = "a.example.com:443"
OTHER_URL = "https://b.example.com/p"


def decide_for(limit: int = 100, room: int = 100, claim_id: uuid.UUID | None = None) -> list[Lease]:
    """Decide as a pump does that has so much room; return what it claimed."""
    claim = EarlyClaim(claim_id or uuid.uuid4(), limit, lambda _lane: room)
    with database.as_role(roles.WORKER):
        pipeline.work(claim=claim)
    return claim.leases


def claimed_later() -> list[Lease]:
    with database.as_role(roles.WORKER):
        return claim_due(100)


def test_what_a_pump_decides_it_has_as_if_it_had_claimed_it() -> None:
    gem = make_tenant()
    make_tenant_rule(gem, URL)
    record(gem, event("install"), event("purchase"), event(install_id="device-2"))

    early = decide_for()

    assert [lease.lane for lease in early] == [(gem.organization.pk, LANE)] * 3
    assert claimed_later() == []
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE due_postback SET due_at = now() WHERE due_at > now() + interval '60 s'"
            " AND claim_id = %s",
            [early[0].claim_id],
        )
        assert cursor.rowcount == 3
    claim_id = early[0].claim_id
    # That its lease has ended is told by a row, `interrupted`: nothing else differs.
    later = sorted(claimed_later(), key=lambda lease: lease.postback.id)
    assert early == [
        replace(lease, claim_id=claim_id, postback=replace(lease.postback, attempts_made=0))
        for lease in later
    ]


def test_it_is_rendered_from_memory_as_from_the_database() -> None:
    gem = make_tenant()
    make_tenant_rule(gem, URL + "&revenue={{revenue_usd_gross}}&level={{params.level}}")
    purchase = event(revenue="4.99", currency="EUR", params={"level": 12.50})
    record(gem, event("install"), purchase)
    claim = EarlyClaim(uuid.uuid4(), 100, lambda _lane: 100)

    with database.as_role(roles.WORKER):
        pipeline.work(claim=claim)
        postbacks = [lease.postback for lease in claim.leases]
        rendered = rendering.render_postbacks(postbacks, claim.events)
        assert [each.rendering is not None for each in rendered] == [True, True]
        assert rendered == rendering.render_postbacks(postbacks)


@pytest.mark.parametrize(
    ("rule", "before"),
    [
        ({"delay_seconds": 60}, {}),
        ({"rate_limit_per_second": 5}, {}),
        ({"max_in_flight": 1}, {}),
        ({}, {}),
        ({}, {"kind": "auto", "tries": 2}),
        ({}, {"kind": "replay"}),
        ({}, {"kind": "resend"}),
    ],
)
def test_what_waits_or_has_a_pace_is_left_to_all_pumps(
    rule: dict[str, int], before: dict[str, object]
) -> None:
    gem = make_tenant()
    sending = make_tenant_rule(gem, URL, **rule)
    fill(gem, sending, 0 if rule else 1, host=LANE, **before)
    record(gem, event())

    assert decide_for() == []

    claimed = sorted(lease.kind for lease in claimed_later())  # of one claim, in no order
    assert claimed == ([] if rule else sorted([before.get("kind", "auto"), "auto"]))


def test_neither_a_breaker_nor_a_queue_of_another_lane_is_passed_over() -> None:
    gem, other = make_tenant(), make_tenant("Quiet Cove")
    make_tenant_rule(gem, URL)
    busy = make_tenant_rule(gem, OTHER_URL)
    fill(gem, busy, 5, host="b.example.com:443")
    fill(gem, busy, 5, host=LANE, age=-60)  # due later: nobody waits
    make_tenant_rule(other, URL)
    make_breaker(other, LANE, state="closed", opened_at=None, next_probe_at=None)
    record(gem, event())
    record(other, event())

    assert [lease.lane for lease in decide_for()] == [(gem.organization.pk, LANE)]


@pytest.mark.parametrize(
    ("limit", "room", "of_each_lane"), [(0, 9, 0), (9, 0, 0), (-3, 9, 0), (6, 9, 3), (90, 2, 2)]
)
def test_it_takes_no_more_than_its_room_and_of_each_lane_its_share(
    limit: int, room: int, of_each_lane: int
) -> None:
    gem = make_tenant()
    for url in (URL, OTHER_URL):
        make_tenant_rule(gem, url)
    record(gem, *(event(install_id=f"device-{number}") for number in range(8)))

    early = decide_for(limit, room)

    hosts = [lease.host for lease in early]
    assert [hosts.count(host) for host in (LANE, "b.example.com:443")] == [of_each_lane] * 2
    sent = [lease.postback.id for lease in early] + [lease.postback.id for lease in claimed_later()]
    assert sorted(sent) == [postback.pk for postback in postbacks_of(gem)]


def test_a_transaction_that_is_rolled_back_gives_nothing() -> None:
    gem = make_tenant()
    make_tenant_rule(gem, URL)
    record(gem, event(), event(install_id="device-2"))
    claim = EarlyClaim(uuid.uuid4(), 100, lambda _lane: 100)
    with database.as_role(roles.WORKER):
        with transaction.atomic():
            pipeline.work(claim=claim)
            transaction.set_rollback(True)
        assert claim.leases == []
        assert postbacks_of(gem) == []

        pipeline.work(claim=claim)

    assert len(claim.leases) == 2


def test_it_is_given_back_if_its_pump_dies(settings, tmp_path) -> None:
    settings.DATA_DIR = tmp_path
    gem = make_tenant()
    make_tenant_rule(gem, URL)
    record(gem, event(), event(install_id="device-2"))
    ids = ClaimIds.make()
    begun, _ = decide_for(claim_id=ids.next())
    BegunRequests(ids.journal).add(begun.postback.id)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    with database.as_role(roles.WORKER):
        WorkerHeartbeat.beat(f"{socket.gethostname()}-1:pump:0:{ended.pid}", ids.first)
        WorkerHeartbeat.objects.update(pid=ended.pid)
        assert return_claims_of_dead_pumps() == 2

    (interrupted,) = attempts_of(gem)
    assert (interrupted.postback_id, interrupted.outcome) == (begun.postback.id, "interrupted")
    assert abs(interrupted.started_at - begun.postback.created_at) < timedelta(seconds=1)
    again = claimed_later()
    assert {lease.postback.id for lease in again} == {row.pk for row in postbacks_of(gem)}


@pytest.mark.parametrize(
    ("speed", "open_here", "open_elsewhere", "count"),
    [
        (None, 0, 0, 6),  # an eighth of what the transport has open, as of any new lane
        (None, 2, 0, 4),
        (None, 0, 36, 0),  # the last quarter is for lanes that have proved to be quick
        (Speed(timeouts=3), 0, 0, 1),  # it hangs: one request finds out
        (Speed(timeouts=3), 1, 0, 0),
        (Speed(seconds=12.0, timeouts=1), 2, 0, 4),
        (Speed(seconds=12.0, timeouts=1), 2, 12, 0),  # its share, by how slowly it answers
        (Speed(seconds=0.01), 0, 0, 8),
        (Speed(seconds=0.01), 0, 48, 8),  # it gets the next that are free
    ],
)
def test_a_lane_that_hangs_gets_no_more_by_it_than_by_claims(
    speed: Speed | None, open_here: int, open_elsewhere: int, count: int
) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, URL)
    record(gem, *(event(install_id=f"device-{number}") for number in range(8)))
    lane = (gem.organization.pk, LANE)
    shares = Shares(48, {lane: speed} if speed else {})
    for job in range(open_here):
        shares.begin(lane, job)
    for job in range(open_elsewhere):
        shares.begin((gem.organization.pk, f"{job}.example.com:443"), job)
    lanes = Lanes(lambda _job: True, shares)

    claim = EarlyClaim(uuid.uuid4(), 100, lanes.room_of)
    with database.as_role(roles.WORKER):
        pipeline.work(claim=claim)

    assert len(claim.leases) == count


def test_what_a_suspended_rule_holds_is_not_claimed() -> None:
    gem = make_tenant()
    make_tenant_rule(gem, URL)
    make_tenant_rule(gem, OTHER_URL, status=RuleStatus.SUSPENDED)
    record(gem, event())

    assert [lease.host for lease in decide_for()] == [LANE]

    assert [row.reason for row in postbacks_of(gem)] == ["", HeldReason.RULE_SUSPENDED]


def test_a_partner_that_hangs_keeps_nothing_from_others_nor_fills_the_pump(
    partner_answering: Callable[[Answer], RecordingPartner],
    ok_partner: RecordingPartner,
    run_pump: Run,
) -> None:
    gem = make_tenant()
    done = Event()

    def hang(_path: str, _headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        done.wait(60)
        return 200, {}, b""

    hanging = partner_answering(hang)
    make_tenant_rule(gem, hanging.url)
    make_tenant_rule(gem, ok_partner.url)
    record(gem, *(event(install_id=f"device-{number}") for number in range(90)))

    def claimed_hosts() -> list[str]:
        with database.as_role(roles.WORKER), connection.cursor() as cursor:
            cursor.execute("SELECT host FROM due_postback WHERE claim_id IS NOT NULL")
            return [host for (host,) in cursor.fetchall()]

    def others_delivered() -> bool:
        if len(ok_partner.requests) < 90 or ok_partner.host in claimed_hosts():
            return False
        claimed.append(claimed_hosts().count(hanging.host))
        done.set()
        return True

    claimed: list[int] = []
    run_pump(until=others_delivered)

    assert claimed[-1] <= most_of_one_lane(48)


def test_a_pump_claims_nothing_twice_of_what_it_decides(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, ok_partner.url)
    record(gem, *(event(install_id=f"device-{number}") for number in range(5)))

    run_pump(until=all_ended(gem, 5))

    assert len({headers["idempotency-key"] for _, _, headers, _ in ok_partner.requests}) == 5
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        # Of rows that were only inserted and deleted no newer version was ever made.
        cursor.execute("SELECT count(*) FROM due_postback")
        assert cursor.fetchone() == (0,)
    assert len(attempts_of(gem)) == len(ok_partner.requests) == 5


def test_what_was_claimed_before_the_database_left_is_sent_long_before_its_lease_ends(
    ok_partner: RecordingPartner,
) -> None:
    """Whether a transaction was committed can't be known where its answer was lost."""
    gem = make_tenant()
    make_tenant_rule(gem, ok_partner.url)
    record(gem, event(), event(install_id="device-2"))
    claims: list[uuid.UUID] = []

    def decide_and_lose_connection(*, claim: EarlyClaim) -> int:
        decided = pipeline.work(claim=claim)
        if decided:
            claims.extend(lease.claim_id for lease in claim.leases)
            database.superuser().execute(
                "SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid]
            )
            pipeline.work()
        return decided

    with (
        database.as_role(roles.WORKER),
        RequestsTransport(Destinations(parse_networks("127.0.0.0/8"))) as transport,
    ):
        Pump(
            transport=transport,
            decide=decide_and_lose_connection,
            prepare=rendering.render_postbacks,
            beat=lambda: len(ok_partner.requests) < 2,
        ).run(20.0)

    assert len(claims) == 2
    assert [attempt.outcome for attempt in attempts_of(gem)] == ["delivered"] * 2
