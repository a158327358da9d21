"""Two workers and one device: what happened first is decided first."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from apps_registry.tenancy import tenant
from postbacks.models import Event, Install, UndecidedEvent
from tests import database
from tests.events import event, postbacks_of, record
from tests.make import Tenant, make_rule, make_tenant
from tests.workers import decide

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def another_worker_deciding(of: Tenant, name: str) -> Iterator[None]:
    """Hold the event of this name as a worker does that has taken it and not committed yet."""
    with tenant(of.organization.pk):
        event_id = Event.objects.get(event_name=name).pk
    with psycopg.connect(database.superuser_conninfo()) as other:
        other.execute("SELECT id FROM undecided_event WHERE id = %s FOR UPDATE", [event_id])
        yield


def make_windowed_rule(of: Tenant) -> None:
    with tenant(of.organization.pk):
        make_rule(triggers=["purchase"], window_days=7)


def test_a_purchase_waits_while_another_worker_decides_its_install() -> None:
    gem = make_tenant()
    make_windowed_rule(gem)
    record(gem, event("install"))
    record(gem, event("purchase"))

    with another_worker_deciding(gem, "install"):
        assert decide() == 0
        assert postbacks_of(gem) == []
    assert decide() == 2

    with tenant(gem.organization.pk):
        assert Install.objects.count() == 1
        assert not UndecidedEvent.objects.exists()
    assert len(postbacks_of(gem)) == 1


def test_a_second_open_does_not_become_the_install() -> None:
    gem = make_tenant()
    record(gem, event("install"))
    record(gem, event("open"))

    with another_worker_deciding(gem, "install"):
        decide()
    decide()

    with tenant(gem.organization.pk):
        assert Install.objects.get().event_ref == Event.objects.get(event_name="install").pk


def test_events_of_other_devices_and_apps_do_not_wait() -> None:
    gem, other = make_tenant(), make_tenant("Other")
    record(gem, event("install"))
    record(gem, event("open", install_id="device-2"))
    record(other, event("open"))

    with another_worker_deciding(gem, "install"):
        decided = decide()

    assert decided == 2
    for of in (gem, other):
        with tenant(of.organization.pk):
            assert Install.objects.count() == 1


def test_what_is_not_an_opening_holds_nothing_up() -> None:
    gem = make_tenant()
    record(gem, event("level_up"))
    record(gem, event("purchase"))

    with another_worker_deciding(gem, "level_up"):
        decide()

    with tenant(gem.organization.pk):
        assert [
            waiting.event_name
            for waiting in Event.objects.filter(pk__in=UndecidedEvent.objects.values("pk"))
        ] == ["level_up"]
