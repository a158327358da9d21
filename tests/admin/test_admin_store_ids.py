"""An operator says whose app it is; copies that were kept go to whoever has it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from apps_registry.models import AuditEntry, StoreClaim, User
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.intake.skadnetwork.recording import hand_over_copies
from postbacks.intake.skadnetwork.unclaimed import MAX_COPIES_PER_APP
from postbacks.models import Event, SkanPostback, UnclaimedCopy
from postbacks.worker import tasks
from tests import make
from tests.admin.pages import sign_in
from tests.api.test_apples_copies import GENUINE, STORE_ID, send
from tests.database import as_role

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/admin/store-ids/"


@pytest.fixture
def operator() -> Client:
    return sign_in(User.objects.create_superuser("operator@example.com", "correct horse battery"))


def claim(made: make.Tenant) -> make.Tenant:
    make.own_store_id(made.app, STORE_ID)
    return made


def decide(browser: Client, made: make.Tenant, decision: str, **fields: object) -> int:
    said = {"organization": made.organization.public_id, "store_id": STORE_ID, **fields}
    return browser.post(f"{PAGE}decide/", {**said, "decision": decision}).status_code


def state_of(made: make.Tenant) -> str:
    with tenant(made.organization.pk):
        return StoreClaim.objects.get(store_id=STORE_ID).state


def copies_of(made: make.Tenant) -> int:
    with tenant(made.organization.pk):
        return SkanPostback.objects.count()


def test_a_claim_that_waits_is_shown_and_approved(operator: Client) -> None:
    first, second = claim(make.make_tenant("First")), claim(make.make_tenant("Second"))
    page = operator.get(PAGE).content.decode()

    assert decide(operator, second, "approve") == 302

    assert (first.organization.name in page, second.organization.name in page) == (True, True)
    assert (state_of(first), state_of(second)) == ("refused", "standing")
    send(GENUINE)
    assert (copies_of(first), copies_of(second)) == (0, 1)
    for made in (first, second):
        with tenant(made.organization.pk):
            entry = AuditEntry.objects.filter(object_type="store_claim").latest("pk")
            assert (entry.actor_kind, entry.actor_name) == ("operator", "operator@example.com")
            assert "state" in entry.changes


def test_a_claim_that_is_refused_can_still_be_approved(operator: Client) -> None:
    first, second = claim(make.make_tenant("First")), claim(make.make_tenant("Second"))

    decide(operator, second, "refuse")
    after = (state_of(first), state_of(second))
    decide(operator, second, "approve")

    assert after == ("standing", "refused")
    assert (state_of(first), state_of(second)) == ("refused", "standing")


def test_a_claim_that_stands_is_not_decided_about(operator: Client) -> None:
    first = claim(make.make_tenant("First"))

    assert decide(operator, first, "refuse") == 302

    assert state_of(first) == "standing"


@pytest.mark.parametrize("wrong", [{"decision": "both"}, {"organization": "me"}])
def test_a_decision_that_can_not_be_read_is_refused(operator: Client, wrong: dict) -> None:
    assert decide(operator, make.make_tenant(), **{"decision": "approve", **wrong}) == 400


def test_nobody_else_sees_or_decides_anything() -> None:
    first, second = claim(make.make_tenant("First")), claim(make.make_tenant("Second"))
    browser = sign_in(second.owner)

    assert browser.get(PAGE).status_code == 403
    assert decide(browser, second, "approve") == 403
    assert Client().get(PAGE).status_code == 302
    assert (state_of(first), state_of(second)) == ("standing", "waiting")


def test_kept_copies_are_shown_and_go_to_whoever_claims_the_app(operator: Client) -> None:
    send(GENUINE)
    send(GENUINE)
    came = UnclaimedCopy.objects.earliest("pk").received_at
    page = operator.get(PAGE).content.decode()

    made = claim(make.make_tenant())
    with as_role(roles.WORKER):
        handed_over = hand_over_copies()

    assert STORE_ID in page
    assert handed_over == 2
    assert UnclaimedCopy.objects.count() == 0
    with tenant(made.organization.pk):
        first, second = SkanPostback.objects.order_by("id")
        assert Event.objects.filter(event_name="skan_postback").count() == 1
    assert (first.signature_state, second.duplicate_of) == ("valid", first.public_id)
    assert abs(first.received_at - came) < timedelta(milliseconds=1)
    assert json.loads(first.body) == GENUINE


def test_copies_of_an_app_that_is_disputed_wait_for_the_operator(operator: Client) -> None:
    first, second = claim(make.make_tenant("First")), claim(make.make_tenant("Second"))
    with tenant(first.organization.pk):
        first.app.status = "archived"
        first.app.save()
    send(GENUINE)
    with as_role(roles.WORKER):
        before = hand_over_copies()

    decide(operator, second, "approve")
    with as_role(roles.WORKER):
        after = hand_over_copies()

    assert (before, after, copies_of(second)) == (0, 1, 1)


def test_kept_copies_are_forgotten_after_30_days() -> None:
    now = datetime.now(UTC)
    for days in (31, 29):
        UnclaimedCopy.objects.create(
            store_id=str(days), received_at=now - timedelta(days=days), body="{}"
        )

    with as_role(roles.WORKER):
        tasks.tidy_up()

    assert [copy.store_id for copy in UnclaimedCopy.objects.all()] == ["29"]


def test_of_one_unknown_app_only_so_many_copies_are_kept() -> None:
    now = datetime.now(UTC)
    UnclaimedCopy.objects.bulk_create(
        UnclaimedCopy(store_id=STORE_ID, received_at=now, body="{}")
        for _ in range(MAX_COPIES_PER_APP)
    )

    assert send(GENUINE).status_code == 200

    assert UnclaimedCopy.objects.count() == MAX_COPIES_PER_APP
