"""What is decided for events: installs, rules, skips, and failures that block nobody."""

from uuid import uuid4

import pytest
from django.db import connection

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.intake.events.queue import requeue_failed
from postbacks.models import (
    DecisionFailure,
    DuePostback,
    Install,
    PostbackStatus,
    RuleStatus,
    UndecidedEvent,
)
from tests import database
from tests.events import event, postbacks_of, record
from tests.make import make_partner, make_tenant, make_tenant_rule
from tests.workers import decide

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_owes_a_postback_to_each_rule_that_wants_it() -> None:
    gem = make_tenant()
    purchases = make_tenant_rule(gem, triggers=["purchase"])
    everything = make_tenant_rule(gem, triggers=["*"])
    make_tenant_rule(gem, triggers=["install"])
    record(gem, event("purchase"))

    decide()

    postbacks = postbacks_of(gem)
    assert {postback.rule_id for postback in postbacks} == {purchases.pk, everything.pk}
    assert {postback.status for postback in postbacks} == {PostbackStatus.PENDING}
    with tenant(gem.organization.pk):
        assert DuePostback.objects.count() == 2
        assert not UndecidedEvent.objects.exists()


def test_each_rule_of_an_event_decides_by_facts_of_its_own_postback() -> None:
    """What rules have in common is made once for the event; this is not."""
    gem = make_tenant()
    named = {"field": "partner_event_name", "operator": "="}
    maps = [
        ({"purchase": "af_purchase"}, "af_purchase", ""),
        ({"purchase": "buy"}, "buy", ""),
        ({}, "purchase", ""),
        ({"open": "launch"}, None, "not_mapped"),
        ({"purchase": "buy"}, "af_purchase", None),
        ({}, "buy", None),
    ]
    expected = {}
    for event_map, name, reason in maps:
        conditions = {"all": [{**named, "value": name}] if name else []}
        rule = make_tenant_rule(gem, event_map=event_map, conditions=conditions)
        expected[rule.pk] = reason
    record(gem, event("purchase"), event("purchase"))

    decide()

    postbacks = postbacks_of(gem)
    assert {postback.rule_id: postback.reason for postback in postbacks} == {
        rule: reason for rule, reason in expected.items() if reason is not None
    }
    assert len({postback.public_id for postback in postbacks}) == len(postbacks) == 8


def test_a_batch_of_many_organizations_takes_as_many_statements_as_one_of_one() -> None:
    tenants = [make_tenant(f"Organization {number}") for number in range(6)]
    for gem in tenants:
        make_tenant_rule(gem, triggers=["*"])
    counts = []
    for batch in (tenants[:1], tenants[:1], tenants):
        for gem in batch:
            devices = [uuid4().hex for _ in range(2)]
            record(gem, *(event("open", install_id=device) for device in devices))
            record(gem, *(event("purchase", install_id=device, idfv=device) for device in devices))
        before = _executed_statements()
        assert decide() == 4 * len(batch)
        counts.append(_executed_statements() - before)

    assert counts[2] == counts[1]  # the very first may load what then stays known
    assert [len(postbacks_of(gem)) for gem in tenants] == [12, 4, 4, 4, 4, 4]


def _executed_statements() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(generic_plans + custom_plans), 0) FROM pg_prepared_statements"
        )
        return int(cursor.fetchone()[0])


def test_only_an_active_rule_of_the_same_organization_and_app_is_asked() -> None:
    gem, other = make_tenant(), make_tenant("Other")
    make_tenant_rule(other)
    make_tenant_rule(gem, status=RuleStatus.PAUSED)
    make_tenant_rule(gem, status=RuleStatus.DRAFT)
    with tenant(gem.organization.pk):
        android = type(gem.app).objects.create(name="Android", platform="android")
    make_tenant_rule(gem, app=android)
    record(gem, event())

    decide()

    assert postbacks_of(gem) == []
    assert postbacks_of(other) == []


def test_a_first_open_counts_as_the_install_once_per_device() -> None:
    gem = make_tenant()
    make_tenant_rule(gem, triggers=["install"])

    record(
        gem, event("open"), event("open"), event("install"), event("open", install_id="device-2")
    )
    decide()
    record(gem, event("open"), event("install", install_id="device-2"))
    decide()

    assert len(postbacks_of(gem)) == 2
    with tenant(gem.organization.pk):
        assert Install.objects.count() == 2


def test_first_time_per_device_is_held_over_batches() -> None:
    gem = make_tenant()
    make_tenant_rule(gem, frequency="first", triggers=["purchase"])

    record(gem, event(), event(), event(install_id="device-2"))
    decide()
    record(gem, event())
    decide()

    assert len(postbacks_of(gem)) == 2


def test_a_skip_does_not_use_the_first_time_up() -> None:
    gem = make_tenant()
    make_tenant_rule(gem, frequency="first", url="https://ads.example.com/?idfa={{idfa!}}")

    record(gem, event())
    decide()
    record(gem, event(idfa="6D92078A-8246-4BA4-AE5B-76104861E7DC"))
    decide()

    assert [postback.status for postback in postbacks_of(gem)] == ["skipped", "pending"]


@pytest.mark.parametrize(
    ("fields", "sent", "reason"),
    [
        ({"url": "https://ads.example.com/?a={{idfa!}}"}, {}, "missing_macro"),
        ({"event_map": {"install": "af_install"}}, {}, "not_mapped"),
        ({"without_consent": "skip"}, {"limit_ad_tracking": True}, "no_consent"),
        (
            {"url": "https://ads.example.com/?a={{idfa!}}"},
            {"idfa": "6D92078A-8246-4BA4-AE5B-76104861E7DC", "att_status": 2},
            "missing_macro",
        ),
        (
            {"url": "https://ads.example.com/?a={{idfa!}}"},
            {"idfa": "00000000-0000-0000-0000-000000000000", "att_status": 3},
            "missing_macro",
        ),
    ],
)
def test_a_skipped_postback_says_why(
    fields: dict[str, object], sent: dict[str, object], reason: str
) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, **fields)
    record(gem, event(**sent))

    decide()

    (postback,) = postbacks_of(gem)
    assert (postback.status, postback.reason) == (PostbackStatus.SKIPPED, reason)
    with tenant(gem.organization.pk):
        assert not DuePostback.objects.exists()


@pytest.mark.parametrize(
    ("scope", "count"),
    [("everyone", 1), ("partner", 0), ("partner_and_organic", 1), ("any_attributed", 0)],
)
def test_an_organic_install_is_told_to_whom_the_scope_says(scope: str, count: int) -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        partner = make_partner()
    make_tenant_rule(gem, triggers=["install"], attribution_scope=scope, partner=partner)
    record(gem, event("install"))

    decide()

    assert len(postbacks_of(gem)) == count


def test_an_event_decided_twice_owes_nothing_twice() -> None:
    gem = make_tenant()
    make_tenant_rule(gem)
    record(gem, event())
    decide()
    with tenant(gem.organization.pk):
        first = postbacks_of(gem)[0]
        UndecidedEvent.objects.create(pk=first.event_id, received_at=first.event_received_at)

    decide()

    assert len(postbacks_of(gem)) == 1


def test_a_rule_that_raises_is_noted_and_keeps_no_other_rule_from_the_event() -> None:
    gem = make_tenant()
    good, bad = make_tenant_rule(gem), make_tenant_rule(gem)
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE callback_rule_version SET definition = definition || "
            "'{\"window_days\": 99999999999}' WHERE rule_id = %s",
            [bad.pk],
        )
    record(gem, event("open"))

    decide()

    outcomes = {
        postback.rule_id: (postback.status, postback.reason) for postback in postbacks_of(gem)
    }
    assert outcomes == {
        good.pk: (PostbackStatus.PENDING, ""),
        bad.pk: (PostbackStatus.SKIPPED, "rule_error"),
    }


def test_an_event_that_cannot_be_decided_is_set_aside_and_blocks_nobody() -> None:
    gem = make_tenant()
    make_tenant_rule(gem)
    record(gem, event("broken"), event("purchase"))
    with database.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute(_REFUSE_BROKEN)

    decide()

    assert len(postbacks_of(gem)) == 1
    with tenant(gem.organization.pk):
        failure = DecisionFailure.objects.get()
        assert "the database says no" in failure.error
        assert not UndecidedEvent.objects.exists()

    with database.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER refuse_broken ON postback; DROP FUNCTION refuse_broken")
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute("UPDATE decision_failure SET next_try_at = now()")
        assert requeue_failed() == 1
    decide()

    assert len(postbacks_of(gem)) == 2
    with tenant(gem.organization.pk):
        assert not DecisionFailure.objects.exists()


# Stands for any surprise while one event is decided.
_REFUSE_BROKEN = """
CREATE FUNCTION refuse_broken() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM event WHERE id = NEW.event_id AND event_name = 'broken') THEN
        RAISE EXCEPTION 'the database says no';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_broken BEFORE INSERT ON postback
    FOR EACH ROW EXECUTE FUNCTION refuse_broken();
"""


def test_ids_of_postbacks_carry_the_time_of_their_event() -> None:
    gem = make_tenant()
    make_tenant_rule(gem)
    record(gem, event())

    decide()

    (postback,) = postbacks_of(gem)
    milliseconds = postback.public_id.int >> 80
    assert postback.public_id.version == 7
    assert milliseconds == round(postback.event_received_at.timestamp() * 1000)
