"""Claims go by lane: what waits of one partner is neither read nor locked for another's sake."""

import json
from collections.abc import Mapping, Sequence

import psycopg
import pytest
from django.db import connection, transaction

from postbacks.callbacks import rendering
from postbacks.delivery import claiming
from postbacks.delivery.claim_turns import Turns
from postbacks.delivery.claiming import LaneQueue, Room, claim_rooms, next_due
from postbacks.delivery.http.destinations import Destinations, parse_networks
from postbacks.delivery.http.requests_transport import RequestsTransport
from postbacks.delivery.pump import Pump
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, QueueClass
from postbacks.rulebook import held_postbacks
from postbacks.values.events import StoredEvent
from postbacks.values.outgoing_request import ClaimedPostback, RenderedPostback
from tests import database
from tests.claims import claim_due
from tests.events import event, record
from tests.make import Tenant, make_tenant, make_tenant_rule
from tests.pipeline.conftest import RecordingPartner, Run
from tests.pipeline.test_pump import all_ended

_FILL = """
WITH added AS (
    INSERT INTO postback (organization_id, public_id, rule_id, rule_version, app_id, event_id,
        sdk_event_id, event_name, event_received_at, status, created_at)
    SELECT %(organization)s, gen_random_uuid(), %(rule)s, 1, %(app)s, (random() * 1e15)::bigint,
           gen_random_uuid(), 'purchase', now(), 'pending', now()
    FROM generate_series(1, %(count)s) AS n
    RETURNING id, event_received_at
)
INSERT INTO due_postback (postback_id, organization_id, event_received_at, rule_id, host, due_at,
    kind, tries, paced)
SELECT id, %(organization)s, event_received_at, %(rule)s, %(host)s,
       now() - make_interval(secs => %(age)s) + id * interval '1 microsecond',
       %(kind)s, %(tries)s, %(paced)s
FROM added
"""


def fill(of: Tenant, rule: CallbackRule, count: int, **fields: object) -> None:
    """Queue postbacks of a rule as deciding does, due for some seconds."""
    defaults = {"age": 60, "kind": "auto", "tries": 0, "paced": False, "host": "a.example.com:443"}
    keys = {"organization": of.organization.pk, "app": of.app.pk, "rule": rule.pk, "count": count}
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(_FILL, {**defaults, **keys, **fields})


def analyze() -> None:
    with psycopg.connect(database.superuser_conninfo(), autocommit=True) as superuser:
        superuser.execute("VACUUM ANALYZE due_postback")


def work_of(statement: str, parameters: Mapping[str, object]) -> int:
    """Return how many pages a statement reads, as PostgreSQL counts them, and undo it."""
    with transaction.atomic():
        connection.ensure_connection()
        cursor = psycopg.Cursor(connection.connection)
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
        cursor.execute(explain.encode(), parameters)
        ((plans,),) = cursor.fetchall()
        transaction.set_rollback(True)
    plan = (json.loads(plans) if isinstance(plans, str) else plans)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def looked() -> Mapping[str, object]:
    organization_id, host, queue_class = claiming.FIRST_PLACE
    after = {"after_organization": organization_id, "after_host": host, "after_class": queue_class}
    return {**after, "most": claiming.MOST_QUEUES}


def claimed(rooms: list[Room]) -> Mapping[str, object]:
    return {
        "limit": 64,
        "organizations": [room.queue.organization_id for room in rooms],
        "hosts": [room.queue.host for room in rooms],
        "classes": [room.queue.queue_class.value for room in rooms],
        "rooms": [room.count for room in rooms],
        "failing": [False for _ in rooms],
        "probes": [False for _ in rooms],
        "lease": 64,
        "claim": "00000000-0000-0000-0000-000000000001",
    }


@pytest.mark.django_db(transaction=True)
def test_a_backlog_of_one_partner_adds_no_work_to_claims_and_locks_nothing() -> None:
    """Figures of EXPLAIN, for time says nothing on a busy machine."""
    busy, quiet = make_tenant("Busy"), make_tenant("Quiet")
    rule, other = make_tenant_rule(busy), make_tenant_rule(quiet)
    fill(quiet, other, 64, host="b.example.com:443", age=1)
    figures: list[tuple[int, ...]] = []
    for backlog in (100, 20_000):
        fill(busy, rule, backlog, age=3_600)
        analyze()
        with database.as_role(roles.WORKER):
            rooms = [Room(queue, 32) for queue in next_due().lanes]
            off = {"limit": 200}
            figures.append(
                (
                    work_of(claiming._FIND_DUE_LANES, looked()),
                    work_of(claiming._CLAIM_DUE, claimed(rooms)),
                    work_of(held_postbacks._OFF_IN_QUEUE, off),
                )
            )

    few, many = figures
    for statement, (before, after) in zip(
        ("look", "claim", "sweep"), zip(few, many, strict=True), strict=True
    ):
        assert after <= 2 * before + 20, (statement, before, after)

    with database.as_role(roles.WORKER), transaction.atomic():
        leases = claim_due(64, of_each_queue=32)
        with psycopg.connect(database.superuser_conninfo()) as superuser:
            free = superuser.execute("SELECT 1 FROM due_postback FOR UPDATE SKIP LOCKED").rowcount
    assert len(leases) == 64
    assert {lease.postback.organization_id for lease in leases} == {
        busy.organization.pk,
        quiet.organization.pk,
    }
    assert free == 20_164 - 64


@pytest.mark.django_db(transaction=True)
def test_a_days_postbacks_leave_room_on_their_pages_for_updates() -> None:
    """An update on the same page tells no index (HOT), and each postback has one or two."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT reloptions::text FROM pg_inherits JOIN pg_class ON oid = inhrelid "
            "WHERE inhparent = 'postback'::regclass"
        )
        assert cursor.fetchall() == [("{fillfactor=40}",)]


@pytest.mark.django_db(transaction=True)
def test_no_index_is_told_of_a_postback_that_was_delivered(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, ok_partner.url)
    record(gem, *(event(install_id=f"device-{number}") for number in range(90)))
    before = updates_of_postbacks()

    run_pump(until=all_ended(gem, 90))

    all_updates, on_the_same_page = (
        now - then for now, then in zip(updates_of_postbacks(), before, strict=True)
    )
    assert all_updates == on_the_same_page == 90


def updates_of_postbacks() -> tuple[int, int]:
    """Return how many there were, and how many found room on their page."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT")  # what has been counted is told when the statement before ends
    counts = database.superuser().execute(
        "SELECT sum(n_tup_upd), sum(n_tup_hot_upd) FROM pg_stat_user_tables"
        " WHERE relname LIKE 'postback_p2%'"
    )
    return tuple(map(int, counts.fetchone()))


@pytest.mark.django_db(transaction=True)
def test_each_class_of_a_lane_is_a_queue_of_its_own() -> None:
    gem, coral = make_tenant(), make_tenant()
    rule, other = make_tenant_rule(gem), make_tenant_rule(coral)
    fill(gem, rule, 30, kind="replay", age=900)
    fill(gem, rule, 30, tries=2, age=600)
    fill(gem, rule, 3)
    fill(gem, rule, 2, kind="resend", host="b.example.com:443")
    fill(gem, rule, 2, kind="replay", tries=1, host="c.example.com:443")
    fill(gem, rule, 4, age=-60, host="d.example.com:443")  # not due
    fill(coral, other, 1)

    with database.as_role(roles.WORKER):
        due = next_due()
        queues = {(queue.lane, queue.queue_class) for queue in due.lanes}
        rooms = Turns().allot(due.lanes, lambda _lane: 14, 64)
        leases = claim_rooms(rooms, 64)

    of = gem.organization.pk
    assert queues == {
        ((of, "a.example.com:443"), QueueClass.FRESH),
        ((of, "a.example.com:443"), QueueClass.LATE),
        ((of, "a.example.com:443"), QueueClass.REPLAYED),
        ((of, "b.example.com:443"), QueueClass.FRESH),
        ((of, "c.example.com:443"), QueueClass.REPLAYED),
        ((coral.organization.pk, "a.example.com:443"), QueueClass.FRESH),
    }
    kinds = [
        (lease.kind, lease.tries) for lease in leases if lease.lane == (of, "a.example.com:443")
    ]
    assert (kinds.count(("auto", 0)), kinds.count(("auto", 2)), kinds.count(("replay", 0))) == (
        3,  # all there are
        4,
        2,
    )
    assert len(leases) == 9 + 2 + 2 + 1


@pytest.mark.django_db(transaction=True)
def test_a_look_that_can_not_see_all_lanes_goes_on_where_it_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claiming, "MOST_QUEUES", 4)
    gem = make_tenant()
    rule = make_tenant_rule(gem)
    for number in range(10):
        fill(gem, rule, 1, host=f"{number}.example.com:443", age=60 if number % 5 == 3 else -60)

    seen: list[str] = []
    place = claiming.FIRST_PLACE
    with database.as_role(roles.WORKER):
        for _ in range(3):
            due = next_due(place)
            seen += [queue.host for queue in due.lanes]
            place = due.resume_after

    assert seen == ["3.example.com:443", "8.example.com:443"]
    assert place == claiming.FIRST_PLACE


@pytest.mark.django_db(transaction=True)
def test_a_rest_passes_over_no_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "MOST_QUEUES", 2)
    gem, other = make_tenant(), make_tenant("Other")
    rule = make_tenant_rule(gem)
    now = 100.0
    claimed_ids: set[int] = set()

    def render_slowly(
        postbacks: Sequence[ClaimedPostback], events: Mapping[int, StoredEvent]
    ) -> list[RenderedPostback]:
        nonlocal now
        now += 0.2
        claimed_ids.update(postback.id for postback in postbacks)
        return rendering.render_postbacks(postbacks, events)

    with (
        database.as_role(roles.WORKER),
        RequestsTransport(Destinations(parse_networks("127.0.0.0/8"))) as transport,
    ):
        pump = Pump(
            transport=transport,
            decide=lambda *, claim: 0,
            prepare=render_slowly,
            beat=lambda: True,
            clock=lambda: now,
        )
        fill(other, make_tenant_rule(other), 1)
        pump.run_cycle()
        for number in range(4):
            fill(gem, rule, 100, host=f"{number}.example.com:443")
        with connection.cursor() as cursor:
            cursor.execute("SELECT postback_id FROM due_postback WHERE host LIKE '2.%'")
            waiting = {postback_id for (postback_id,) in cursor.fetchall()}

        pump.run_cycle()
        assert len(claimed_ids) > 1
        assert not claimed_ids & waiting
        pump.run_cycle()  # within the rest
        assert not claimed_ids & waiting
        now += 0.3
        pump.run_cycle()

    assert claimed_ids & waiting


def queues(*lanes: int, classes: tuple[QueueClass, ...] = (QueueClass.FRESH,)) -> list[LaneQueue]:
    return [LaneQueue(lane, "h:443", each, -1.0) for lane in lanes for each in classes]


def test_the_lane_that_was_served_longest_ago_comes_first() -> None:
    turns = Turns()
    served = [
        [room.queue.organization_id for room in turns.allot(queues(*range(30)), lambda _: 64, 64)]
        for _ in range(4)
    ]

    assert [len(turn) for turn in served] == [8] * 4
    assert set().union(*served) == set(range(30))


@pytest.mark.parametrize(
    ("lanes", "room", "limit", "expected"),
    [
        ((1,), 64, 64, {1: 64}),
        ((1,), 5, 64, {1: 5}),
        ((1, 2), 64, 64, {1: 32, 2: 32}),
        ((1, 2), 0, 64, {}),
        ((1, 2, 3), 20, 30, {1: 10, 2: 10, 3: 10}),
    ],
)
def test_a_lane_takes_no_more_than_its_room(
    lanes: tuple[int, ...], room: int, limit: int, expected: dict[int, int]
) -> None:
    rooms = Turns().allot(queues(*lanes), lambda _: room, limit)

    assert {each.queue.organization_id: each.count for each in rooms} == expected


@pytest.mark.parametrize("room", [1, 2, 7, 64])
def test_no_class_of_a_lane_starves_and_fresh_ones_get_most(room: int) -> None:
    turns, total = Turns(), dict.fromkeys(QueueClass, 0)
    for _ in range(14):
        for each in turns.allot(queues(1, classes=tuple(QueueClass)), lambda _: room, 64):
            total[each.queue.queue_class] += each.count

    assert sum(total.values()) == 14 * room
    assert total[QueueClass.FRESH] > total[QueueClass.LATE] > total[QueueClass.REPLAYED] > 0
