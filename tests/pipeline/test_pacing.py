"""Limits of a rule hold over all workers and delay nobody else.

When a postback was claimed is told by the database, on the clock that the limit counts on. Between
there and the partner lies the machine, which may hold a request back and let two go at once.
"""

import bisect
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import connections

from apps_registry.tenancy import tenant
from postbacks.callbacks.rules.versions import save_rule
from postbacks.delivery.claiming import claim_paced, next_due
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, DuePostback, PostbackStatus, RulePace
from postbacks.rulebook import saving
from postbacks.values.outgoing_request import Lease
from tests import database
from tests.claims import claim_due
from tests.events import event, postbacks_of, record
from tests.make import Tenant, make_rule, make_tenant
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.workers import decide

pytestmark = pytest.mark.django_db(transaction=True)

PartnerAnswering = Callable[[Answer], RecordingPartner]
Claimed = Callable[[Tenant], list[int]]
SECOND = 1_000_000  # in microseconds, which the database counts in

_NOTE_CLAIMS = """
CREATE TABLE noted_claim (organization_id bigint, at timestamptz);
CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.noted_claim VALUES (new.organization_id, now());
    RETURN NULL;
END $$;
CREATE TRIGGER note_claim AFTER UPDATE OF claim_id ON due_postback
    FOR EACH ROW WHEN (new.claim_id IS NOT NULL) EXECUTE FUNCTION note_claim();
"""


@pytest.fixture
def claimed() -> Iterator[Claimed]:
    """Return a function that tells when postbacks were claimed, in microseconds."""
    with psycopg.connect(database.superuser_conninfo(), autocommit=True) as superuser:
        superuser.execute(_NOTE_CLAIMS)

        def moments(of: Tenant) -> list[int]:
            rows = superuser.execute(
                "SELECT (extract(epoch FROM at) * 1000000)::bigint FROM noted_claim"
                " WHERE organization_id = %s ORDER BY at",
                [of.organization.pk],
            )
            return [moment for (moment,) in rows]

        yield moments
        superuser.execute("DROP FUNCTION note_claim CASCADE")
        superuser.execute("DROP TABLE noted_claim")


def enqueue(of: Tenant, count: int, **fields: object) -> None:
    """Enqueue so many postbacks of one rule, without sending any."""
    with tenant(of.organization.pk):
        make_rule(**fields)
    record(of, *(event(install_id=f"device-{n}") for n in range(count)))
    decide()


def claimed_by_worker(limit: int = 100) -> list[Lease]:
    with database.as_role(roles.WORKER):
        return claim_paced(limit)


def most_in_a_second(moments: list[int]) -> int:
    """Return the most moments that lie in any second."""
    return max(
        bisect.bisect_left(moments, moment + SECOND) - index for index, moment in enumerate(moments)
    )


def all_delivered(of: Tenant, count: int) -> Callable[[], bool]:
    def delivered() -> bool:
        statuses = [postback.status for postback in postbacks_of(of)]
        return len(statuses) == count and set(statuses) == {PostbackStatus.DELIVERED}

    return delivered


def test_a_rate_limit_holds_in_every_second_and_other_rules_are_not_delayed(
    partner_answering: PartnerAnswering,
    ok_partner: RecordingPartner,
    run_pump: Run,
    claimed: Claimed,
) -> None:
    partner = partner_answering(lambda *_: (200, {}, b""))
    limited, free = make_tenant("Limited"), make_tenant("Free")
    enqueue(limited, 60, url=partner.url, rate_limit_per_second=20)
    enqueue(free, 60, url=ok_partner.url)

    run_pump(until=lambda: all_delivered(free, 60)() and all_delivered(limited, 60)())

    moments = claimed(limited)
    assert len(partner.requests) == len(moments) == 60
    assert most_in_a_second(moments) <= 21  # 20, and one for the slack
    assert moments[-1] - moments[0] >= 58 * SECOND / 20
    assert max(claimed(free)) < moments[-1]


def test_a_rate_limit_holds_over_several_workers(claimed: Claimed) -> None:
    gem = make_tenant()
    enqueue(gem, 40, rate_limit_per_second=20)
    over = threading.Event()

    def work() -> None:
        try:
            with database.as_role(roles.WORKER):
                while not over.wait(0.005):
                    claim_paced(100)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    while len(claimed(gem)) < 40:
        time.sleep(0.05)
    over.set()
    for worker in workers:
        worker.join()

    moments = claimed(gem)
    assert len(moments) == 40
    assert most_in_a_second(moments) <= 21
    assert moments[-1] - moments[0] >= 38 * SECOND / 20


def test_no_more_than_the_limit_is_in_flight_over_all_workers() -> None:
    enqueue(make_tenant(), 10, max_in_flight=3)

    first, second = claimed_by_worker(), claimed_by_worker()

    assert (len(first), second) == (3, [])


def test_requests_never_run_at_once_where_one_is_the_limit(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    running, most = [0], [0]
    lock = threading.Lock()

    def note(*_: object) -> tuple[int, dict[str, str], bytes]:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)
        with lock:
            running[0] -= 1
        return 200, {}, b""

    gem = make_tenant()
    enqueue(gem, 8, url=partner_answering(note).url, max_in_flight=1)

    run_pump(until=all_delivered(gem, 8))

    assert most == [1]


def test_a_backlog_behind_a_limit_is_not_in_other_rules_way() -> None:
    gem, coral = make_tenant(), make_tenant()
    enqueue(gem, 20, rate_limit_per_second=1)
    enqueue(coral, 1)

    with database.as_role(roles.WORKER):
        (other,) = claim_due(1)
        due = next_due()

    assert other.postback.organization_id == coral.organization.pk
    assert due.plain is None or due.plain > 0
    assert due.paced is not None
    assert due.paced <= 0


def test_after_a_claim_the_next_one_is_due_a_share_of_a_second_later(claimed: Claimed) -> None:
    gem = make_tenant()
    enqueue(gem, 20, rate_limit_per_second=1)

    first = claimed_by_worker()

    with tenant(gem.organization.pk):
        (next_at,) = RulePace.objects.values_list("next_at", flat=True)
    assert len(first) == 1
    share = next_at - datetime.fromtimestamp(claimed(gem)[0] / SECOND, UTC)
    assert timedelta(seconds=0.95) <= share <= timedelta(seconds=1)


def test_a_limit_that_is_set_later_holds_for_what_is_queued() -> None:
    gem = make_tenant()
    enqueue(gem, 5)

    with tenant(gem.organization.pk):
        rule = CallbackRule.objects.get()
        rule.max_in_flight = 2
        save_rule(rule, by=None)
    with database.as_role(roles.WORKER):
        saving.move_queued(60)

    with database.as_role(roles.WORKER):
        assert claim_due(100) == []
    assert len(claimed_by_worker()) == 2


def test_a_limit_that_is_lifted_lets_everything_by() -> None:
    gem = make_tenant()
    enqueue(gem, 5, max_in_flight=1, rate_limit_per_second=1)

    with tenant(gem.organization.pk):
        rule = CallbackRule.objects.get()
        rule.max_in_flight = rule.rate_limit_per_second = None
        save_rule(rule, by=None)

    assert len(claimed_by_worker()) == 5


def test_a_lease_that_has_ended_is_no_longer_in_flight() -> None:
    gem = make_tenant()
    enqueue(gem, 2, max_in_flight=1)
    claimed_by_worker()

    with tenant(gem.organization.pk):
        DuePostback.objects.exclude(claim_id=None).update(
            due_at=datetime.now(UTC) - timedelta(minutes=1)
        )

    assert len(claimed_by_worker()) == 1


def test_a_rule_without_limits_leaves_no_trace() -> None:
    gem = make_tenant()
    enqueue(gem, 1)

    with tenant(gem.organization.pk):
        assert not RulePace.objects.exists()
        assert not DuePostback.objects.filter(paced=True).exists()
    assert claimed_by_worker() == []
