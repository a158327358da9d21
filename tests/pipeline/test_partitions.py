"""Days are made ahead, while people read and apps write."""

import psycopg
import pytest
from django.db import connection

from postbacks.infrastructure.database import roles
from postbacks.infrastructure.database.partitions import ensure_partitions
from tests import database
from tests.events import event, record
from tests.make import make_tenant

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_new_day_waits_for_no_reader() -> None:
    gem = make_tenant()
    record(gem, event())
    with database.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute("SELECT to_char((now() AT TIME ZONE 'UTC')::date + 7, 'YYYYMMDD')")
        (day,) = cursor.fetchone()
        cursor.execute(
            f"DROP TABLE IF EXISTS event_p{day}, postback_p{day}, delivery_attempt_p{day}"
        )
    with psycopg.connect(database.superuser_conninfo()) as reader:
        reader.execute("SELECT count(*) FROM event, postback, delivery_attempt")

        with database.as_role(roles.WORKER):
            ensure_partitions()

    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f"event_p{day}"])
        assert cursor.fetchone() != (None,)
