"""Limits of a rule hold over all workers, as the partner sees them, and delay nobody else."""

import bisect
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections

from apps_registry.tenancy import tenant
from postbacks import pipeline, roles
from postbacks.callbacks.rules import save_rule
from postbacks.delivery.claiming import Claim, claim_due
from postbacks.delivery.pacing import claim_paced, next_due
from postbacks.models import CallbackRule, DuePostback, PostbackStatus, RulePace
from tests import database
from tests.events import event, postbacks_of, record
from tests.make import Tenant, make_rule, make_tenant
from tests.pipeline.conftest import Answer, RecordingPartner, Run

pytestmark = pytest.mark.django_db(transaction=True)

PartnerAnswering = Callable[[Answer], RecordingPartner]


def owe(of: Tenant, count: int, **fields: object) -> None:
    """Owe so many postbacks of one rule, without sending any."""
    with tenant(of.organization.pk):
        make_rule(**fields)
    record(of, *(event(install_id=f"device-{n}") for n in range(count)))
    with database.as_role(roles.WORKER):
        pipeline.decide_events()


def claimed_by_worker(limit: int = 100) -> list[Claim]:
    with database.as_role(roles.WORKER):
        return claim_paced(limit)


def most_within(seconds: float, moments: list[float]) -> int:
    """Return the most moments that lie in any stretch of so many seconds."""
    moments = sorted(moments)
    return max(
        bisect.bisect_left(moments, moment + seconds) - place
        for place, moment in enumerate(moments)
    )


def all_delivered(of: Tenant, count: int) -> Callable[[], bool]:
    def delivered() -> bool:
        statuses = [postback.status for postback in postbacks_of(of)]
        return len(statuses) == count and set(statuses) == {PostbackStatus.DELIVERED}

    return delivered


def test_a_rate_limit_holds_in_every_second_and_other_rules_are_not_delayed(
    partner_answering: PartnerAnswering, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    arrived: list[float] = []

    def note(*_: object) -> tuple[int, dict[str, str], bytes]:
        arrived.append(time.monotonic())
        return 200, {}, b""

    limited, free = make_tenant("Limited"), make_tenant("Free")
    owe(limited, 60, url=partner_answering(note).url, rate_limit_per_second=20)
    owe(free, 60, url=ok_partner.url)
    when_others_were_over: list[int] = []

    def over() -> bool:
        if not when_others_were_over and all_delivered(free, 60)():
            when_others_were_over.append(len(arrived))
        return all_delivered(limited, 60)()

    run_pump(until=over)

    assert len(arrived) == 60
    assert most_within(1.0, arrived) <= 22  # 20, one for the slack and one on the way
    assert 2.5 <= arrived[-1] - arrived[0] <= 6.0  # 60 at 20 a second, with room for slow machines
    assert when_others_were_over[0] < 40


def test_a_rate_limit_holds_over_several_workers() -> None:
    owe(make_tenant(), 40, rate_limit_per_second=20)
    taken: list[tuple[float, int]] = []

    def work() -> None:
        try:
            ends_at = time.monotonic() + 1.2
            while time.monotonic() < ends_at:
                count = len(claim_paced(100))
                taken.append((time.monotonic(), count))
                time.sleep(0.005)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(4)]
    with database.as_role(roles.WORKER):
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    moments = [moment for moment, count in taken for _ in range(count)]
    assert 15 <= len(moments) <= 27  # 1.2 seconds' worth
    assert most_within(1.0, moments) <= 22


def test_no_more_than_the_limit_is_in_flight_over_all_workers() -> None:
    owe(make_tenant(), 10, max_in_flight=3)

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
    owe(gem, 8, url=partner_answering(note).url, max_in_flight=1)

    run_pump(until=all_delivered(gem, 8))

    assert most == [1]


def test_a_backlog_behind_a_limit_is_not_in_other_rules_way() -> None:
    gem, coral = make_tenant(), make_tenant()
    owe(gem, 20, rate_limit_per_second=1)
    owe(coral, 1)

    with database.as_role(roles.WORKER):
        (other,) = claim_due(1)
        due = next_due()

    assert other.owed.organization_id == coral.organization.pk
    assert due.plain is None or due.plain > 0
    assert due.paced is not None
    assert due.paced <= 0


def test_after_a_claim_the_next_one_is_due_a_share_of_a_second_later() -> None:
    owe(make_tenant(), 20, rate_limit_per_second=1)

    first, second = claimed_by_worker(), claimed_by_worker()
    with database.as_role(roles.WORKER):
        due = next_due()

    assert (len(first), second) == (1, [])
    assert due.paced is not None
    assert 0.5 < due.paced <= 1.0


def test_a_limit_that_is_set_later_holds_for_what_is_queued() -> None:
    gem = make_tenant()
    owe(gem, 5)

    with tenant(gem.organization.pk):
        rule = CallbackRule.objects.get()
        rule.max_in_flight = 2
        save_rule(rule, by=None)

    with database.as_role(roles.WORKER):
        assert claim_due(100) == []
    assert len(claimed_by_worker()) == 2


def test_a_limit_that_is_lifted_lets_everything_by() -> None:
    gem = make_tenant()
    owe(gem, 5, max_in_flight=1, rate_limit_per_second=1)

    with tenant(gem.organization.pk):
        rule = CallbackRule.objects.get()
        rule.max_in_flight = rule.rate_limit_per_second = None
        save_rule(rule, by=None)

    assert len(claimed_by_worker()) == 5


def test_a_lease_that_has_ended_is_no_longer_in_flight() -> None:
    gem = make_tenant()
    owe(gem, 2, max_in_flight=1)
    claimed_by_worker()

    with tenant(gem.organization.pk):
        DuePostback.objects.exclude(claim_id=None).update(
            due_at=datetime.now(UTC) - timedelta(minutes=1)
        )

    assert len(claimed_by_worker()) == 1


def test_a_rule_without_limits_leaves_no_trace() -> None:
    gem = make_tenant()
    owe(gem, 1)

    with tenant(gem.organization.pk):
        assert not RulePace.objects.exists()
        assert not DuePostback.objects.filter(paced=True).exists()
    assert claimed_by_worker() == []
