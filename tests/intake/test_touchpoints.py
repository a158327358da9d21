"""A touchpoint is recorded once, with every name by which an install may find it."""

from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest
from django.db import connection

from apps_registry.models import TrackingLink
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.intake.touchpoints.recording import (
    NewTouchpoint,
    RecordedTouchpoint,
    record_touchpoints,
)
from postbacks.models import Install, InstallKey, Touchpoint, TouchpointKey, UnsettledInstall
from postbacks.values import identifiers
from tests import make
from tests.database import as_role

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_click_is_found_by_each_of_its_names() -> None:
    link = _link()
    names = frozenset({"advertising:a-b", "click_id:net-1"})

    (recorded,) = _record(link, _click(link, identifiers=names))

    with tenant(link.organization_id):
        touch = Touchpoint.objects.get(public_id=recorded.id)
        keys = set(TouchpointKey.objects.filter(touchpoint=touch).values_list("key", flat=True))
    expected = {*names, f"touch:{recorded.id}"}
    assert set(touch.names) == expected
    assert keys == {identifiers.key_of(touch.app_id, name) for name in expected}


def test_the_same_click_of_a_network_counts_once() -> None:
    link = _link()

    (first,) = _record(link, _click(link, once="net-1"))
    (again,) = _record(link, _click(link, once="net-1"))
    both = _record(link, _click(link, once="net-2"), _click(link, once="net-2"))

    assert first.is_new
    assert again == RecordedTouchpoint(first.id, is_new=False)
    assert [touchpoint.is_new for touchpoint in both].count(True) == 1
    with tenant(link.organization_id):
        assert Touchpoint.objects.count() == 2


def test_clicks_without_an_id_of_the_network_all_count() -> None:
    link = _link()

    recorded = _record(link, _click(link), _click(link))

    assert [touchpoint.is_new for touchpoint in recorded] == [True, True]


def test_a_late_touchpoint_has_its_install_looked_at_again() -> None:
    link = _link()
    later = _unsettled_install(link, "advertising:a-b", lasting=True)

    _record(link, _click(link, identifiers=frozenset({"advertising:someone-else"})))
    assert _due(link) == later
    _record(link, _click(link, identifiers=frozenset({"advertising:a-b"})))

    assert _due(link) < datetime.now(UTC)


def test_an_address_alone_has_nobodys_install_looked_at_again() -> None:
    link = _link()
    later = _unsettled_install(link, "ip:203.0.113.7", lasting=False)

    _record(link, _click(link, identifiers=frozenset({"ip:203.0.113.7"})))

    assert _due(link) == later


def test_two_that_report_the_same_click_at_once_are_told_of_the_same_one() -> None:
    link = _link()
    begun, go_on = Event(), Event()
    answers: list[RecordedTouchpoint] = []

    def slow() -> None:
        with tenant(link.organization_id):
            answers.extend(record_touchpoints([_click(link, once="net-1")]))
            begun.set()
            go_on.wait(10)
        connection.close()

    def quick() -> None:
        with tenant(link.organization_id):
            answers.extend(record_touchpoints([_click(link, once="net-1")]))
        connection.close()

    first, second = Thread(target=slow), Thread(target=quick)
    first.start()
    assert begun.wait(10)
    second.start()
    second.join(0.5)  # it waits for the first
    go_on.set()
    first.join()
    second.join()

    assert [touchpoint.is_new for touchpoint in answers] == [True, False]
    assert answers[0].id == answers[1].id


def _due(link: TrackingLink) -> datetime:
    with tenant(link.organization_id):
        return UnsettledInstall.objects.get().due_at


def _unsettled_install(link: TrackingLink, name: str, *, lasting: bool) -> datetime:
    """Make an install with a name, and return when it is looked at again."""
    later = datetime.now(UTC) + timedelta(hours=20)
    with as_role(roles.WORKER), tenant(link.organization_id):
        install = Install.objects.create(
            app=link.campaign.app,
            device="d",
            installed_at=datetime.now(UTC),
            event_ref=1,
            event_received_at=datetime.now(UTC),
        )
        key = identifiers.key_of(link.campaign.app_id, name)
        InstallKey.objects.create(app=link.campaign.app, key=key, install=install, lasting=lasting)
        UnsettledInstall.objects.create(install=install, due_at=later, final_at=later)
    return later


def _link() -> TrackingLink:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        return make.make_link(make.make_campaign(made.app, make.make_partner()))


def _click(link: TrackingLink, **fields: object) -> NewTouchpoint:
    return NewTouchpoint(
        organization_id=link.organization_id,
        app_id=link.campaign.app_id,
        partner_id=link.campaign.partner_id,
        campaign_id=link.campaign_id,
        link_id=link.pk,
        kind="click",
        source="link",
        occurred_at=datetime.now(UTC),
        **fields,  # type: ignore[arg-type]
    )


def _record(link: TrackingLink, *touchpoints: NewTouchpoint) -> list[RecordedTouchpoint]:
    with tenant(link.organization_id):
        assert connection.in_atomic_block
        return record_touchpoints(touchpoints)
