"""Data leave in their time: days of logs as a whole, addresses once nobody is matched by them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from pytest_django import Settings

from apps_registry.models import TrackingLink
from apps_registry.tenancy import tenant
from postbacks import recognition, retention, roles
from postbacks.intake.touchpoints import NewTouchpoint, record_touchpoints
from postbacks.models import Touchpoint, TouchpointKey, TouchpointSeen
from tests import make
from tests.database import as_role

pytestmark = pytest.mark.django_db(transaction=True)

MADE = {8, 20, 40}  # days ago


def test_days_leave_once_they_are_older_than_what_is_kept(settings: Settings) -> None:
    with as_role(roles.OWNER), connection.cursor() as cursor:
        for days in MADE:
            cursor.execute("SELECT ensure_partitions(current_date - %s, 1)", [days])
    settings.RETENTION_DAYS_POSTBACKS = 30

    with as_role(roles.WORKER):
        retention.drop_old_days()

    assert _days_left("event") == MADE
    assert _days_left("postback") == _days_left("delivery_attempt") == {8, 20}
    assert _days_left("touchpoint_click") == {8, 20}
    assert _days_left("touchpoint_impression") == set()
    settings.RETENTION_DAYS_EVENTS = 1
    settings.RETENTION_DAYS_POSTBACKS = settings.RETENTION_DAYS_CLICKS = 1
    with as_role(roles.WORKER):
        retention.drop_old_days()


def test_nobody_can_drop_a_day_that_is_not_over_or_another_table() -> None:
    for log, before in (("event", "current_date + 1"), ("app", "current_date")):
        with (
            pytest.raises(Exception, match="do not leave"),
            as_role(roles.WORKER),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"SELECT drop_oldest_partition('{log}', {before})")


def test_an_address_is_shortened_once_nobody_is_matched_by_it() -> None:
    link = _touched("203.0.113.77")
    _touched_at(link, datetime.now(UTC) - timedelta(days=2, hours=3))

    with as_role(roles.WORKER):
        while retention.shorten_addresses(batch=1):
            pass

    with tenant(link.organization_id):
        touch = Touchpoint.objects.get()
        assert touch.ip_address == "203.0.113.0"
        assert touch.params == {"sub1": "spring"}
        assert touch.names == ["advertising:a-b", f"touch:{touch.public_id}"]
        assert set(TouchpointKey.objects.values_list("key", flat=True)) == {
            recognition.key(link.campaign.app_id, name) for name in touch.names
        }


def test_a_fresh_address_stays_whole() -> None:
    link = _touched("203.0.113.77")

    with as_role(roles.WORKER):
        assert not retention.shorten_addresses()

    with tenant(link.organization_id):
        assert Touchpoint.objects.get().ip_address == "203.0.113.77"
        assert TouchpointKey.objects.count() == 3


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("not an address", ""),
    ],
)
def test_of_an_address_its_network_is_kept(address: str, expected: str) -> None:
    assert retention.shortened(address) == expected


def test_names_leave_with_their_touchpoints() -> None:
    link = _touched("203.0.113.77")
    _touched_at(link, datetime.now(UTC) - timedelta(days=36))

    with as_role(roles.WORKER):
        names, repeats = retention.forget_old_touchpoint_keys(), retention.forget_old_repeats()

    assert (names, repeats) == (3, 1)


def _touched(address: str) -> TrackingLink:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        link = make.make_link(make.make_campaign(made.app, make.make_partner()))
        record_touchpoints(
            [
                NewTouchpoint(
                    organization_id=made.organization.pk,
                    app_id=made.app.pk,
                    partner_id=link.campaign.partner_id,
                    link_id=link.pk,
                    kind="click",
                    source="link",
                    occurred_at=datetime.now(UTC),
                    ip_address=address,
                    names=frozenset({"advertising:a-b", f"ip:{address}"}),
                    params={"ip": address, "sub1": "spring"},
                )
            ]
        )
    return link


def _touched_at(link: TrackingLink, moment: datetime) -> None:
    with as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute("SELECT ensure_partitions(%s::date, 1)", [moment])
    with as_role(roles.WORKER), tenant(link.organization_id):
        for model in (Touchpoint, TouchpointKey, TouchpointSeen):
            model.objects.update(received_at=moment)


def _days_left(log: str) -> set[int]:
    """Return which of the days that the test made are left."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_date - to_date(right(relname, 8), 'YYYYMMDD') FROM pg_inherits "
            "JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = %s::regclass",
            [log],
        )
        return {days for (days,) in cursor.fetchall()} & MADE
