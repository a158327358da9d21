"""The database goes away: the SDK is told to come back, and nothing is half-written."""

import json
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection
from django.test import Client

from apps_registry.tenancy import tenant
from postbacks.models import Event, EventKey, UndecidedEvent
from tests import database
from tests.make import Tenant, make_tenant

pytestmark = pytest.mark.django_db(transaction=True)

# Stands for a server that dies in the middle of the statement.
_DIE_ON_INSERT = """
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    RETURN NEW;
END $$;
CREATE TRIGGER die BEFORE INSERT ON undecided_event FOR EACH ROW EXECUTE FUNCTION die();
"""


@pytest.fixture
def dies_while_storing() -> Iterator[None]:
    # As superuser: nobody of ours may end a connection.
    with psycopg.connect(database.superuser_conninfo(), autocommit=True) as superuser:
        superuser.execute(_DIE_ON_INSERT)
        yield
        superuser.execute("DROP TRIGGER die ON undecided_event; DROP FUNCTION die")


@pytest.fixture
def no_server() -> Iterator[None]:
    host = connection.settings_dict["HOST"]
    connection.close()
    connection.settings_dict["HOST"] = "/nowhere"
    yield
    connection.settings_dict["HOST"] = host
    connection.close()


def post(of: Tenant, event_id: str) -> tuple[int, str, dict[str, object]]:
    answer = Client().post(
        "/api/v1/events",
        data=json.dumps([{"event_id": event_id, "event_name": "purchase"}]),
        content_type="application/json",
        headers={"Authorization": f"Bearer {of.sdk_key}"},
    )
    return answer.status_code, answer.headers.get("Retry-After", ""), json.loads(answer.content)


def rows(of: Tenant) -> tuple[int, int, int]:
    with tenant(of.organization.pk):
        return Event.objects.count(), EventKey.objects.count(), UndecidedEvent.objects.count()


def test_an_event_is_answered_503_while_the_database_is_away(no_server: None) -> None:
    status, retry_after, problem = _post_to_nobody()

    assert (status, retry_after) == (503, "5")
    assert problem["detail"] == "The database can't be reached. Nothing was stored; try again."
    assert "nowhere" not in json.dumps(problem)


def _post_to_nobody() -> tuple[int, str, dict[str, object]]:
    answer = Client().post(
        "/api/v1/events",
        data="{}",
        content_type="application/json",
        headers={"Authorization": "Bearer pbk_anything"},
    )
    return answer.status_code, answer.headers.get("Retry-After", ""), json.loads(answer.content)


def test_pages_are_answered_503_while_the_database_is_away(no_server: None) -> None:
    client = Client()
    client.cookies["sessionid"] = "a-session"

    answer = client.get("/admin/")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    ("method", "words"),
    [("get", 'href="/admin/?period=7d"'), ("post", "What you sent was not saved.")],
)
def test_a_person_sees_a_page_that_says_what_to_do(
    no_server: None, method: str, words: str
) -> None:
    client = Client(headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    client.cookies["sessionid"] = "a-session"

    answer = getattr(client, method)("/admin/?period=7d")

    html = answer.content.decode()
    assert answer.status_code == 503
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Retry-After"] == "5"
    assert "<strong>The database can&#x27;t be reached.</strong> Nothing is lost" in html
    assert words in html


def test_a_server_that_dies_while_storing_leaves_nothing_half_written(
    dies_while_storing: None,
) -> None:
    gem = make_tenant()
    event_id = str(uuid.uuid4())

    status, retry_after, _problem = post(gem, event_id)

    assert (status, retry_after) == (503, "5")
    assert rows(gem) == (0, 0, 0)


def test_the_same_event_is_taken_once_the_server_is_back() -> None:
    gem = make_tenant()
    event_id = str(uuid.uuid4())
    connection.close()

    first, _, receipt = post(gem, event_id)
    second, _, again = post(gem, event_id)

    assert (first, receipt["accepted"], receipt["duplicates"]) == (202, 1, 0)
    assert (second, again["accepted"], again["duplicates"]) == (202, 0, 1)
    assert rows(gem) == (1, 1, 1)
