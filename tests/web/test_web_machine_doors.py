"""Machines take a short way, and are answered as the whole one would answer them."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from types import SimpleNamespace
from typing import Any, cast

import psutil
import psycopg
import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started
from django.db import close_old_connections, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client, RequestFactory

from apps_registry.models import TrackingLink
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import prepared, stalls
from postbacks.web.machine_doors import MachineDoors, TwoWays, is_for_machines
from tests import database, make

pytestmark = pytest.mark.django_db(transaction=True)

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PHONE = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/120 Mobile"
_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


@pytest.fixture(scope="module")
def ways() -> tuple[WSGIHandler, MachineDoors]:
    return WSGIHandler(), MachineDoors()


def call(
    application: Any, method: str, address: str, body: bytes = b"", **more: str
) -> tuple[str, dict[str, str], str]:
    """Return status, headers and body of an answer, ids of new rows left out."""
    path, _, query = address.partition("?")
    environ = RequestFactory()._base_environ(
        **{
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": method,
            "CONTENT_TYPE": JSON,
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_USER_AGENT": PHONE,
            "wsgi.input": BytesIO(body),
            **more,
        }
    )
    started: list[Any] = []
    answer = application(environ, lambda status, headers, *_: started.extend((status, headers)))
    text = b"".join(answer).decode("latin-1")
    answer.close()
    headers = {name: _ID.sub("<id>", value) for name, value in started[1]}
    return started[0], headers, _ID.sub("<id>", text)


def test_both_ways_answer_alike(ways: tuple[WSGIHandler, MachineDoors]) -> None:
    of = make.make_tenant()
    with tenant(of.organization.pk):
        link = make.make_link(make.make_campaign(of.app, make.make_partner()))
    token = TrackingLink(token=link.token).token
    key = {"HTTP_AUTHORIZATION": f"Bearer {of.sdk_key}"}
    events, touches = "/api/v1/events", "/api/v1/touchpoints"
    event = json.dumps({"event_name": "open", "event_id": None}).encode()
    touch = json.dumps({"link": token, "gaid": "38400000-8cf0-11bd-b23e-10b96e40000d"}).encode()
    form = {"CONTENT_TYPE": FORM}
    calls: list[tuple[Any, ...]] = [
        ("POST", events, event, key),
        ("POST", events, b"[" + event + b"]", key),
        ("POST", events, event, key | {"HTTP_ACCEPT": "text/html"}),
        ("POST", events, event, key | {"HTTP_CONTENT_ENCODING": "br"}),
        ("POST", events, b"{", key),
        ("POST", events, b"", key),
        ("POST", events, b'{"event_name": ""}', key),
        ("POST", events, event, {}),
        ("POST", events, event, {"HTTP_AUTHORIZATION": "Bearer pbk_unknown"}),
        ("POST", events, event, {"HTTP_AUTHORIZATION": f"Bearer {of.api_token}"}),
        ("POST", events, event, key | {"HTTP_HOST": "elsewhere.example.com"}),
        ("POST", events, event, key | {"CONTENT_LENGTH": str(6 * 1024 * 1024)}),
        ("POST", events, b"", key | {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}),
        ("POST", touches, touch, key),
        ("POST", touches, b'{"link": "unknown"}', key),
        ("POST", touches, touch, {}),
        ("GET", f"/c/{token}", b"", {}),
        ("GET", f"/c/{token}/?click_id=1&gaid=x", b"", {}),
        ("HEAD", f"/c/{token}", b"", {}),
        ("POST", f"/c/{token}", b"", {}),
        ("GET", f"/c/{token}?s2s=1", b"", {}),
        ("GET", "/c/unknown", b"", {}),
        ("GET", "/c/not/a/token", b"", {}),
        ("GET", "/c/", b"", {}),
        ("GET", f"/i/{token}", b"", {}),
        ("GET", "/i/unknown/", b"", {}),
        ("GET", "/v0/user", b"", {}),
        ("POST", "/v0/event", b"event=open", form),
        ("POST", "/v0/event", f"api_key={of.sdk_key}&event=open".encode(), form),
        ("GET", "/v0/nothing", b"", {}),
        ("POST", "/v0/event", b"x", form | {"CONTENT_LENGTH": str(6 * 1024 * 1024)}),
        ("POST", "/.well-known/skadnetwork/report-attribution/", b"{}", {}),
        ("GET", "/.well-known/skadnetwork/report-attribution", b"", {}),
        ("POST", "/.well-known/nothing", b"", {}),
        ("GET", "/healthz", b"", {}),
        ("GET", "/healthz", b"", {"HTTP_HOST": "elsewhere.example.com"}),
    ]

    whole, short = ways
    for method, address, body, more in calls:
        expected = call(whole, method, address, body, **more)
        assert call(short, method, address, body, **more) == expected, (method, address)


def test_while_the_database_is_away_both_ways_say_so(
    ways: tuple[WSGIHandler, MachineDoors],
) -> None:
    of = make.make_tenant()
    key = {"HTTP_AUTHORIZATION": f"Bearer {of.sdk_key}"}
    connection.close()
    host, connection.settings_dict["HOST"] = connection.settings_dict["HOST"], "/nowhere"
    try:
        whole, short = (call(way, "POST", "/api/v1/events", b"{}", **key) for way in ways)
    finally:
        connection.settings_dict["HOST"] = host
        connection.close()

    assert short == whole
    assert str(short).startswith("('503 Service Unavailable', {")
    assert "'Retry-After': '5'" in str(short)


@pytest.mark.parametrize(
    ("method", "path", "short"),
    [
        ("POST", "/api/v1/events", True),
        ("GET", "/api/v1/events", False),  # the management API lists them
        ("HEAD", "/api/v1/events", False),
        ("POST", "/api/v1/touchpoints", True),
        ("POST", "/api/v1/events/", False),
        ("GET", "/c/abc", True),
        ("GET", "/campaigns", False),
        ("GET", "/v0/user", True),
        ("GET", "/healthz", True),
        ("GET", "/readyz", False),
        ("GET", "/admin/", False),
        ("GET", "/", False),
    ],
)
def test_machines_and_people_are_told_apart(method: str, path: str, short: bool) -> None:
    taken: list[str] = []

    def way(name: str) -> Any:
        return lambda _environ, _start: taken.append(name) or []

    environ = {"REQUEST_METHOD": method, "PATH_INFO": path}
    TwoWays(way("whole"), way("short"))(environ, lambda *_: None)

    assert (taken, is_for_machines(environ)) == (["short" if short else "whole"], short)


def test_a_connection_that_postgresql_has_closed_is_opened_again_unnoticed(
    ways: tuple[WSGIHandler, MachineDoors],
) -> None:
    of = make.make_tenant()
    event = json.dumps({"event_name": "open"}).encode()
    key = {"HTTP_AUTHORIZATION": f"Bearer {of.sdk_key}"}

    for way in ways:
        connection.ensure_connection()
        pid = connection.connection.info.backend_pid
        database.superuser().execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        answer = call(way, "POST", "/api/v1/events", event, **key)
        assert str(answer).startswith("('202 Accepted'"), answer
        assert connection.connection.info.backend_pid != pid


@contextmanager
def frozen(backend: int, *, with_others: bool = True) -> Iterator[None]:
    """Stop a process of PostgreSQL's, as a disk that hangs does; with others: no other answers."""
    process = psutil.Process(backend)
    host = connection.settings_dict["HOST"]
    # Django's client of tests moves this behind our look at the socket, which spares its question.
    request_started.disconnect(close_old_connections)
    process.suspend()
    if with_others:
        connection.settings_dict["HOST"] = "/nowhere"
    try:
        yield
    finally:
        connection.settings_dict["HOST"] = host
        process.resume()
        request_started.connect(close_old_connections)


def backend_of_thread() -> int:
    connection.ensure_connection()
    return int(connection.connection.info.backend_pid)


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("POST", "/api/v1/events"),
        ("POST", "/api/v1/touchpoints"),
        ("GET", "/c/{token}?gaid={gaid}"),
    ],
)
def test_a_postgresql_that_says_nothing_is_answered_503(
    ways: tuple[WSGIHandler, MachineDoors],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    address: str,
) -> None:
    of = make.make_tenant()
    with tenant(of.organization.pk):
        link = make.make_link(make.make_campaign(of.app, make.make_partner()))
    gaid = "38400000-8cf0-11bd-b23e-10b96e40000d"
    address = address.format(token=link.token, gaid=gaid)
    body = {
        "/api/v1/events": b'{"event_name": "open"}',
        "/api/v1/touchpoints": json.dumps({"link": link.token, "gaid": gaid}).encode(),
    }.get(address, b"")
    key = {"HTTP_AUTHORIZATION": f"Bearer {of.sdk_key}"}
    call(ways[1], method, address, body, **key)  # keys are known now, as they are under load

    with monkeypatch.context() as patch, frozen(backend_of_thread()):
        patch.setattr(stalls, "SECONDS", 0.2)
        status, headers, answer = call(ways[1], method, address, body, **key)
    again, _, _ = call(ways[1], method, address, body, **key)

    assert (status, headers.get("Retry-After")) == ("503 Service Unavailable", "5"), answer
    assert again.split()[0] in {"202", "302"}


@pytest.mark.parametrize("with_others", [True, False])
@pytest.mark.parametrize("address", ["/api/v1/apps", "/admin/"])
def test_a_page_of_a_postgresql_that_says_nothing_is_answered_503(
    ways: tuple[WSGIHandler, MachineDoors],
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    with_others: bool,
) -> None:
    of = make.make_tenant()
    client = Client()
    client.get("/healthz")  # as in the tests before it
    client.force_login(of.owner)
    more = {
        "HTTP_AUTHORIZATION": f"Bearer {of.api_token}",
        "HTTP_COOKIE": f"sessionid={client.cookies['sessionid'].value}",
    }
    if address == "/admin/":
        del more["HTTP_AUTHORIZATION"]
    both = TwoWays(*ways)
    first, _, _ = call(both, "GET", address, **more)

    with monkeypatch.context() as patch, frozen(backend_of_thread(), with_others=with_others):
        patch.setattr(stalls, "SECONDS_OF_PAGES", 0.2)
        status, headers, answer = call(both, "GET", address, **more)
    again, _, _ = call(both, "GET", address, **more)

    assert (status, headers.get("Retry-After")) == ("503 Service Unavailable", "5"), answer
    assert first == again == "200 OK"


def test_a_page_waits_for_a_statement_that_postgresql_works_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[set[int] | None] = []
    ask = stalls._working_backends

    def noted(database: BaseDatabaseWrapper) -> set[int] | None:
        asked.append(ask(database))
        return asked[-1]

    monkeypatch.setattr(stalls, "SECONDS_OF_PAGES", 0.1)
    monkeypatch.setattr(stalls, "_working_backends", noted)
    with stalls.not_for_ever_in_page(), connection.cursor() as cursor:
        for _ in range(100):
            cursor.execute("SELECT pg_sleep(0.5)")
            if asked:
                break
        pid = connection.connection.info.backend_pid

    assert pid in (asked[0] or ())


def test_the_wait_begins_anew_with_each_statement_and_ends_with_the_request() -> None:
    since = []
    with stalls.not_for_ever():
        for _ in range(3):
            prepared.run("SELECT 1", {})
            since.extend(wait.since for wait in stalls._watch.waits.values())

    assert since == sorted(set(since))
    assert len(since) == 3
    assert not stalls._watch.waits


def test_the_watch_goes_on_when_a_connection_is_closed_as_it_is_cut() -> None:
    def fileno() -> int:
        raise psycopg.OperationalError("the connection is lost")

    session = SimpleNamespace(closed=False, fileno=fileno)

    stalls._cut(cast(Any, SimpleNamespace(connection=session)))
