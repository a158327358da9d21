"""Addresses are shortened once they have served: those of touchpoints, and those of events."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from pytest_django import Settings

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.models import Event, Touchpoint, TouchpointKey
from postbacks.privacy import retention
from postbacks.values import identifiers
from tests.database import as_role
from tests.events import event, record
from tests.make import Tenant, make_tenant
from tests.pipeline.aged import touched, touched_at

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "203.0.113.77"


def test_an_address_is_shortened_once_nobody_is_matched_by_it() -> None:
    link = touched("203.0.113.77")
    touched_at(link, datetime.now(UTC) - timedelta(days=2, hours=3))

    with as_role(roles.WORKER):
        while retention.shorten_touchpoints(batch=1):
            pass

    with tenant(link.organization_id):
        touch = Touchpoint.objects.get()
        assert touch.ip_address == "203.0.113.0"
        assert touch.params == {"sub1": "spring"}
        assert touch.names == ["advertising:a-b", f"touch:{touch.public_id}"]
        assert set(TouchpointKey.objects.values_list("key", flat=True)) == {
            identifiers.key_of(link.campaign.app_id, name) for name in touch.names
        }


def test_a_fresh_address_stays_whole() -> None:
    link = touched("203.0.113.77")

    with as_role(roles.WORKER):
        assert not retention.shorten_touchpoints()

    with tenant(link.organization_id):
        assert Touchpoint.objects.get().ip_address == "203.0.113.77"
        assert TouchpointKey.objects.count() == 3


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:222.1.41.90", "222.1.41.0"),
        ("::FFFF:de01:295a", "222.1.41.0"),
        ("fe80::1%eth0", "fe80::"),
        ("not an address", ""),
    ],
)
def test_of_an_address_its_network_is_kept(address: str, expected: str) -> None:
    assert retention.shortened(address) == expected


def test_an_events_address_is_shortened_and_its_user_agent_left_out(settings: Settings) -> None:
    settings.RETENTION_DAYS_ADDRESSES = 8
    gem = make_tenant()
    record(
        gem,
        *(
            event(gaid=f"g-{n}", ip_address=ADDRESS, user_agent="Phone", params={"ip": ADDRESS})
            for n in range(5)
        ),
        event(gaid="g-5", ip_address="2001:db8:1:2::7", params={"level": 3}),
        event(gaid="g-6", country="DE"),
    )
    before = _fields(gem)
    received_at(datetime.now(UTC) - timedelta(days=8, hours=1), gem)

    with as_role(roles.WORKER):
        while retention.shorten_events(batch=2):
            pass

    after = _fields(gem)
    assert [fields.pop("ip_address", None) for fields, _ in after] == [
        *["203.0.113.0"] * 5,
        "2001:db8:1::",
        before[6][0].get("ip_address"),
    ]
    for (fields, _), (was, _) in zip(after, before, strict=True):
        assert fields == {
            name: value for name, value in was.items() if name not in {"ip_address", "user_agent"}
        }
    assert [params for _, params in after] == [*[{}] * 5, {"level": 3}, {}]


def test_an_events_address_stays_whole_as_long_as_it_is_sent_and_where_it_is_kept(
    settings: Settings,
) -> None:
    gem = make_tenant()
    record(gem, event(gaid="g-1", ip_address=ADDRESS), event(gaid="g-2", ip_address=ADDRESS))
    received_at(datetime.now(UTC) - timedelta(days=13), gem)

    with as_role(roles.WORKER):
        assert not retention.shorten_events()
        settings.RETENTION_DAYS_ADDRESSES = 0
        received_at(datetime.now(UTC) - timedelta(days=99), gem)
        assert not retention.shorten_events()

    assert {fields["ip_address"] for fields, _ in _fields(gem)} == {ADDRESS}


def test_what_came_since_is_shortened_in_its_turn(settings: Settings) -> None:
    settings.RETENTION_DAYS_ADDRESSES = 8
    gem = make_tenant()
    for days in (10, 9):
        record(gem, event(gaid=f"g-{days}", ip_address=ADDRESS))
        received_at(datetime.now(UTC) - timedelta(days=days), gem, f"g-{days}")
        with as_role(roles.WORKER):
            retention.shorten_events()

    assert {fields["ip_address"] for fields, _ in _fields(gem)} == {"203.0.113.0"}


def received_at(moment: datetime, of: Tenant, gaid: str = "") -> None:
    with as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute("SELECT ensure_partitions(%s::date, 1)", [moment])
    with as_role(roles.WORKER), tenant(of.organization.pk):
        events = Event.objects.filter(fields__gaid=gaid) if gaid else Event.objects.all()
        events.update(received_at=moment)


def _fields(of: Tenant) -> list[tuple[dict[str, object], dict[str, object]]]:
    with tenant(of.organization.pk):
        return list(Event.objects.order_by("id").values_list("fields", "params"))
