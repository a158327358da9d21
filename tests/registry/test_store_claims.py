"""A number of Apple's store belongs to one organization: the first, unless an operator decides."""

import threading

import pytest
from django.db import connection

from apps_registry.models import App, Organization, StoreClaim
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.intake.skadnetwork.recording import find_store_owner
from tests import make

pytestmark = pytest.mark.django_db(transaction=True)

NUMBER = "525463029"


def make_app(organization: Organization, **fields: object) -> App:
    with tenant(organization.pk):
        return App.objects.create(
            **{
                "name": f"App {App.objects.count()}",
                "platform": "ios",
                "store_id": NUMBER,
                **fields,
            }
        )


def change(app: App, **fields: object) -> None:
    with tenant(app.organization_id):
        app.refresh_from_db()
        for name, value in fields.items():
            setattr(app, name, value)
        app.save(update_fields=list(fields))


def states_of(organization: Organization) -> dict[str, str]:
    with tenant(organization.pk):
        return {claim.store_id: claim.state for claim in StoreClaim.objects.all()}


@pytest.fixture
def first() -> Organization:
    return make.make_organization("First")


@pytest.fixture
def second() -> Organization:
    return make.make_organization("Second")


def test_the_first_to_claim_a_number_has_it_and_the_second_waits(first, second) -> None:
    app = make_app(first)
    make_app(second)

    assert (states_of(first), states_of(second)) == ({NUMBER: "standing"}, {NUMBER: "waiting"})
    assert find_store_owner(NUMBER) == (first.pk, app.pk)


@pytest.mark.parametrize("written", [f"id{NUMBER}", f" {NUMBER} ", f"00{NUMBER}"])
def test_a_number_is_the_same_however_it_is_written(first, written) -> None:
    make_app(first, store_id=written)

    assert states_of(first) == {NUMBER: "standing"}


@pytest.mark.parametrize(
    "fields",
    [{"platform": "android"}, {"store_id": ""}, {"store_id": "com.example"}, {"store_id": "0"}],
)
def test_only_apps_that_apple_reports_claim_anything(first, fields) -> None:
    make_app(first, **fields)

    assert states_of(first) == {}


@pytest.mark.parametrize(
    "fields",
    [{"status": Lifecycle.ARCHIVED}, {"store_id": "7"}, {"store_id": ""}, {"platform": "tv"}],
)
def test_an_app_that_is_gone_or_changed_lets_its_number_go(first, second, fields) -> None:
    app = make_app(first)

    change(app, **fields)
    make_app(second)

    assert NUMBER not in states_of(first)
    assert states_of(second) == {NUMBER: "standing"}


def test_many_apps_changed_at_once_let_their_numbers_go_too(first) -> None:
    make_app(first)

    with tenant(first.pk):
        App.objects.update(status=Lifecycle.ARCHIVED)

    assert states_of(first) == {}


def test_whoever_waits_does_not_get_a_free_number_by_itself(first, second) -> None:
    app = make_app(first)
    make_app(second)

    change(app, status=Lifecycle.ARCHIVED)
    third = make.make_organization("Third")
    make_app(third)

    assert find_store_owner(NUMBER) is None
    assert (states_of(second), states_of(third)) == ({NUMBER: "waiting"}, {NUMBER: "waiting"})


def test_another_app_of_the_organization_takes_the_number_over(first, second) -> None:
    app = make_app(first)
    heir = make_app(first)

    change(app, status=Lifecycle.ARCHIVED)

    make_app(second)
    assert find_store_owner(NUMBER) == (first.pk, heir.pk)


def test_a_refusal_outlives_the_app(first, second) -> None:
    make_app(first)
    app = make_app(second)
    with tenant(second.pk):
        StoreClaim.objects.update(state="refused")

    change(app, store_id="7")
    change(app, store_id=NUMBER)

    assert states_of(second)[NUMBER] == "refused"


def test_of_organizations_that_claim_at_once_one_has_it() -> None:
    organizations = [make.make_organization(f"Studio {number}") for number in range(5)]

    def claim(organization) -> None:
        make_app(organization)
        connection.close()

    threads = [
        threading.Thread(target=claim, args=[organization]) for organization in organizations
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    states = sorted(states_of(organization)[NUMBER] for organization in organizations)
    assert states == ["standing", *["waiting"] * 4]
