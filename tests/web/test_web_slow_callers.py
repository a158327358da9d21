"""Callers that send their requests slowly, and hang up slowly, hold no thread of the web server."""

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import TConn

from apps_registry.tenancy import tenant as tenant_of
from postbacks.models import Event
from postbacks.web.patient_worker import (
    QUEUED_BYTES,
    REQUEST_BYTES,
    Arriving,
    PatientWorker,
)
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
def test_callers_that_read_but_never_hang_up_hold_up_nobody(tenant, port) -> None:
    began_at = time.monotonic()
    with ExitStack() as stack:
        for _ in range(40):
            caller = socket.create_connection(("127.0.0.1", port), timeout=60)
            stack.enter_context(caller)
            caller.sendall(ALIVE)
            assert caller.recv(9) == b"HTTP/1.1 "

        assert exchange(port, ALIVE).startswith(b"HTTP/1.1 200")

    # Each of them is waited for two seconds; one after the other, that would be 80.
    assert time.monotonic() - began_at < 60


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


# What has come, byte by byte


WHOLE = {
    "no body": ALIVE,
    "a length of nothing": POST + b"Content-Length: 0\r\n\r\n",
    "a length": POST + b"Content-Length: 60\r\n\r\n" + EVENT[:60],
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


class IdleWorker(PatientWorker):
    """A worker whose threads begin nothing."""

    def __init__(self) -> None:
        super().__init__(1, os.getpid(), [], None, 30, Config(), logging.getLogger())
        self.poller = selectors.DefaultSelector()
        self.queued: list[TConn] = []

    def enqueue_req(self, conn: TConn) -> None:
        self.queued.append(conn)


def test_requests_that_wait_for_a_thread_take_bounded_memory() -> None:
    worker = IdleWorker()
    head = POST + b"Content-Length: 4000000\r\n\r\n"
    request = head + b"x" * 4_000_000
    with ExitStack() as stack:
        stack.callback(worker.tmp.close)
        stack.callback(worker.poller.close)

        def call() -> socket.socket:
            server, caller = map(stack.enter_context, socket.socketpair())
            worker.nr_conns += 1
            worker._wait_for_request(TConn(worker.cfg, server, "", ""), request)
            return caller

        *_, refused = [call() for _ in range(QUEUED_BYTES // len(request) + 1)]
        first = worker.queued[0]
        answered: Future[bool] = Future()
        answered.set_result(False)
        worker.finish_request(first, answered)
        call()

        assert refused.recv(65_536).startswith(b"HTTP/1.1 503")
        assert len(worker.queued) == QUEUED_BYTES // len(request) + 1
