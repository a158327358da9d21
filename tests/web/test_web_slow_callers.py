"""Callers that send their requests slowly, and hang up slowly, hold no thread of the web server."""

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from gunicorn.config import Config

from apps_registry.tenancy import tenant as tenant_of
from postbacks.models import Event
from postbacks.web import slow_connections
from postbacks.web.patient_worker import WAITING_BYTES, PatientWorker
from postbacks.web.slow_connections import (
    ANSWER_BYTES,
    REQUEST_BYTES,
    Arriving,
    Connection,
    PatientSocket,
    Received,
)
from tests import database
from tests.web.gunicorn_server import exchange

EVENT = b'{"event_name": "purchase", "revenue": "9.99", "currency": "EUR"}'
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
POST = b"POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"

# A request of which the last byte is missing, or much more.
PARTS = {
    "nothing": b"",
    "a byte of a head": b"G",
    "a head without end": ALIVE[:-1],
    "a long head without end": ALIVE[:-2] + b"X-Filler: " + b"x" * 5_000,
    "a head and no body": POST + b"Content-Length: 60\r\n\r\n",
    "a body but for a byte": POST + b"Content-Length: 60\r\n\r\n" + EVENT[:59],
    "a large body": POST + b"Content-Length: 4000000\r\n\r\n" + b"x" * 100_000,
    "a body larger than we take": POST + b"Content-Length: 90000000\r\n\r\nx",
    "a body that nobody reads": b"GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
    "a link with a body": b"GET /c/none HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
    "a chunk but for a byte": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n1234",
    "a chunk's size": POST + b"transfer-encoding:chunked\r\n\r\n5",
    "a chunk's extension": POST + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 9_000,
    "trailers": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\nA: b\r\n",
    "a length with zeros before it": POST + b"Content-Length: %025d\r\n\r\n" % 60,
    "a length of many digits": POST + b"Content-Length: 1%025d\r\n\r\n" % 0,
    "a size of many digits": POST + b"Transfer-Encoding: chunked\r\n\r\n%025x\r\n" % 5,
    "both lengths": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
    "a body to be asked for": POST + b"Expect: 100-continue\r\nContent-Length: 60\r\n\r\n",
}


@contextmanager
def slow_callers(port: int, count: int) -> Iterator[None]:
    """Open connections, each with a part of a request, and a byte more at times."""
    over = threading.Event()
    with ExitStack() as stack:
        sockets = []
        for number in range(count):
            caller = socket.create_connection(("127.0.0.1", port), timeout=60)
            stack.enter_context(caller)
            caller.sendall(list(PARTS.values())[number % len(PARTS)])
            sockets.append(caller)

        def trickle() -> None:
            while not over.wait(0.5):
                for caller in sockets:
                    try:
                        caller.send(b"x", socket.MSG_DONTWAIT)
                    except OSError:
                        continue  # refused already

        thread = threading.Thread(target=trickle)
        thread.start()
        yield
        over.set()
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_four_hundred_slow_callers_hold_up_nobody(tenant, port) -> None:
    event = (
        POST
        + f"Authorization: Bearer {tenant.sdk_key}\r\nContent-Type: application/json\r\n".encode()
        + b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(EVENT), EVENT)
    )

    with slow_callers(port, 400):
        answers = [exchange(port, request) for request in [ALIVE, event] * 5]

    assert [answer.split()[1] for answer in answers] == [b"200", b"202"] * 5
    with tenant_of(tenant.organization.pk):
        assert Event.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_a_probe_is_answered_while_every_thread_waits_for_postgresql(tenant, port) -> None:
    request = (
        b"GET /api/v1/apps HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        b"Authorization: Bearer " + tenant.api_token.encode() + b"\r\n\r\n"
    )
    with ThreadPoolExecutor(6) as callers, database.superuser().transaction():
        database.superuser().execute("LOCK TABLE app IN ACCESS EXCLUSIVE MODE")
        waiting = [callers.submit(exchange, port, request) for _ in range(6)]
        database.wait_for_a_lock(waiters=2)  # as many as there are threads

        probes = [exchange(port, ALIVE.replace(b"GET", word)) for word in (b"GET", b"HEAD")]
        pipelined = exchange(port, ALIVE.replace(b"Connection: close\r\n", b"") * 300 + ALIVE)

    assert [probe.partition(b"\r\n")[0] for probe in probes] == [b"HTTP/1.1 200 OK"] * 2
    assert pipelined.count(b"HTTP/1.1 200 OK") == 301
    assert {done.result().partition(b"\r\n")[0] for done in waiting} == {b"HTTP/1.1 200 OK"}


@contextmanager
def deaf_callers(port: int, count: int, request: bytes) -> Iterator[list[socket.socket]]:
    """Open connections that send requests and read nothing."""
    with ExitStack() as stack:
        sockets = []
        for _ in range(count):
            caller = stack.enter_context(socket.socket())
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            caller.settimeout(60)
            caller.connect(("127.0.0.1", port))
            caller.sendall(request)
            sockets.append(caller)
        yield sockets


@pytest.mark.django_db(transaction=True)
def test_callers_that_never_read_hold_up_nobody(port) -> None:
    page = (
        b"GET /static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js HTTP/1.1\r\n"
        b"Host: 127.0.0.1\r\n\r\n"
    )
    count = 8  # of 1.4 MB each: more than the system keeps for a connection
    with deaf_callers(port, 4, page * count) as callers:
        time.sleep(2)  # until the system keeps no more; a thread that waits would wait for ever
        assert exchange(port, ALIVE).startswith(b"HTTP/1.1 200")

        # Whoever reads in the end gets all of it, and is served on.
        caller = callers[0]
        caller.sendall(ALIVE)
        answer = bytearray()
        while piece := caller.recv(1_000_000):
            answer += piece

    assert answer.count(b"HTTP/1.1 200 OK\r\n") == count + 1
    assert answer.endswith(b'{"status": "alive"}')


@pytest.mark.django_db(transaction=True)
def test_what_comes_in_pieces_is_answered_like_what_comes_at_once(tenant, port) -> None:
    authorized = f"Authorization: Bearer {tenant.sdk_key}\r\nContent-Type: application/json\r\n"
    head = POST + authorized.encode()
    length = b"Content-Length: %d\r\n" % len(EVENT)
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT), EVENT)
    requests = {
        "a length": head + length + b"\r\n" + EVENT,
        "chunks": head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks,
        "two requests at once": ALIVE.replace(b"Connection: close\r\n", b"")
        + head
        + length
        + b"\r\n"
        + EVENT,
    }

    for name, request in requests.items():
        with socket.create_connection(("127.0.0.1", port), timeout=60) as caller:
            for at in range(0, len(request), 40):
                caller.sendall(request[at : at + 40])
                time.sleep(0.002)  # so that the server reads it in pieces
            answer = b""
            while b'"accepted"' not in answer:
                answer += caller.recv(65_536)
            assert b"HTTP/1.1 202" in answer, name
            # The same connection serves on.
            caller.sendall(ALIVE)
            assert caller.recv(65_536).startswith(b"HTTP/1.1 200"), name


@pytest.mark.django_db(transaction=True)
def test_who_asks_before_sending_a_body_is_told_once_to_go_on(tenant, port) -> None:
    head = (
        POST
        + f"Authorization: Bearer {tenant.sdk_key}\r\nContent-Type: application/json\r\n".encode()
        + b"Connection: close\r\nExpect: 100-Continue\r\nContent-Length: %d\r\n\r\n" % len(EVENT)
    )
    with socket.create_connection(("127.0.0.1", port), timeout=60) as caller:
        caller.sendall(head)
        answer = caller.recv(65_536)
        assert answer == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.sendall(EVENT)
        assert caller.recv(65_536).startswith(b"HTTP/1.1 202")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("length", [b"%025d" % 60, b"1%025d" % 0, b"1" * 5_000])
def test_a_length_of_many_digits_holds_no_thread(tenant, port, length: bytes) -> None:
    head = POST + f"Authorization: Bearer {tenant.sdk_key}\r\n".encode()
    with ExitStack() as stack:
        for _ in range(4):
            caller = socket.create_connection(("127.0.0.1", port), timeout=60)
            stack.enter_context(caller)
            caller.sendall(head + b"Content-Length: " + length + b"\r\n\r\n")

        assert exchange(port, ALIVE).startswith(b"HTTP/1.1 200")


def test_many_small_chunks_do_not_each_copy_what_follows() -> None:
    received = Received()
    received.receive(b"1\r\na\r\n" * 100_000)

    longest = 0
    for _ in range(1_000):
        assert received.read(6) == b"1\r\na\r\n"
        longest = max(longest, len(received.buf.getvalue()))  # is copied by each reading

    assert longest <= 8 * 1024


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, 431),
        (POST + b"Content-Length: 90000000\r\n\r\n" + b"x" * 100_000, 401),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
def test_what_is_beyond_the_bounds_is_refused_at_once(port, request_: bytes, status: int) -> None:
    answer = exchange(port, request_)

    assert answer.startswith(b"HTTP/1.1 %d" % status), answer
    assert b"Connection: close" in answer
    assert b'"detail": "' in answer or b'"detail":"' in answer


def test_a_long_answer_waits_in_a_thread_for_who_reads_it(tmp_path: Path) -> None:
    page = bytes(range(256)) * (ANSWER_BYTES // 50)
    file = tmp_path / "page"
    file.write_bytes(page)
    accepted, reader = socket.socketpair()
    with PatientSocket(accepted, threading.BoundedSemaphore(1)) as caller, reader:
        received = bytearray()

        def read() -> None:
            while len(received) < 2 * len(page):
                received.extend(reader.recv(100_000))

        thread = threading.Thread(target=read)
        thread.start()
        caller.sendall(page)
        with file.open("rb") as opened:
            assert caller.sendfile(opened, count=len(page)) == len(page)
        while caller.unsent:
            caller.send_rest()
        thread.join()

    assert bytes(received) == page * 2


@pytest.mark.parametrize("others", [0, 1])
def test_who_reads_nothing_of_a_long_answer_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    monkeypatch.setattr(slow_connections, "_READ_SECONDS", 60 if others else 0.1)
    may_wait = threading.BoundedSemaphore(1)
    for _ in range(others):
        may_wait.acquire()
    accepted, reader = socket.socketpair()
    with PatientSocket(accepted, may_wait) as caller, reader:
        with pytest.raises(BrokenPipeError):
            caller.sendall(b"x" * 2 * ANSWER_BYTES)

        assert not caller.unsent

    assert may_wait.acquire(blocking=False) is not bool(others)


# What has come, byte by byte


WHOLE = {
    "no body": ALIVE,
    "a length of nothing": POST + b"Content-Length: 0\r\n\r\n",
    "a length": POST + b"Content-Length: 60\r\n\r\n" + EVENT[:60],
    "a length with zeros before it": POST + b"Content-Length: %025d\r\n\r\nabc" % 3,
    "a size with zeros before it": POST
    + b"Transfer-Encoding: chunked\r\n\r\n%025x\r\nabc\r\n0\r\n\r\n" % 3,
    "a length in capitals": POST + b"CONTENT-LENGTH:3\t\r\n\r\nabc",
    "a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "chunks": POST
    + b"transfer-encoding:Chunked\r\n\r\n3;a=b\r\nabc\r\n0A\r\n0123456789\r\n00\r\n\r\n",
    "an end within a chunk": POST
    + b"Transfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n",
    "trailers": POST
    + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\n",
    "chunks overrule a length": (
        POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    ),
    "a length that is said in a value": ALIVE[:-2] + b"X: Content-Length: 9\r\n\r\n",
}


def arriving(received: bytes = b"") -> Arriving:
    return Arriving(connection=None, received=bytearray(received))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", WHOLE)
def test_a_request_is_whole_with_its_last_byte_and_not_sooner(name: str) -> None:
    request = arriving()
    for byte in WHOLE[name]:
        assert not request.is_complete(), bytes(request.received)
        request.received.append(byte)

    assert request.is_complete()
    assert request.is_whole
    assert arriving(WHOLE[name]).is_complete()


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 90000000\r\n\r\n",
        b"Content-Length: 999999999999999999\r\n\r\n",
        b"Content-Length: %b\r\n\r\n" % (b"9" * 5_000),
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n" + b"x" * REQUEST_BYTES,
    ],
)
def test_what_can_only_be_refused_is_not_waited_for(body: bytes) -> None:
    request = arriving(POST + body)

    assert request.is_complete()
    assert not request.is_whole


def test_a_request_has_half_a_minute_and_a_second_for_each_kib() -> None:
    empty, half = arriving(), arriving(b"x" * 10_240)

    assert [empty.is_late(empty.began_at + seconds) for seconds in (29, 31)] == [False, True]
    assert [half.is_late(half.began_at + seconds) for seconds in (39, 41)] == [False, True]


# The loop, whose threads begin nothing


class IdleWorker(PatientWorker):
    """A worker whose threads begin nothing."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__(1, os.getpid(), [], None, 30, Config(), logging.getLogger())
        self.poller = selectors.DefaultSelector()
        self.queued: list[Connection] = []
        self._stack = stack
        stack.callback(self.tmp.close)
        stack.callback(self.poller.close)

    def enqueue_req(self, conn: Connection) -> None:
        self.queued.append(conn)

    def connect(self) -> tuple[Connection, socket.socket]:
        accepted, caller = socket.socketpair()
        self._stack.enter_context(caller)
        server = self._stack.enter_context(PatientSocket(accepted, threading.BoundedSemaphore(1)))
        self.nr_conns += 1
        return Connection(self.cfg, server, "", ""), caller

    def take(self, request: bytes) -> socket.socket:
        """Take a request piece by piece, until it is whole or refused."""
        conn, caller = self.connect()
        self._wait_for_request(conn)
        for at in range(0, len(request), 50_000):
            if conn not in self._arriving:
                break
            caller.sendall(request[at : at + 50_000])
            self._receive(self._arriving[conn])
        return caller


def test_what_waits_for_a_thread_is_bounded_too() -> None:
    request = POST + b"Content-Length: 4000000\r\n\r\n" + b"x" * 4_000_000
    fitting = WAITING_BYTES // len(request)
    answered: Future[bool] = Future()
    answered.set_result(False)
    with ExitStack() as stack:
        worker = IdleWorker(stack)

        *_, refused = [worker.take(request) for _ in range(fitting + 1)]
        worker.finish_request(worker.queued[0], answered)
        worker.take(request)

        assert refused.recv(65_536).startswith(b"HTTP/1.1 503")
        assert len(worker.queued) == fitting + 1


def test_callers_that_never_hang_up_are_waited_for_side_by_side() -> None:
    answered: Future[bool] = Future()
    answered.set_result(False)
    with ExitStack() as stack:
        worker = IdleWorker(stack)
        callers = [worker.take(ALIVE) for _ in range(40)]

        for conn in worker.queued:
            worker.finish_request(conn, answered)  # would wait two seconds, each

        assert worker._closing.keys() == set(worker.queued)
        assert [caller.recv(9) for caller in callers] == [b""] * 40
        for caller in callers:
            caller.close()
        for key, _ in worker.poller.select(0):
            key.data(key.fileobj)
        assert (worker._closing, worker.nr_conns) == ({}, 0)
