"""Small requests of machines run in the web server's loop, and are answered as threads answer."""

import json
import re
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from queue import SimpleQueue

import pytest
from django.db import IntegrityError, connection
from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from apps_registry.models import SdkKey
from apps_registry.tenancy import tenant as tenant_of
from postbacks.infrastructure import known_configuration
from postbacks.infrastructure.database import prepared, stalls
from postbacks.infrastructure.database.stalls import keep_loop_from_database
from postbacks.infrastructure.loop_requests import Loop, NeedsThread
from postbacks.infrastructure.rate_limits.counting import Limiter, RateLimit
from postbacks.intake import group_commit
from postbacks.intake.events import recording
from postbacks.models import Event
from postbacks.web.machine_doors import MachineDoors
from postbacks.web.plain_requests import PlainAnswer, PlainReader
from tests import database, events, make
from tests.web.gunicorn_server import exchange, running

Server = tuple[int, "subprocess.Popen[bytes]"]
CLIENT, SERVER = ("203.0.113.9", 40_000), ("127.0.0.1", 8_000)
_ID = re.compile(rb"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_TWICE = b"X-Note: 1\r\nX-Note: 2\r\n"  # is not read in the loop


@pytest.fixture(scope="module")
def server(django_db_setup: None) -> Iterator[Server]:
    with running() as started:
        yield started


def request_of(
    method: str, address: str, body: bytes | None = None, *fields: str, close: bool = True
) -> bytes:
    lines = [f"{method} {address} HTTP/1.1", "Host: 127.0.0.1", *fields]
    lines += [f"Content-Length: {len(body)}"] if body is not None else []
    lines += ["Connection: close"] if close else []
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def event_of(of: make.Tenant, *, close: bool = True, **fields: object) -> bytes:
    body = json.dumps(events.event(**fields)).encode()
    return request_of(
        "POST", "/api/v1/events", body, f"Authorization: Bearer {of.sdk_key}", close=close
    )


def without_moments(answer: bytes) -> bytes:
    return _ID.sub(b"<id>", re.sub(rb"\r\nDate: [^\r]*", b"", answer))


@pytest.mark.django_db(transaction=True)
def test_the_loop_answers_as_a_thread_does(tenant: make.Tenant, server: Server) -> None:
    port, _ = server
    with tenant_of(tenant.organization.pk):
        token = make.make_link(make.make_campaign(tenant.app, make.make_partner())).token
    key = f"Authorization: Bearer {tenant.sdk_key}"
    event = b'{"event_name": "open", "install_id": "one"}'
    path = "/api/v1/events"
    phone = "User-Agent: Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/120 Mobile"
    requests = {
        "an event": request_of("POST", path, event, key),
        "an event from another host": request_of("POST", path, event, key).replace(
            b"127.0.0.1", b"localhost"
        ),
        "kept alive": request_of("POST", path, event, key, "Connection: keep-alive", close=False)
        + request_of("GET", "/healthz"),
        "behind a proxy": request_of("POST", path, event, key, "X-Forwarded-Proto: https"),
        "by Basic": request_of("POST", path, event, "Authorization: Basic eDp5"),
        "no key": request_of("POST", path, event),
        "an unknown key": request_of("POST", path, event, "Authorization: Bearer pbk_no"),
        "a token": request_of("POST", path, event, f"Authorization: Bearer {tenant.api_token}"),
        "bad JSON": request_of("POST", path, b"{", key),
        "not valid": request_of("POST", path, b'{"event_name": ""}', key),
        "nothing": request_of("POST", path, b"", key),
        "gzip that is none": request_of("POST", path, event, key, "Content-Encoding: gzip"),
        "another host": request_of("POST", path, event, key).replace(b"127.0.0.1", b"evil.com"),
        "a touchpoint": request_of(
            "POST", "/api/v1/touchpoints", json.dumps({"link": token, "idfa": "x"}).encode(), key
        ),
        "a click": request_of("GET", f"/c/{token}?click_id=%20one&gaid=x", None, phone),
        "a click that only looks": request_of("HEAD", f"/c/{token}", None, phone),
        "a click with a body": request_of("GET", f"/c/{token}/", b"abc", phone),
        "a click of no link": request_of("GET", "/c/unknown", None, phone),
        "no click": request_of("POST", f"/c/{token}", b"{}", phone),
        "an address of none": request_of("GET", "/c/%FF%2e/%C3%A4", None, phone),
        "an impression": request_of("GET", f"/i/{token}", None, phone),
        "Tenjin": request_of("GET", f"/v0/event?api_key={tenant.sdk_key}&event=open"),
        "Tenjin without a key": request_of("GET", "/v0/user"),
    }
    exchange(port, requests["an event"])  # the first reads what is known from then on

    for name, request in requests.items():
        line_end = request.index(b"\r\n") + 2
        unusual = request[:line_end] + _TWICE + request[line_end:]
        expected = without_moments(exchange(port, unusual))
        for _ in range(3):  # the third is answered by what is known of the host and of the answer
            assert without_moments(exchange(port, request)) == expected, name


@contextmanager
def senders(port: int, requests: list[bytes]) -> Iterator[list[socket.socket]]:
    """Send each request on a connection of its own."""
    callers = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in requests]
    try:
        for caller, request in zip(callers, requests, strict=True):
            caller.sendall(request)
        yield callers
    finally:
        for caller in callers:
            caller.close()


def answer_on(caller: socket.socket) -> bytes:
    """Return one answer, an object of JSON, on a connection that is kept."""
    answer = b""
    while not answer.endswith(b"}"):
        answer += caller.recv(65_536)
    return answer


def rest_of(caller: socket.socket) -> bytes:
    answer = b""
    while piece := caller.recv(65_536):
        answer += piece
    return answer


@pytest.mark.django_db(transaction=True)
def test_requests_that_wait_for_a_commit_hold_no_thread_and_share_the_next_one(
    tenant: make.Tenant, server: Server
) -> None:
    port, _ = server
    apps = request_of("GET", "/api/v1/apps", None, f"Authorization: Bearer {tenant.api_token}")
    for request in (event_of(tenant), apps):
        exchange(port, request)

    with database.superuser().transaction():
        database.superuser().execute("LOCK TABLE event_key IN SHARE MODE")  # nobody can write
        with senders(port, [event_of(tenant)]) as (first,):
            database.wait_for_a_lock()
            with senders(port, [event_of(tenant) for _ in range(40)]) as callers:
                # Twice as many as there are threads, which none of the events has.
                with ThreadPoolExecutor(4) as threads:
                    listed = list(threads.map(lambda _: exchange(port, apps), range(4)))
                database.superuser().execute("COMMIT")
                answers = [rest_of(caller) for caller in (first, *callers)]

    assert {answer.split()[1] for answer in listed} == {b"200"}
    assert {answer.split()[1] for answer in answers} == {b"202"}
    with tenant_of(tenant.organization.pk):
        assert Event.objects.count() == 42
        commits = set(Event.objects.values_list("received_at", flat=True))
    assert len(commits) <= 4  # the first two events', and those of all that waited


@pytest.mark.django_db(transaction=True)
def test_what_is_pipelined_is_answered_in_its_order(tenant: make.Tenant, server: Server) -> None:
    port, _ = server
    alive = request_of("GET", "/healthz", close=False)
    key = f"Authorization: Bearer {tenant.sdk_key}"
    chunks = request_of("POST", "/api/v1/events", None, key, "Transfer-Encoding: chunked")
    chunked = chunks.replace(b"Connection: close\r\n", b"") + b"2\r\n{}\r\n0\r\n\r\n"
    large = event_of(tenant, close=False, params={"text": "x" * 20_000})
    small = event_of(tenant, close=False)

    answer = exchange(
        port, small + alive + chunked + small + large + alive + small + event_of(tenant)
    )

    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [
        *(b"202", b"200", b"422", b"202", b"202", b"200", b"202", b"202")
    ]
    with tenant_of(tenant.organization.pk):
        assert Event.objects.count() == 3  # the small one came three times


@pytest.mark.django_db(transaction=True)
def test_hundreds_of_requests_in_one_packet_are_answered(
    tenant: make.Tenant, server: Server
) -> None:
    port, _ = server
    key = f"Authorization: Bearer {tenant.sdk_key}"
    refused = request_of("POST", "/api/v1/events", b"{", key, close=False)
    stored = event_of(tenant, close=False)
    exchange(port, event_of(tenant))  # reads what is known from then on

    for request in (refused, stored):
        count = 60_000 // len(request)
        answers = exchange(port, request * count + request_of("GET", "/healthz"))
        assert answers.count(b"HTTP/1.1 ") == count + 1


@pytest.mark.django_db(transaction=True)
def test_a_reload_answers_what_waits_for_its_commit(tenant: make.Tenant, server: Server) -> None:
    port, master = server
    exchange(port, event_of(tenant))

    with database.superuser().transaction():
        database.superuser().execute("LOCK TABLE event_key IN SHARE MODE")
        with senders(port, [event_of(tenant, close=False) for _ in range(5)]) as callers:
            database.wait_for_a_lock()
            master.send_signal(signal.SIGHUP)
            assert exchange(port, request_of("GET", "/healthz")).startswith(b"HTTP/1.1 200")
            database.superuser().execute("COMMIT")
            answers = [rest_of(caller) for caller in callers]

    assert {answer.split()[1] for answer in answers} == {b"202"}
    with tenant_of(tenant.organization.pk):
        assert Event.objects.count() == 6


@pytest.mark.django_db(transaction=True)
def test_a_revoked_key_is_refused_on_a_connection_that_was_kept(
    tenant: make.Tenant, server: Server
) -> None:
    port, _ = server
    with senders(port, [event_of(tenant, close=False)]) as (caller,):
        assert answer_on(caller).startswith(b"HTTP/1.1 202")
        with tenant_of(tenant.organization.pk):
            SdkKey.objects.get(app=tenant.app).revoke()
        known_configuration.read_again()
        for _ in range(200):  # the server asks for changes every half second
            caller.sendall(event_of(tenant, close=False))
            answer = answer_on(caller)
            if not answer.startswith(b"HTTP/1.1 202"):
                break
            threading.Event().wait(0.02)

    assert answer.startswith(b"HTTP/1.1 403"), answer


# The head, read here and by gunicorn

READ = {
    "an event": request_of("POST", "/api/v1/events", b"{}", "Authorization: Bearer pbk_1"),
    "a click": request_of("GET", "/c/a?b=%20c&d=[e]&f=http://g?h", None, "User-Agent: Ä\xff x"),
    "an escaped path": request_of("GET", "/c/%C3%A4%2F?x"),
    "spaces around a value": request_of("HEAD", "/i/a", None, "A:\t b c \t", "X-Empty:"),
    "from a proxy": request_of("GET", "/c/a", None, "X-Forwarded-Proto: https", "Via: a, b"),
    "from a plain proxy": request_of("GET", "/c/a", None, "X-Forwarded-Proto: http"),
    "zeros before a length": request_of("POST", "/v0/a", None, "Content-Length: 00003") + b"a=b",
    "a path that is the root": request_of("GET", "/", None, "Accept: */*"),
}
NOT_READ = {
    "a field twice": request_of("GET", "/c/a", None, "A: 1", "a: 2"),
    "two hosts": request_of("GET", "/c/a", None, "Host: b"),
    "two lengths": request_of("POST", "/c/a", b"", "Content-Length: 0"),
    "chunks": request_of("POST", "/c/a", None, "Transfer-Encoding: chunked"),
    "no length": request_of("POST", "/c/a"),
    "a signed length": request_of("POST", "/c/a", None, "Content-Length: +1"),
    "a long length": request_of("POST", "/c/a", None, "Content-Length: 100000"),
    "gzip": request_of("POST", "/c/a", b"", "Content-Encoding: gzip"),
    "an expectation": request_of("POST", "/c/a", b"", "Expect: 100-continue"),
    "an underscore": request_of("GET", "/c/a", None, "X_Forwarded_For: 1.1.1.1"),
    "a field without a name": request_of("GET", "/c/a", None, ": a"),
    "a space before the colon": request_of("GET", "/c/a", None, "A : b"),
    "a folded line": request_of("GET", "/c/a", None, "A: b", " c"),
    "a control character": request_of("GET", "/c/a", None, "A: \x00b"),
    "a delete character": request_of("GET", "/c/a", None, "A: \x7fb"),
    "a line end of one character": request_of("GET", "/c/a").replace(b"\r\nHost", b"\nHost"),
    "HTTP/1.0": request_of("GET", "/c/a").replace(b"/1.1", b"/1.0"),
    "another method": request_of("PUT", "/c/a", b""),
    "a method in small letters": request_of("get", "/c/a"),
    "a whole address": request_of("GET", "http://a/c/a"),
    "two slashes": request_of("GET", "//a/c"),
    "a fragment": request_of("GET", "/c/a#b"),
    "a letter of no address": request_of("GET", "/c/ä"),
    "an upgrade": request_of("GET", "/c/a", None, "Upgrade: h2c"),
    "another connection": request_of("GET", "/c/a", None, "Connection: upgrade", close=False),
    "schemes that differ": request_of(
        "GET", "/c/a", None, "X-Forwarded-Proto: https", "X-Forwarded-Ssl: off"
    ),
    "a long head": request_of("GET", "/c/a", None, f"A: {'x' * 9_000}"),
    "a long body": request_of("POST", "/c/a", b"x" * 9_000),
    "an empty line before": b"\r\n" + request_of("GET", "/c/a"),
}


@pytest.mark.parametrize("client", [CLIENT, ("127.0.0.1", 5)])
@pytest.mark.parametrize("name", READ)
def test_what_is_plain_is_read_as_gunicorn_reads_it(name: str, client: tuple[str, int]) -> None:
    config, request = Config(), READ[name]
    head, _, body = request.partition(b"\r\n\r\n")
    parsed = Request(config, IterUnreader([request]), client)
    _, expected = wsgi.create(parsed, None, client, SERVER, config)
    expected["wsgi.multithread"] = True  # as its worker says

    environ = PlainReader(config, client, SERVER).read(head + b"\r\n\r\n", body)

    assert environ is not None
    assert environ["wsgi.input"].read() == body
    apart = {"wsgi.input", "wsgi.errors", "wsgi.early_hints", "gunicorn.socket"}
    plain = {key: value for key, value in environ.items() if not key.startswith("postbacks.")}
    assert plain == {key: value for key, value in expected.items() if key not in apart} | {
        key: plain[key] for key in apart & plain.keys()
    }


def test_a_head_that_comes_again_is_read_with_its_own_body() -> None:
    reader = PlainReader(Config(), CLIENT, SERVER)
    head = request_of("POST", "/api/v1/events", b"{}", "X-Note: one", close=False)[:-2]
    first = reader.read(head, b"{}")
    assert first is not None
    first["HTTP_X_NOTE"] = "changed by an application"

    second = reader.read(head, b"[]")
    other = reader.read(head.replace(b"one", b"two"), b"{}")

    assert second is not None
    assert other is not None
    assert (second["wsgi.input"].read(), second["HTTP_X_NOTE"]) == (b"[]", "one")
    assert other["HTTP_X_NOTE"] == "two"


@pytest.mark.parametrize("name", NOT_READ)
def test_what_is_unusual_is_left_to_gunicorn(name: str) -> None:
    head, mark, body = NOT_READ[name].partition(b"\r\n\r\n")

    assert PlainReader(Config(), ("127.0.0.1", 5), SERVER).read(head + mark, body) is None


# The loop alone, in a thread of its own


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class LoopThread:
    """A loop as the web server's, with connections to no database."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._poller = selectors.DefaultSelector()
        self._told, self._tell = socket.socketpair()
        self._poller.register(self._told, selectors.EVENT_READ, self._run_called)
        self._goes_on = True
        self.loop = Loop(lambda: self._call(self.loop.go_on), self._call_when_ready)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "LoopThread":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._call(None)
        self._thread.join(30)
        for each in (self._poller, self._told, self._tell):
            each.close()

    def run(self, request: Callable[[], object]) -> "SimpleQueue[object]":
        """Begin a request, and return where its result will be."""
        results: SimpleQueue[object] = SimpleQueue()

        def keep_result() -> None:
            try:
                results.put(request())
            except (Exception, NeedsThread) as error:  # noqa: BLE001  # the test looks at it
                results.put(error)

        self._call(lambda: self.loop.run(keep_result))
        return results

    def _call(self, call: Callable[[], object] | None) -> None:
        self._calls.put(call)
        self._tell.send(b".")

    def _run(self) -> None:
        keep_loop_from_database()
        while self._goes_on:
            for key, _events in self._poller.select():
                key.data()
            self.loop.end_turn()

    def _run_called(self) -> None:
        self._told.recv(1)
        if call := self._calls.get():
            call()
        else:
            self._goes_on = False

    def _call_when_ready(self, descriptor: int, events: int, call: Callable[[], None]) -> None:
        def ready() -> None:
            self._poller.unregister(descriptor)
            call()

        self._poller.register(descriptor, events, ready)

    def end_waits(self, now: float) -> None:
        self._call(lambda: self.loop.end_waits(now))


@pytest.mark.django_db(transaction=True)
def test_what_would_wait_for_the_database_is_left_to_a_thread(tenant: make.Tenant) -> None:
    with LoopThread() as thread:
        errors = [
            thread.run(lambda: events.record(tenant, events.event())).get(timeout=30),
            thread.run(lambda: prepared.run("SELECT 1", {})).get(timeout=30),
            thread.run(lambda: connection.cursor()).get(timeout=30),
        ]

    receipt, *refusals = errors
    assert getattr(receipt, "accepted", receipt) == 1  # written by the thread of commits
    assert [type(refusal) for refusal in refusals] == [NeedsThread] * 2


def _backend_of_loop(thread: LoopThread) -> int:
    session = recording._commits._session
    assert session is not None
    assert session.loop is thread.loop
    return int(session._database.connection.info.backend_pid)


@pytest.mark.django_db(transaction=True)
def test_the_loop_stores_events_itself_and_goes_on_while_postgresql_works(
    tenant: make.Tenant,
) -> None:
    with LoopThread() as thread:
        first = thread.run(lambda: events.record(tenant, events.event())).get(timeout=30)
        backend = _backend_of_loop(thread)
        with database.superuser().transaction():
            database.superuser().execute("LOCK TABLE event_key IN SHARE MODE")  # nobody can write
            waiting = [thread.run(lambda: events.record(tenant, events.event())) for _ in range(3)]
            database.wait_for_a_lock()
            late = [thread.run(lambda: events.record(tenant, events.event())) for _ in range(3)]
            wrong = thread.run(lambda: events.record(tenant, events.event(revenue="much")))
            refused = wrong.get(timeout=30)  # which needs no commit
            wait_until(lambda: len(recording._commits._waiting) > 0)
            assert all(each.empty() for each in (*waiting, *late))
        receipts = [first, *(each.get(timeout=30) for each in (*waiting, *late))]
        assert _backend_of_loop(thread) == backend

    assert [getattr(each, "accepted", each) for each in receipts] == [1] * 7
    assert len(getattr(refused, "rejected", ())) == 1
    with tenant_of(tenant.organization.pk):
        assert Event.objects.count() == 7


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_the_loop_has_lost_is_opened_again_by_a_thread(
    tenant: make.Tenant,
) -> None:
    def record() -> object:
        return thread.run(lambda: events.record(tenant, events.event())).get(timeout=30)

    with LoopThread() as thread:
        receipts = [record(), record()]
        before = _backend_of_loop(thread)
        database.superuser().execute("SELECT pg_terminate_backend(%s)", [before])
        wait_until(lambda: not recording._commits._session.is_usable())  # type: ignore[union-attr]
        receipts += [record(), record()]
        after = _backend_of_loop(thread)

    assert [getattr(each, "accepted", each) for each in receipts] == [1] * 4
    assert after != before


@pytest.mark.django_db(transaction=True)
def test_one_of_a_group_that_postgresql_refuses_is_refused_alone_in_the_loop_too(
    tenant: make.Tenant,
) -> None:
    with LoopThread() as thread:
        thread.run(lambda: events.record(tenant, events.event())).get(timeout=30)
        with database.superuser().transaction():
            database.superuser().execute("LOCK TABLE event_key IN SHARE MODE")
            begun = thread.run(lambda: events.record(tenant, events.event()))
            database.wait_for_a_lock()
            good = thread.run(lambda: events.record(tenant, events.event()))
            nobody = replace(events.reporter(tenant), app_id=0)  # an app that is not there
            body = json.dumps(events.event()).encode()
            bad = thread.run(lambda: recording.record_events(body, encoding="", reporter=nobody))
            wait_until(lambda: len(recording._commits._waiting) == 2)
        results = [each.get(timeout=30) for each in (begun, good, bad)]

    assert [getattr(each, "accepted", each) for each in results[:2]] == [1, 1]
    assert isinstance(results[2], IntegrityError), results[2]


def test_a_call_that_a_thread_repeats_is_counted_once() -> None:
    class Shared:
        added: list[int] = []

        def add(self, key: str, *, window: int, seconds: int, count: int) -> tuple[int, int]:
            self.added.append(count)
            return sum(self.added), 0

    limiter = Limiter(Shared(), clock=lambda: 1_000.0)
    rate = RateLimit(40, 10)  # two calls are one too many to keep to oneself
    with LoopThread() as thread:
        first = thread.run(lambda: limiter.limit("key", rate)).get(timeout=30)
        second = thread.run(lambda: limiter.limit("key", rate)).get(timeout=30)
        assert isinstance(second, NeedsThread)
        assert limiter.limit("key", rate).allowed
        thread.run(lambda: limiter.add("key", rate, count=5)).get(timeout=30)

    assert getattr(first, "allowed", first)
    assert Shared.added == [2]
    assert limiter.limit("key", rate).allowed
    assert Shared.added == [2, 6]


@pytest.mark.django_db(transaction=True)
def test_a_postgresql_that_stalls_is_answered_503_in_the_loop_too(
    tenant: make.Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    doors, reader = MachineDoors(), PlainReader(Config(), CLIENT, SERVER)
    head, mark, body = event_of(tenant).partition(b"\r\n\r\n")

    def answer() -> object:
        environ = reader.read(head + mark, body)
        assert environ is not None
        made = PlainAnswer(environ, is_last=False)
        return made.bytes_of(b"".join(doors(environ, made.start)))

    answer()  # in this thread: what is known is read here
    monkeypatch.setattr(stalls, "SECONDS", 0.2)
    with LoopThread() as thread:
        with database.superuser().transaction():
            database.superuser().execute("LOCK TABLE event_key IN SHARE MODE")
            stalled = thread.run(answer)
            database.wait_for_a_lock()
            late = thread.run(answer)
            monkeypatch.setattr(group_commit, "WAIT_SECONDS", 0.0)
            busy = thread.run(answer)
            wait_until(lambda: len(recording._commits._waiting) == 2)
            thread.end_waits(float("inf"))
            refused = [each.get(timeout=30) for each in (busy, stalled, late)]
        again = thread.run(answer).get(timeout=30)

    for each in refused:
        assert isinstance(each, bytes)
        assert each.startswith(b"HTTP/1.1 503 Service Unavailable\r\n"), each
        assert b"\r\nRetry-After: 5\r\n" in each
    assert isinstance(again, bytes)
    assert again.startswith(b"HTTP/1.1 202 Accepted\r\n"), again
