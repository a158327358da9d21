"""Organizations take turns in deciding: neither a backlog nor expensive rules delay another."""

from collections import Counter

import pytest
from django.db import connection

from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.callbacks.decisions import Budget
from postbacks.callbacks.rules.versions import save_rule
from postbacks.infrastructure.database import roles
from postbacks.intake.events.queue import (
    EXPENSIVE_SECONDS,
    MOST_ORGANIZATIONS,
    OrganizationTurns,
    WaitingOrganization,
    dequeue_events,
)
from postbacks.models import CallbackRule, PostbackStatus
from tests import database
from tests.admin.pages import sign_in
from tests.api.calling import Program
from tests.events import event, postbacks_of, record
from tests.make import Tenant, make_rule, make_tenant

pytestmark = pytest.mark.django_db(transaction=True)

# Each takes RE2 far longer than a rule's conditions may: it tracks many states at once.
SLOW_PATTERNS = [
    {"field": "params.text", "operator": "matches", "value": f"((a?b?){{30}}){{30}}{letter}"}
    for letter in "cdefghijklmnopqrstuvwxyz"
]
SLOW_TEXT = "ab" * 2_000


def decide_once(limit: int = 100) -> int:
    with database.as_role(roles.WORKER):
        return pipeline.decide_events(limit)


def queue(*organizations: int) -> None:
    """Queue an event of each organization that only the queue knows."""
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO undecided_event (id, organization_id, received_at) "
            "SELECT position, organization, now() "
            "FROM unnest(%s::bigint[]) WITH ORDINALITY AS row (organization, position)",
            [list(organizations)],
        )


@pytest.mark.parametrize("floods", [1, 3])
def test_a_single_event_is_in_the_first_batch_beside_any_backlog(floods) -> None:
    tenants = [make_tenant(f"Flood {n}") for n in range(floods)]
    quiet = make_tenant("Quiet")
    for of in (*tenants, quiet):
        with tenant(of.organization.pk):
            make_rule()
    for of in tenants:
        record(of, *(event() for _ in range(60)))
    record(quiet, event())

    decide_once(limit=30)

    assert [postback.status for postback in postbacks_of(quiet)] == [PostbackStatus.PENDING]
    shares = [len(postbacks_of(of)) for of in tenants]
    assert sum(shares) == 29  # the batch is full all the same
    assert max(shares) - min(shares) <= 1


def test_one_organization_alone_has_whole_batches_in_the_order_of_arrival() -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        make_rule()
    sent = [event() for _ in range(25)]
    record(gem, *sent)

    decide_once(limit=10)
    decide_once(limit=10)

    decided = [str(postback.sdk_event_id) for postback in postbacks_of(gem)]
    assert len(decided) == 20
    assert set(decided) == {each["event_id"] for each in sent[:20]}


def test_every_organization_comes_by_turns_however_many_there_are() -> None:
    organizations = list(range(1, 3 * MOST_ORGANIZATIONS // 2))
    queue(*organizations, *organizations)
    turns = OrganizationTurns()

    with database.as_role(roles.WORKER):
        seen = [{each.organization_id for each in turns.waiting(100)} for _ in range(3)]
        for each in (*seen[0], *seen[1]):
            dequeue_events({each: 2})
        assert turns.waiting(100) == []

    assert len(seen[0]) == MOST_ORGANIZATIONS
    assert seen[0] | seen[1] == set(organizations)
    assert seen[2] == seen[0]


def test_a_batch_is_shared_by_what_waits_and_by_what_rules_take() -> None:
    turns = OrganizationTurns(clock=lambda: 100.0)
    waiting = [WaitingOrganization(1, 100), WaitingOrganization(2, 3), WaitingOrganization(3, 100)]

    assert turns.share(waiting, 100) == {2: 3, 1: 48, 3: 49}
    assert turns.share(waiting[:1], 100) == {1: 100}
    assert turns.share(waiting, 1) == {2: 1}
    turns.note(1, events=10, seconds=0.2)
    assert turns.share(waiting, 100) == {2: 3, 3: 48, 1: 12}  # in 0.25 s
    assert turns.share_of_expensive(waiting) == {}


def test_an_organization_with_expensive_rules_waits_for_its_own_turns() -> None:
    now = 100.0
    turns = OrganizationTurns(clock=lambda: now)
    waiting = [WaitingOrganization(1, 100), WaitingOrganization(2, 100)]

    turns.note(2, events=1, seconds=0.001)
    turns.note(1, events=5, seconds=5 * 2 * EXPENSIVE_SECONDS)
    assert turns.share(waiting, 100) == {2: 100}
    assert turns.share_of_expensive(waiting) == {}  # it rests
    now += 5
    assert turns.share_of_expensive(waiting) == {1: 1}
    turns.note(1, events=1, seconds=0.001)  # its rules were corrected
    assert turns.share(waiting, 100) == {1: 50, 2: 50}


def test_alone_an_organization_with_expensive_rules_never_rests() -> None:
    turns = OrganizationTurns(clock=lambda: 100.0)
    turns.note(1, events=5, seconds=5.0)

    assert turns.share_of_expensive([WaitingOrganization(1, 100)]) == {1: 1}


def test_a_batch_over_its_budget_decides_nothing_and_is_shorter_next_time() -> None:
    gem = _with_slow_rules()
    record(gem, *(event(params={"text": SLOW_TEXT}) for _ in range(10)))
    record(quiet := _quiet(), event())

    rounds = 0
    while not postbacks_of(quiet):
        decide_once()
        rounds += 1

    assert rounds <= 2
    assert len(postbacks_of(gem)) <= 6 * 3  # three of ten events at most


def test_expensive_rules_are_decided_in_another_process_while_others_have_events() -> None:
    gem, quiet = _with_slow_rules(), _quiet()
    record(quiet, event())
    decide_once()  # it is known as a neighbor
    record(gem, *(event(params={"text": SLOW_TEXT}) for _ in range(3)))
    record(quiet, event())
    asked: list[int] = []

    rounds = 0
    while len(postbacks_of(quiet)) < 2 or not asked:
        rounds += 1
        with database.as_role(roles.WORKER):
            pipeline.work(decide_elsewhere=asked.append)

    assert rounds <= 3  # one that is aborted at the first slow event, one for the other, one to ask
    assert asked == [gem.organization.pk]
    assert postbacks_of(gem) == []
    with tenant(gem.organization.pk):  # to have had too little time is no fault of theirs
        assert not CallbackRule.objects.filter(expensive_version__isnull=False).exists()

    with database.as_role(roles.WORKER):
        pipeline.decide_apart(gem.organization.pk, seconds=10.0)

    reasons = Counter(postback.reason for postback in postbacks_of(gem))
    assert reasons["rule_too_expensive"] >= 2 * 3
    # A slow processor leaves the third rule of an event little time.
    assert reasons["rule_too_expensive"] + reasons["no_time_left"] == 9


def test_what_is_set_apart_is_asked_for_now_and_then_and_tried_again_after_a_minute() -> None:
    now = 100.0
    turns = OrganizationTurns(clock=lambda: now)
    waiting = [WaitingOrganization(1, 100), WaitingOrganization(2, 100)]
    turns.note(2, events=1, seconds=0.001)
    turns.note(1, events=50, seconds=50 * 0.003)  # one of many was slow, the mean is not

    turns.set_apart(1)

    assert turns.share(waiting, 100) == {2: 100}
    assert turns.to_be_decided_apart(waiting) == [1]
    assert turns.to_be_decided_apart(waiting) == []
    now += 5.0
    turns.note(2, events=1, seconds=0.001)
    assert turns.to_be_decided_apart(waiting) == [1]
    now += 56.0
    turns.note(2, events=1, seconds=0.001)
    assert turns.to_be_decided_apart(waiting) == []
    assert turns.share(waiting, 100) == {2: 50, 1: 2}  # as few as its rules may be slow
    turns.note(1, events=2, seconds=0.001)
    assert turns.share(waiting, 100) == {1: 50, 2: 50}


def test_rules_that_were_expensive_alone_are_tried_with_others_again_after_a_minute() -> None:
    now = 100.0
    turns = OrganizationTurns(clock=lambda: now)
    waiting = [WaitingOrganization(1, 100), WaitingOrganization(2, 100)]
    turns.note(1, events=1, seconds=2 * EXPENSIVE_SECONDS)  # nobody else has events yet
    turns.note(2, events=1, seconds=0.001)

    assert turns.to_be_decided_apart(waiting) == [1]
    now += 61.0
    turns.note(2, events=1, seconds=0.001)
    assert turns.to_be_decided_apart(waiting) == []
    assert 1 in turns.share(waiting, 100)


def test_none_of_several_with_expensive_rules_is_always_asked_for_first() -> None:
    now = 100.0
    turns = OrganizationTurns(clock=lambda: now)
    waiting = [WaitingOrganization(each, 100) for each in (1, 2, 3)]
    first: set[int] = set()
    for _ in range(100):
        now += 5.0
        for each in (1, 2):
            turns.set_apart(each)
        turns.note(3, events=1, seconds=0.001)
        asked = turns.to_be_decided_apart(waiting)
        assert sorted(asked) == [1, 2]
        first.add(asked[0])

    assert first == {1, 2}


def test_alone_an_organization_with_expensive_rules_is_not_set_apart() -> None:
    turns = OrganizationTurns(clock=lambda: 100.0)
    turns.set_apart(1)

    assert turns.to_be_decided_apart([WaitingOrganization(1, 100)]) == []
    assert turns.share_of_expensive([WaitingOrganization(1, 100)]) == {1: 1}


def test_only_the_rule_that_used_the_time_is_named_too_expensive() -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        slow = [make_rule(conditions={"any": SLOW_PATTERNS}) for _ in range(6)]
        late = [
            make_rule(conditions={"any": SLOW_PATTERNS[:1]}),
            make_rule(
                conditions={"any": [{"field": "country", "operator": "matches", "value": "DE"}]}
            ),
        ]
    record(gem, event(params={"text": SLOW_TEXT}))

    decide_once()

    reasons = {postback.rule_id: postback.reason for postback in postbacks_of(gem)}
    named = {rule_id for rule_id, reason in reasons.items() if reason == "rule_too_expensive"}
    assert named
    assert named < {rule.pk for rule in slow}
    assert {reasons[rule.pk] for rule in late} == {"no_time_left"}
    with tenant(gem.organization.pk):
        marked = CallbackRule.objects.filter(expensive_version__isnull=False)
        assert {rule.pk for rule in marked} == named


def test_a_rule_that_is_too_expensive_skips_its_own_events_and_says_so() -> None:
    gem = _with_slow_rules()
    with tenant(gem.organization.pk):
        plain = make_rule()
        slow = CallbackRule.objects.exclude(pk=plain.pk).order_by("pk").first()
    assert slow is not None
    record(gem, event(params={"text": SLOW_TEXT}))

    decide_once()

    outcomes = {postback.rule_id: postback.reason for postback in postbacks_of(gem)}
    assert outcomes.pop(plain.pk) == ""
    assert outcomes[slow.pk] == "rule_too_expensive"
    # A slow processor leaves the third rule little time.
    assert set(outcomes.values()) <= {"rule_too_expensive", "no_time_left"}
    assert len(outcomes) == 3
    rules = {
        row["id"]: row.get("too_expensive")
        for row in Program(gem.api_token).get("callback-rules").data["results"]
    }
    assert rules[str(plain.public_id)] is None
    shown = rules[str(slow.public_id)]
    assert shown["milliseconds"] >= 100
    assert "pattern" in shown["remedy"]
    page = sign_in(gem.owner).get(f"/admin/postbacks/callbackrule/{slow.pk}/change/")
    assert "takes too long.</strong>" in page.content.decode()
    with tenant(gem.organization.pk):
        slow.refresh_from_db()
        slow.conditions = {"all": []}
        save_rule(slow, by=None)
    assert (
        "too_expensive" not in Program(gem.api_token).get(f"callback-rules/{slow.public_id}").data
    )


def _quiet() -> Tenant:
    quiet = make_tenant("Quiet")
    with tenant(quiet.organization.pk):
        make_rule()
    return quiet


def _with_slow_rules() -> Tenant:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        for _ in range(3):
            make_rule(conditions={"any": SLOW_PATTERNS})
    return gem


def test_what_rules_took_is_noted_by_organization() -> None:
    budget = Budget(1.0, spent={1: (2, 0.5), 2: (4, 0.1)}, slow_rules={})
    budget.slow_rules[1, (7, 1)] = (0.2, False)
    budget.slow_rules[2, (8, 1)] = (0.02, False)
    budget.slow_rules[2, (9, 3)] = (0.11, True)

    assert budget.expensive_rules(EXPENSIVE_SECONDS) == {(7, 1): 0.2, (9, 3): 0.11}


_MACROS = "".join("{{params.text|upper|lower|sha256|md5!}}" for _ in range(190))
_LISTS = {"any": [{"field": "params.list", "operator": "contains", "value": n} for n in range(50)]}


@pytest.mark.parametrize(
    ("fields", "params"),
    [
        ({"method": "POST", "body_type": "raw", "body": _MACROS}, {"text": "ab" * 15_000}),
        ({"conditions": _LISTS}, {"list": [7_777] * 5_000}),
    ],
    ids=["required macros", "lists"],
)
def test_one_event_is_left_to_the_rules_that_its_time_is_enough_for(
    fields: dict[str, object], params: dict[str, object]
) -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        for _ in range(120):
            make_rule(**fields)
    record(gem, event(params=params))

    assert decide_once() == 1

    reasons = Counter(postback.reason for postback in postbacks_of(gem))
    assert reasons["no_time_left"] + reasons["rule_too_expensive"] > 0
    if "body" in fields:
        assert reasons[""] > 0
