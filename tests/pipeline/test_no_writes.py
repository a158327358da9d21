"""A database that takes no writes for a while has failed itself, not the event that it refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from django.db import InternalError, connection

from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.infrastructure.database import roles
from postbacks.models import DecisionFailure, Event, Postback
from tests import make
from tests.api.calling import report
from tests.database import as_role

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def no_writes() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = off")


def test_no_event_is_set_aside_for_it(caplog: pytest.LogCaptureFixture) -> None:
    made = make.make_tenant()
    make.make_tenant_rule(made, triggers=["purchase"], status="active")
    for _ in range(3):
        report(made.sdk_key, install_id=str(uuid4()))

    with as_role(roles.WORKER):
        with no_writes(), pytest.raises(InternalError):
            pipeline.work()
        logged = [record for record in caplog.records if "could not be decided" in record.message]
        with tenant(made.organization.pk):
            assert not DecisionFailure.objects.exists()
        pipeline.work()

    assert logged == []
    with tenant(made.organization.pk):
        assert (Event.objects.count(), Postback.objects.count()) == (3, 3)
