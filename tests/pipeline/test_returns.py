"""Devices that come back, people won back, and one device under several ids."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from apps_registry.models import AttributionSettings
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.models import DecisionFailure, Event, Install, UndecidedEvent
from tests import database
from tests.events import event, postbacks_of, record
from tests.make import Tenant, make_tenant, make_tenant_rule
from tests.touches import GAID, make_network, touch
from tests.workers import work

pytestmark = pytest.mark.django_db(transaction=True)

BACK = {"install_id": "device-2", "gaid": GAID}


def days_ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def set_up(of: Tenant, **fields: object) -> None:
    with tenant(of.organization.pk):
        AttributionSettings.objects.create(app=of.app, **fields)


def installs_of(of: Tenant) -> list[Install]:
    with tenant(of.organization.pk):
        return list(Install.objects.order_by("id"))


def kinds_of(of: Tenant) -> list[tuple[str, int]]:
    return [(install.kind, install.number) for install in installs_of(of)]


def reported_by_us(of: Tenant) -> list[Event]:
    with tenant(of.organization.pk):
        return list(Event.objects.filter(source="system").order_by("id"))


def test_a_new_install_id_with_a_known_advertising_id_is_a_reinstall() -> None:
    gem = make_tenant()
    rules = {name: make_tenant_rule(gem, triggers=[name]).pk for name in ("install", "reinstall")}
    record(gem, event("open", gaid=GAID, event_time=days_ago(3)))
    work()
    record(gem, event("open", **BACK))

    work()

    first, second = installs_of(gem)
    assert kinds_of(gem) == [("install", 1), ("reinstall", 2)]
    assert second.before_id == first.pk
    assert [postback.rule_id for postback in postbacks_of(gem)] == [
        rules["install"],
        rules["reinstall"],
    ]


def test_a_reinstall_after_a_new_click_is_a_reattribution_of_its_network() -> None:
    gem = make_tenant()
    first_partner, first_link = make_network(gem)
    partner, link = make_network(gem)
    touch(gem, first_link, at=datetime.now(UTC) - timedelta(days=3))
    record(gem, event("open", gaid=GAID, event_time=days_ago(3)))
    won_back = make_tenant_rule(
        gem, partner=partner, attribution_scope="partner", triggers=["reattribution"]
    )
    make_tenant_rule(
        gem, partner=first_partner, attribution_scope="partner", triggers=["reattribution"]
    )
    work()
    click = touch(gem, link)
    record(gem, event("install", **BACK), event("purchase", install_id="device-2"))

    work()

    _, second = installs_of(gem)
    assert (second.kind, second.partner_id, second.touchpoint) == (
        "reattribution",
        partner.pk,
        click,
    )
    assert [postback.rule_id for postback in postbacks_of(gem)] == [won_back.pk]


def test_the_click_that_won_the_install_does_not_win_the_reinstall_as_well() -> None:
    gem = make_tenant()
    _, link = make_network(gem)
    touch(gem, link, at=datetime.now(UTC) - timedelta(days=3))
    record(gem, event("open", gaid=GAID, event_time=days_ago(3)))
    work()
    record(gem, event("open", **BACK))

    work()

    assert [install.kind for install in installs_of(gem)] == ["install", "reinstall"]


@pytest.mark.parametrize(("setting", "notified"), [("original", 1), ("organic", 0)])
def test_events_after_a_reinstall_go_to_whom_the_setting_says(setting: str, notified: int) -> None:
    gem = make_tenant()
    set_up(gem, reinstall_events=setting)
    partner, link = make_network(gem)
    touch(gem, link, at=datetime.now(UTC) - timedelta(days=3), click_id="first")
    record(gem, event("open", gaid=GAID, event_time=days_ago(3)))
    work()
    make_tenant_rule(gem, partner=partner, attribution_scope="partner", triggers=["purchase"])
    record(gem, event("open", **BACK), event("purchase", install_id="device-2"))

    work()

    owed = postbacks_of(gem)
    assert len(owed) == notified
    first, second = installs_of(gem)
    assert second.partner_id == (partner.pk if notified else None)
    if notified:
        assert owed[0].installed_at == first.installed_at


def test_a_device_that_comes_back_after_the_window_is_a_new_install() -> None:
    gem = make_tenant()
    set_up(gem, reattribution_window_days=10)
    record(gem, event("open", gaid=GAID, event_time=days_ago(11)))
    work()
    record(gem, event("open", **BACK))

    work()

    assert kinds_of(gem) == [("install", 1), ("install", 2)]


@pytest.mark.parametrize("days", [9.9, 10.0, 10.1, 10.5, 10.99])
def test_the_last_day_of_the_window_counts_whole(days: float) -> None:
    gem = make_tenant()
    set_up(gem, reattribution_window_days=10)
    record(gem, event("open", gaid=GAID, event_time=days_ago(days)))
    work()
    record(gem, event("open", **BACK))

    work()

    assert kinds_of(gem) == [("install", 1), ("reinstall", 2)]


@pytest.mark.parametrize(("days", "kinds"), [(0.9, ["install"]), (1.1, ["install", "reinstall"])])
def test_a_second_install_event_is_told_twice_for_a_day_and_then_a_reinstall(
    days: float, kinds: list[str]
) -> None:
    gem = make_tenant()
    record(gem, event("install", event_time=days_ago(days)))
    work()
    record(gem, event("install"))

    work()

    assert [install.kind for install in installs_of(gem)] == kinds


def test_an_install_and_its_reinstall_may_come_in_one_batch() -> None:
    gem = make_tenant()
    record(gem, event("open", gaid=GAID, event_time=days_ago(3)), event("open", **BACK))

    work()

    first, second = installs_of(gem)
    assert kinds_of(gem) == [("install", 1), ("reinstall", 2)]
    assert second.before_id == first.pk


def test_an_event_without_the_install_id_belongs_to_the_device_with_its_advertising_id() -> None:
    gem = make_tenant()
    partner, link = make_network(gem)
    make_tenant_rule(gem, partner=partner, attribution_scope="partner", triggers=["purchase"])
    touch(gem, link)
    record(gem, event("open", gaid=GAID))
    work()
    record(gem, event("purchase", install_id=None, gaid=GAID))

    work()

    assert len(postbacks_of(gem)) == 1
    assert len(installs_of(gem)) == 1


def test_a_click_wins_back_a_person_who_was_away() -> None:
    gem = make_tenant()
    partner, link = make_network(gem)
    won_back = make_tenant_rule(
        gem, partner=partner, attribution_scope="partner", triggers=["reengagement"]
    )
    record(gem, event("open", gaid=GAID, event_time=days_ago(20)))
    work()
    touch(gem, link, click_id="back")
    record(gem, event("open", gaid=GAID), event("open", gaid=GAID))

    work()

    (reported,) = reported_by_us(gem)
    assert reported.event_name == "reengagement"
    assert reported.fields["attribution"]["click_id"] == "back"
    assert [postback.rule_id for postback in postbacks_of(gem)] == [won_back.pk]
    (install,) = installs_of(gem)
    assert install.attribution_type == "organic"
    assert install.last_open_at is not None
    assert datetime.now(UTC) - install.last_open_at < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("last_open", "clicked_before"), [(3.0, 60.0), (20.0, 21 * 86_400.0), (20.0, 8 * 86_400.0)]
)
def test_nobody_is_won_back_who_was_not_away_or_whose_click_is_old(
    last_open: float, clicked_before: float
) -> None:
    gem = make_tenant()
    _, link = make_network(gem)
    record(gem, event("open", gaid=GAID, event_time=days_ago(last_open)))
    work()
    touch(gem, link, ago=clicked_before)
    record(gem, event("open", gaid=GAID))

    work()

    assert "reengagement" not in {reported.event_name for reported in reported_by_us(gem)}


def test_a_late_click_makes_a_reinstall_a_reattribution() -> None:
    gem = make_tenant()
    partner, link = make_network(gem)
    won_back = make_tenant_rule(
        gem, partner=partner, attribution_scope="partner", triggers=["reattribution"]
    )
    record(gem, event("open", gaid=GAID, event_time=days_ago(3)))
    work()
    record(gem, event("open", **BACK))
    work()
    touch(gem, link)

    work()

    assert [install.kind for install in installs_of(gem)] == ["install", "reattribution"]
    assert [(postback.rule_id, postback.attribution_version) for postback in postbacks_of(gem)] == [
        (won_back.pk, 2)
    ]


def test_an_install_may_be_removed_before_the_one_that_came_after_it() -> None:
    gem = make_tenant()
    record(gem, event("open", gaid=GAID, event_time=days_ago(3)), event("open", **BACK))
    work()
    first, _ = installs_of(gem)

    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        for table in ("unsettled_install", "install_key", "attribution"):
            cursor.execute(f"DELETE FROM {table} WHERE install_id = %s", [first.pk])
        cursor.execute("DELETE FROM install WHERE id = %s", [first.pk])

    (left,) = installs_of(gem)
    assert left.before_id is None


def test_an_install_that_a_later_one_has_overtaken_is_decided() -> None:
    gem = make_tenant()
    now = datetime.now(UTC)
    record(gem, event("install", event_time=(now - timedelta(days=9)).isoformat()))
    work()
    for days in (5, 3):
        record(gem, event("install", event_time=(now - timedelta(days=days)).isoformat()))
    with database.as_role(roles.WORKER), tenant(gem.organization.pk):
        earlier = UndecidedEvent.objects.order_by("id").first()
        assert earlier is not None
        undecided = {"id": earlier.pk, "received_at": earlier.received_at}
        UndecidedEvent.objects.filter(pk=earlier.pk).delete()
    work()
    with database.as_role(roles.WORKER), tenant(gem.organization.pk):
        UndecidedEvent.objects.create(**undecided)

    work()

    with tenant(gem.organization.pk):
        assert not DecisionFailure.objects.exists()
        assert not UndecidedEvent.objects.exists()
        assert Install.objects.count() == 2
