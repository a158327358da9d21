"""A probabilistic match earns one device: the next one behind the address needs another."""

import threading

import pytest
from django.db import connection, transaction

from apps_registry.models import AttributionSettings, TrackingLink
from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.infrastructure.database import roles
from postbacks.models import Attribution, Install
from tests import database
from tests.events import event, record
from tests.make import Tenant, make_tenant
from tests.touches import make_network, touch
from tests.workers import work

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "203.0.113.7"


@pytest.fixture
def gem() -> Tenant:
    made = make_tenant()
    with tenant(made.organization.pk):
        AttributionSettings.objects.create(
            app=made.app, probabilistic_clicks=True, probabilistic_on_ios=True
        )
    return made


@pytest.fixture
def link(gem: Tenant) -> TrackingLink:
    return make_network(gem)[1]


def click(of: Tenant, link: TrackingLink, ago: float = 600) -> None:
    names = frozenset({f"ip:{ADDRESS}"})
    touch(of, link, ago=ago, identifiers=names, os_name="ios", device_model="iPhone17,1")


def open_on(of: Tenant, *devices: str) -> None:
    record(
        of,
        *(
            event("open", install_id=device, ip_address=ADDRESS, os_name="ios")
            for device in devices
        ),
    )


def types_of(gem: Tenant) -> dict[str, str]:
    with tenant(gem.organization.pk):
        return dict(Install.objects.values_list("install_id", "attribution_type"))


def test_the_second_device_behind_an_address_does_not_earn_the_same_click(
    gem: Tenant, link: TrackingLink
) -> None:
    click(gem, link)
    for device in ("first", "second"):
        open_on(gem, device)
        work()

    assert types_of(gem) == {"first": "click", "second": "organic"}
    with tenant(gem.organization.pk):
        lost = Attribution.objects.get(install__install_id="second").candidates[0]
    assert lost["reason"] == "taken"
    assert lost["sentence"].endswith("another device was credited to it before.")


def test_nor_does_it_in_one_batch(gem: Tenant, link: TrackingLink) -> None:
    click(gem, link)
    open_on(gem, "first", "second")
    work()

    assert types_of(gem) == {"first": "click", "second": "organic"}


def test_each_of_two_devices_has_a_click_where_there_are_two(
    gem: Tenant, link: TrackingLink
) -> None:
    click(gem, link, ago=900)
    click(gem, link, ago=600)
    open_on(gem, "first", "second")
    work()

    assert types_of(gem) == {"first": "click", "second": "click"}
    with tenant(gem.organization.pk):
        assert Install.objects.values("touchpoint").distinct().count() == 2


def test_who_has_it_keeps_it_at_every_later_look(gem: Tenant, link: TrackingLink) -> None:
    click(gem, link)
    for device in ("first", "second"):
        open_on(gem, device)
        work()
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute("UPDATE unsettled_install SET due_at = now(), final_at = now()")
    work()

    assert types_of(gem) == {"first": "click", "second": "organic"}
    with tenant(gem.organization.pk):
        assert set(Install.objects.values_list("attribution_version", flat=True)) == {1}


def test_two_workers_at_once_do_not_give_it_away_twice(gem: Tenant, link: TrackingLink) -> None:
    click(gem, link)
    open_on(gem, "first", "second")

    def decide() -> None:
        try:
            with database.as_role(roles.WORKER):
                pipeline.decide_events(1)
        finally:
            connection.close()

    rival = threading.Thread(target=decide)
    with database.as_role(roles.WORKER):
        with transaction.atomic():
            pipeline.decide_events(1)
            rival.start()
            database.wait_for_a_lock()
        rival.join(timeout=60)

    assert sorted(types_of(gem).values()) == ["click", "organic"]
