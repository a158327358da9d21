"""The lane of a rule's version, and what a save moves: in a task, in batches, never the save."""

import itertools
import threading
from collections.abc import Callable

import pytest

from apps_registry.tenancy import tenant
from postbacks.callbacks.macros import RequestTemplate, compile_request
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, DuePostback, PostbackStatus
from postbacks.rulebook import saving
from postbacks.rulebook.resending import resend
from postbacks.worker import tasks
from tests import database
from tests.claims import claim_due
from tests.events import event, postbacks_of, record
from tests.make import Tenant, make_partner, make_tenant, make_tenant_rule
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.pipeline.test_corrected_rules import correct, was_tried
from tests.pipeline.test_pump import all_ended
from tests.workers import decide

pytestmark = pytest.mark.django_db(transaction=True)

PartnerAnswering = Callable[[Answer], RecordingPartner]


@pytest.mark.parametrize(
    ("url", "credentials", "lane"),
    [
        ("https://ads.example.com/p?e={{event_name}}", {}, "ads.example.com:443"),
        ("http://ads.example.com", {}, "ads.example.com:80"),
        ("HTTPS://Ads.Example.COM?x=1", {}, "ads.example.com:443"),
        ("https://ads.example.com:8443/p", {}, "ads.example.com:8443"),
        ("https://ads.example.com:443/p", {}, "ads.example.com:443"),
        ("http://127.0.0.1:9000/p", {}, "127.0.0.1:9000"),
        ("http://[2606:4700::1111]:8080/p", {}, "[2606:4700::1111]:8080"),
        ("https://{{credential.host}}/p", {"host": "eu.example.com"}, "eu.example.com:443"),
        ("https://{{credential.host}}/p", {"host": "EU.example.com:8443"}, "eu.example.com:8443"),
        ("http://{{credential.host}}/p", {"host": "eu.example.com"}, "eu.example.com:80"),
        ("https://{{credential.host}}/p", {"host": ""}, ""),
        ("https://{{credential.host}}/p", {"host": "a b"}, ""),
        ("https://{{credential.host}}/p", {"host": "eu.example.com:99999"}, ""),
        ("https://{{credential.host}}/p", {}, ""),
    ],
)
def test_a_lane_is_host_and_port(url: str, credentials: dict[str, str], lane: str) -> None:
    request = compile_request(
        RequestTemplate("GET", url), credential_names=["host"], allowed_hosts=["*.example.com"]
    )

    assert request.lane(credentials) == lane


def queued(of: Tenant) -> list[tuple[str, bool]]:
    with tenant(of.organization.pk):
        return list(DuePostback.objects.order_by("postback_id").values_list("host", "paced"))


def enqueue(of: Tenant, count: int) -> None:
    numbers = itertools.count(len(postbacks_of(of)))
    record(of, *(event(install_id=f"device-{next(numbers)}") for _ in range(count)))
    decide()


def move_queued(*, batch: int = 1_000, clock: Callable[[], float] = lambda: 0.0) -> int:
    with database.as_role(roles.WORKER):
        return saving.move_queued(1.0, batch=batch, clock=clock)


def is_any_to_move() -> bool:
    with database.as_role(roles.WORKER):
        return saving.is_any_to_move()


def test_deciding_and_resending_ask_for_the_same_lane() -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        partner = make_partner(
            credentials={"host": "eu.example.com:8443"}, allowed_hosts=("*.example.com",)
        )
    make_tenant_rule(gem, url="https://{{credential.host}}/p", partner=partner)
    enqueue(gem, 1)
    decided = queued(gem)

    with tenant(gem.organization.pk):
        resend(postbacks_of(gem)[0])

    assert decided == queued(gem) == [("eu.example.com:8443", False)]


def test_a_save_moves_nothing_and_the_task_moves_what_is_unclaimed() -> None:
    gem, coral = make_tenant(), make_tenant()
    rule = make_tenant_rule(gem, url="https://old.example.com/p")
    make_tenant_rule(coral, url="https://old.example.com/p")
    enqueue(gem, 3)
    enqueue(coral, 1)
    with database.as_role(roles.WORKER):
        claimed = {lease.postback.id for lease in claim_due(1)}
    with tenant(gem.organization.pk):
        pinned = DuePostback.objects.exclude(pk__in=claimed).first()
        assert pinned is not None
        DuePostback.objects.filter(pk=pinned.pk).update(pinned_version=1)

    correct(gem, rule, url="https://new.example.com:8443/p", rate_limit_per_second=5)
    before = queued(gem)
    moved = move_queued()

    assert set(before) == {("old.example.com:443", False)}
    assert moved == 1
    assert sorted(queued(gem)) == [
        ("new.example.com:8443", True),
        ("old.example.com:443", False),
        ("old.example.com:443", False),
    ]
    assert queued(coral) == [("old.example.com:443", False)]
    assert not is_any_to_move()


@pytest.mark.parametrize(
    ("correction", "expected"),
    [
        ({"url": "http://old.example.com/p"}, ("old.example.com:80", False)),
        ({"url": "https://old.example.com:8443/p"}, ("old.example.com:8443", False)),
        ({"rate_limit_per_second": 3}, ("old.example.com:443", True)),
        ({"max_in_flight": 1}, ("old.example.com:443", True)),
        ({"url": "https://a.example.com", "max_in_flight": 2}, ("a.example.com:443", True)),
    ],
)
def test_each_change_of_lane_or_pace_moves_the_queue(
    correction: dict[str, object], expected: tuple[str, bool]
) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url="https://old.example.com/p")
    enqueue(gem, 2)

    correct(gem, rule, **correction)

    assert is_any_to_move()
    assert move_queued() == 2
    assert queued(gem) == [expected] * 2


def test_a_limit_that_is_lifted_frees_the_queue() -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url="https://old.example.com/p", rate_limit_per_second=1)
    enqueue(gem, 2)

    correct(gem, rule, rate_limit_per_second=None)
    move_queued()

    assert queued(gem) == [("old.example.com:443", False)] * 2


@pytest.mark.parametrize(
    "correction",
    [
        {"name": "Another name"},
        {"url": "https://OLD.example.com/elsewhere?q=1"},
        {"headers": {"X-A": "b"}},
        {"timeout_seconds": 3},
        {"event_map": {"purchase": "p"}},
    ],
)
def test_a_save_that_keeps_lane_and_pace_leaves_the_queue_alone(
    correction: dict[str, object],
) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url="https://old.example.com/p")

    correct(gem, rule, **correction)

    assert not is_any_to_move()


def test_a_save_that_keeps_them_does_not_forget_the_one_before() -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url="https://old.example.com/p")
    enqueue(gem, 1)

    correct(gem, rule, url="https://new.example.com/p")
    correct(gem, rule, name="Another name")
    move_queued()

    assert queued(gem) == [("new.example.com:443", False)]


def test_the_next_run_goes_on_where_one_has_ended() -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url="https://old.example.com/p")
    enqueue(gem, 5)
    correct(gem, rule, url="https://new.example.com/p")
    time = itertools.count()

    first = move_queued(batch=2, clock=lambda: float(next(time)))
    still_to_move = is_any_to_move()
    second = move_queued(batch=2)

    assert (first, still_to_move, second) == (2, True, 3)
    assert set(queued(gem)) == {("new.example.com:443", False)}
    assert not is_any_to_move()


def test_many_rules_move_in_one_walk_through_the_queue() -> None:
    gem, coral = make_tenant(), make_tenant()
    rules = {
        of: [make_tenant_rule(of, url=f"https://old{n}.example.com/p") for n in range(3)]
        for of in (gem, coral)
    }
    for of, its_rules in rules.items():
        enqueue(of, 2)
        for n, rule in enumerate(its_rules):
            correct(of, rule, url=f"https://new{n}.example.com/p")

    assert move_queued(batch=5) == 12

    for of in rules:
        assert {host for host, _ in queued(of)} == {f"new{n}.example.com:443" for n in range(3)}
    assert not is_any_to_move()


def test_a_version_that_can_not_be_read_keeps_no_other_rule_from_moving() -> None:
    gem = make_tenant()
    broken = make_tenant_rule(gem, url="https://a.example.com/p")
    rule = make_tenant_rule(gem, url="https://b.example.com/p")
    enqueue(gem, 1)
    correct(gem, broken, url="https://c.example.com/p")
    correct(gem, rule, url="https://d.example.com/p")
    database.superuser().execute(
        "UPDATE callback_rule_version SET definition = '{}' WHERE rule_id = %s AND number = 2",
        [broken.pk],
    )

    move_queued()

    assert sorted(queued(gem)) == [("a.example.com:443", False), ("d.example.com:443", False)]
    assert not is_any_to_move()


def test_the_workers_task_moves_the_queue() -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url="https://old.example.com/p")
    enqueue(gem, 2)
    correct(gem, rule, url="https://new.example.com/p")

    with database.as_role(roles.WORKER):
        needed = [periodic.task for periodic in tasks.PERIODIC if periodic.is_needed()]
        tasks.move_queued()

    assert "move_queued" in needed
    assert queued(gem) == [("new.example.com:443", False)] * 2


def test_what_was_queued_before_the_upgrade_gets_its_port() -> None:
    gem = make_tenant()
    make_tenant_rule(gem, url="https://old.example.com/p")
    enqueue(gem, 2)
    with tenant(gem.organization.pk):
        DuePostback.objects.update(host="old.example.com")
        CallbackRule.objects.update(queue_version=0)

    move_queued()

    assert queued(gem) == [("old.example.com:443", False)] * 2


def test_what_a_pump_claims_before_the_task_came_keeps_to_the_new_limit(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    running, most = [0], [0]
    lock = threading.Lock()

    def note(*_: object) -> tuple[int, dict[str, str], bytes]:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        with lock:
            running[0] -= 1
        return 200, {}, b""

    partner = partner_answering(note)
    gem = make_tenant()
    rule = make_tenant_rule(gem, url="https://old.example.com/p")
    enqueue(gem, 8)

    correct(gem, rule, url=partner.url, max_in_flight=1)
    run_pump(until=all_ended(gem, 8))

    assert most == [1]
    assert {postback.status for postback in postbacks_of(gem)} == {PostbackStatus.DELIVERED}


def test_what_a_pump_claims_for_a_moved_credential_host_goes_to_the_new_one(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    partner = partner_answering(lambda *_: (500, {}, b""))
    gem = make_tenant()
    with tenant(gem.organization.pk):
        network = make_partner(
            credentials={"host": "old.example.com"},
            allowed_hosts=("old.example.com", partner.host),
        )
    make_tenant_rule(gem, url="http://{{credential.host}}/p", partner=network, retry_delays=[3600])
    enqueue(gem, 1)
    with tenant(gem.organization.pk):
        network.set_credentials({"host": partner.host})

    run_pump(until=was_tried(gem))

    assert len(partner.requests) == 1
    assert queued(gem) == [(partner.host, False)]
