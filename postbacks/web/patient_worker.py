"""gunicorn's worker with threads, which gives a thread a request only when all of it has come.

gunicorn's own reads heads and bodies in its threads, so that as many callers as it has threads,
each with a byte every few seconds, silence it; and its loop waits up to two seconds for a caller to
hang up. Here callers are waited for in the loop, where one costs its bytes and no thread, while
they send and while they read.
"""

import errno
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.http import HttpResponse
from gunicorn import http
from gunicorn.config import PostRequest, PreRequest
from gunicorn.http.message import Request
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from postbacks.infrastructure.database.stalls import is_away, keep_loop_from_database
from postbacks.infrastructure.loop_requests import Loop, NeedsThread, running
from postbacks.infrastructure.processes import exempt_loaded_objects
from postbacks.web.machine_doors import is_for_machines, may_run_in_loop
from postbacks.web.plain_requests import PlainAnswer, PlainReader
from postbacks.web.problem_documents import problem, unavailable
from postbacks.web.request_bodies import IS_WHOLE
from postbacks.web.slow_connections import (
    HEAD_BYTES,
    PIECE,
    SECONDS,
    Arriving,
    Connection,
    PatientSocket,
    Received,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

WAITING_BYTES: Final = 64 * 1024 * 1024  # of all requests that come, wait or are answered
LONGEST_WAIT: Final = 4.0  # seconds that a program's request waits for a thread, else it gets 503
LONGEST_WAIT_IN_OUTAGE: Final = 0.5  # else whoever came later would wait once more
MOST_IN_LOOP: Final = 512  # requests that wait for a commit there; further ones queue for a thread
UNREAD_BYTES: Final = 64 * 1024 * 1024  # of all answers that wait so
_SWITCH_SECONDS: Final = 0.0005  # for which a thread has the processor while others want it
_LINGER_SECONDS: Final = 2.0  # for a caller to end what it sends, read the answer and hang up
_LINGER_BYTES: Final = 20_000_000
_LOOK_SECONDS: Final = 0.25  # at most, while requests of the loop wait
_PROBES: Final = (b"GET /healthz ", b"HEAD /healthz ")
_GONE: Final = (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK)
_TOO_SLOW: Final = "The request did not come in time; send it again."
_TOO_MANY: Final = "Too many large requests are coming at once; send it again."
_TOO_BUSY: Final = (
    "Requests that came before this one take too long. Nothing was stored; try again."
)


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
    """The worker class of `gunicorn.conf.py`."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self._arriving: dict[Connection, Arriving] = {}  # by the time that they began
        self._arrived_bytes = 0
        self._unread: dict[Connection, float] = {}  # until when each may read, by their start
        self._closing: dict[Connection, float] = {}  # until when each may linger
        self._looks_at = 0.0
        self._of_thread = threading.local()
        self._may_wait = threading.BoundedSemaphore(max(1, self.cfg.threads // 2))
        self._keepalive: int = self.cfg.keepalive  # which gunicorn looks up slowly
        self._loop = Loop(lambda: self.method_queue.defer(self._loop.go_on), self._call_when_ready)
        # TLS, HTTP/2 and a proxy's line come before or in place of what is read here.
        self._is_patient = (
            not self.cfg.is_ssl
            and self.cfg.proxy_protocol == "off"
            and self.cfg.http_protocols == ["h1"]
        )

        # Whoever wants a line of each request, or a hook called, gets them from gunicorn's own way.
        self._runs_requests = (
            self._is_patient
            and not (self.cfg.accesslog or self.cfg.statsd_host or self.cfg.max_requests)
            and not os.environ.get("SCRIPT_NAME")
            and self.cfg.pre_request is PreRequest.default
            and self.cfg.post_request is PostRequest.default
        )

    def load_wsgi(self) -> None:
        """Load the application, and tell it of each request whether all of it has come."""
        super().load_wsgi()
        exempt_loaded_objects()
        settings.WEB_THREADS = self.cfg.threads
        sys.setswitchinterval(_SWITCH_SECONDS)  # a small request is often woken beside a large one
        if not self._is_patient:
            return
        application: WSGIApplication = self.wsgi  # type: ignore[has-type]
        self._application = application
        keep_loop_from_database()

        def patient(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
            environ[IS_WHOLE] = self._of_thread.is_whole
            longest = LONGEST_WAIT_IN_OUTAGE if is_away() else LONGEST_WAIT
            is_late = self._of_thread.waited > longest and environ.get("PATH_INFO") != "/healthz"
            if is_late and is_for_machines(environ):
                refusal = unavailable(_TOO_BUSY)
                start(_status_line(refusal), list(refusal.items()))
                return [refusal.content]
            return application(environ, start)

        self.wsgi = patient

    def handle_request(self, req: Request, conn: Connection) -> bool:
        """Answer a request, in a thread."""
        if self._is_patient:
            self._of_thread.is_whole = conn.is_whole
            self._of_thread.waited = time.monotonic() - conn.handed_over_at
            if not conn.is_whole:
                req.force_close()  # what is missing would be taken for the next request
        return bool(super().handle_request(req, conn))

    def accept(self, listener: socket.socket) -> None:
        """Take a connection, and wait for its request."""
        if not self._is_patient:
            super().accept(listener)
            return
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._make_room()
            elif error.errno not in _GONE:
                raise
            return
        self.nr_conns += 1
        caller = PatientSocket(client, self._may_wait)
        self._wait_for_request(Connection(self.cfg, caller, address, listener.getsockname()))
        if self.nr_conns >= self.worker_connections:
            self._make_room()

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Take what has come of a request; a connection that was kept begins its next one."""
        if not self._is_patient:
            super().on_client_socket_readable(conn, client)
        elif (arriving := self._arriving.get(conn)) is not None:
            self._receive(arriving)
        elif conn.is_kept:
            conn.is_kept = False
            self.keepalived_conns.remove(conn)
            self._wait_for_request(conn)
        else:  # behind a request that the loop still runs
            self._unwatch(conn)

    def finish_request(self, conn: Connection, fs: "Future[bool]") -> None:
        """Keep a connection for its next request, or close it."""
        if not self._is_patient:
            super().finish_request(conn, fs)
            return
        self._finish(conn, is_kept=not (fs.cancelled() or fs.exception()) and fs.result())

    def _finish(self, conn: Connection, *, is_kept: bool) -> None:
        self._arrived_bytes -= conn.held_bytes
        conn.held_bytes = 0
        if conn.sock.unsent and conn.sock.fileno() >= 0:  # an answer that failed is closed
            self._send_later(conn, is_kept=is_kept)
        elif not is_kept:
            self._hang_up(conn)
        else:
            if conn.sock.gettimeout() != 0:
                conn.sock.setblocking(False)
            if not (next_request := conn.take_rest()):
                self._keep(conn)
            elif running() is not None:  # within it, hundreds in one packet would nest too deeply
                self.method_queue.defer(self._wait_for_request, conn, next_request)
            else:
                self._wait_for_request(conn, next_request)

    def _keep(self, conn: Connection) -> None:
        """Wait for the next request of a connection, as gunicorn does."""
        seconds = self._keepalive if self.alive else min(self._keepalive, STOP_KEEPALIVE_LINGER)
        conn.timeout = time.monotonic() + seconds
        conn.is_kept = True
        self.keepalived_conns.append(conn)
        self._watch(conn)

    def _watch(self, conn: Connection) -> None:
        """Have the loop look for what comes; while it runs a request itself, it goes on to."""
        if not conn.is_watched:
            conn.is_watched = True
            readable = partial(self.on_client_socket_readable, conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, readable)

    def _unwatch(self, conn: Connection) -> None:
        if conn.is_watched:
            conn.is_watched = False
            self.poller.unregister(conn.sock)

    def murder_pending(self) -> None:
        """Refuse, once a second, what is late; gunicorn calls this in its loop."""
        now = time.monotonic()
        self._loop.end_waits(now)
        if now < self._looks_at:
            return
        self._looks_at = now + 1
        for arriving in list(self._arriving.values()):
            if arriving.is_late(now) or not (self.alive or arriving.received):
                self._refuse(arriving, HTTPStatus.REQUEST_TIMEOUT, _TOO_SLOW)
        for conn, until in list(self._unread.items()):
            if now > until:
                self._give_up(conn)
        for conn, until in list(self._closing.items()):
            if now > until:
                self._close(conn)

    def is_parent_alive(self) -> bool:
        """Tell whether the master lives; if it was killed, leave the port to its successor."""
        alive = bool(super().is_parent_alive())
        if not alive:
            self.set_accept_enabled(False)
            for listener in self.sockets:
                listener.close()
        return alive

    def _wait_for_request(self, conn: Connection, begun: bytes = b"") -> None:
        """Answer a request that has come whole, as most do, and wait for what is missing of others.

        A connection whose caller has hung up is closed.
        """
        piece = begun or _receive(conn)
        if piece == b"":
            self._close(conn)
            return
        arriving = Arriving(conn, bytearray(piece or b""))
        if piece and arriving.is_complete():
            self._begin(arriving)
            return
        self._arriving[conn] = arriving
        self._arrived_bytes += len(arriving.received)
        self._watch(conn)
        if piece:
            self._go_on(arriving)

    def _receive(self, arriving: Arriving) -> None:
        piece = _receive(arriving.connection)
        if piece is None:
            return
        arriving.received += piece
        self._arrived_bytes += len(piece)
        if piece:
            self._go_on(arriving)
        elif arriving.received:
            self._hand_over(arriving)  # an application says better than we what is missing
        else:
            self._forget(arriving)
            self._close(arriving.connection)

    def _go_on(self, arriving: Arriving) -> None:
        """Wait for more of a request, unless it is whole or has used up a bound."""
        if arriving.is_complete():
            self._hand_over(arriving)
        elif arriving.has_too_long_head():
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self._refuse(arriving, status, f"The head is longer than {HEAD_BYTES} bytes.")
        elif self._arrived_bytes > WAITING_BYTES:
            largest = max(self._arriving.values(), key=lambda each: len(each.received))
            self._refuse(largest, HTTPStatus.SERVICE_UNAVAILABLE, _TOO_MANY)
        elif arriving.asks_to_continue():
            with suppress(OSError):
                arriving.connection.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _hand_over(self, arriving: Arriving) -> None:
        self._forget(arriving)
        self._begin(arriving)

    def _begin(self, arriving: Arriving) -> None:
        """Begin a request: most of machines' here in the loop, all others in a thread."""
        conn = arriving.connection
        conn.held_bytes = len(arriving.received)
        self._arrived_bytes += conn.held_bytes
        environ = self._plain_environ(arriving)
        if environ is not None and may_run_in_loop(environ) and len(self._loop) < MOST_IN_LOOP:
            self._loop.run(partial(self._run_request, arriving, environ))
        else:
            self._give_to_thread(arriving)

    def _plain_environ(self, arriving: Arriving) -> "WSGIEnvironment | None":
        conn = arriving.connection
        has_address = isinstance(conn.client, tuple)  # not that of a Unix socket
        if not (self._runs_requests and arriving.is_small and has_address):
            return None
        if conn.plain is None:
            conn.plain = PlainReader(self.cfg, conn.client, conn.server)
        head, body, conn.rest = arriving.parts()
        return conn.plain.read(head, body)

    def _run_request(self, arriving: Arriving, environ: "WSGIEnvironment") -> None:
        """Answer a request of the loop, which goes on with others while this one waits."""
        conn = arriving.connection
        answer = PlainAnswer(environ, is_last=not (self.alive and self._keepalive))
        try:
            body = b"".join(self._application(environ, answer.start))
            conn.sock.sendall(answer.bytes_of(body))
        except NeedsThread:
            self._give_to_thread(arriving)
            return
        except OSError:
            answer.force_close()
        except Exception as error:  # noqa: BLE001  # gunicorn answers and logs it, as in threads
            self.handle_error(None, conn.sock, conn.client, error)
            answer.force_close()
        self._finish(conn, is_kept=not answer.is_last)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Run one turn of the loop: what has come meanwhile belongs to it, and shares a commit."""
        super().wait_for_and_dispatch_events(min(timeout, _LOOK_SECONDS) if self._loop else timeout)
        begun = 0
        while self._loop.begun > begun:
            begun = self._loop.begun
            super().wait_for_and_dispatch_events(0)
        self._loop.end_turn()

    def _call_when_ready(self, descriptor: int, events: int, call: Callable[[], None]) -> None:
        def ready(_descriptor: int) -> None:
            self.poller.unregister(descriptor)
            call()

        self.poller.register(descriptor, events, ready)

    def _give_to_thread(self, arriving: Arriving) -> None:
        """Give a request to a thread, which reads it from memory."""
        conn = arriving.connection
        self._unwatch(conn)
        conn.rest = b""
        if conn.parser is None:
            conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
            conn.parser.unreader = Received()
        conn.parser.unreader.receive(bytes(arriving.received))
        conn.data_ready = True
        conn.is_whole = arriving.is_whole
        conn.handed_over_at = time.monotonic()
        conn.is_probe = arriving.received.startswith(_PROBES)
        self.enqueue_req(conn)

    def enqueue_req(self, conn: Connection) -> None:
        """Give a request to a thread; answer here what waits for nothing, as all threads may."""
        if not (self._is_patient and conn.is_probe):
            super().enqueue_req(conn)
            return
        answered: Future[bool] = Future()
        answered.set_result(self.handle(conn))
        self.method_queue.defer(self.finish_request, conn, answered)

    def _refuse(self, arriving: Arriving, status: HTTPStatus, detail: str) -> None:
        self._forget(arriving)
        if arriving.received:
            with suppress(OSError):  # what does not fit into an empty buffer is lost
                arriving.connection.sock.send(_answer(status, detail))
        self._hang_up(arriving.connection)

    def _send_later(self, conn: Connection, *, is_kept: bool) -> None:
        """Send the rest of an answer as its caller reads it, and then finish the request."""

        def send(_sock: socket.socket) -> None:
            if conn not in self._unread:
                return  # given up by what happened at the same moment
            try:
                conn.sock.send_rest()
            except OSError:
                self._give_up(conn)
                return
            if not conn.sock.unsent:
                del self._unread[conn]
                self.poller.unregister(conn.sock)
                self._finish(conn, is_kept=is_kept)

        self._unwatch(conn)
        conn.sock.setblocking(False)
        self._unread[conn] = time.monotonic() + SECONDS + len(conn.sock.unsent) / PIECE
        self.poller.register(conn.sock, selectors.EVENT_WRITE, send)
        if sum(len(each.sock.unsent) for each in self._unread) > UNREAD_BYTES:
            self._give_up(next(iter(self._unread)))

    def _give_up(self, conn: Connection) -> None:
        """Hang up on a caller that does not read its answer."""
        del self._unread[conn]
        self.poller.unregister(conn.sock)
        conn.sock.unsent.clear()
        self._close(conn)

    def _make_room(self) -> None:
        """Give up the request that has been coming for longest."""
        for arriving in self._arriving.values():
            self._forget(arriving)
            self._close(arriving.connection)
            return

    def _forget(self, arriving: Arriving) -> None:
        del self._arriving[arriving.connection]
        self._arrived_bytes -= len(arriving.received)

    def _hang_up(self, conn: Connection) -> None:
        """End what we say, and close once the caller has read it; a reset would take it away."""
        left = _LINGER_BYTES
        self._unwatch(conn)

        def drop(_sock: socket.socket) -> None:
            nonlocal left
            if conn not in self._closing:
                return
            try:
                piece = conn.sock.recv(PIECE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                piece = b""
            left -= len(piece)
            if not piece or left < 0:
                self._close(conn)

        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        self._closing[conn] = time.monotonic() + _LINGER_SECONDS
        self.poller.register(conn.sock, selectors.EVENT_READ, drop)
        drop(conn.sock)

    def _close(self, conn: Connection) -> None:
        if self._closing.pop(conn, None) is not None:
            self.poller.unregister(conn.sock)
        self._unwatch(conn)
        self.nr_conns -= 1
        conn.close()


def _receive(conn: Connection) -> bytes | None:
    """Return what has come on a connection, nothing where it has ended; None while nothing has."""
    try:
        piece: bytes = conn.sock.recv(PIECE)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""
    return piece


def _answer(status: HTTPStatus, detail: str) -> bytes:
    """Return a refusal that needs no thread, like those of the API."""
    refusal = problem(status, detail)
    refusal["Content-Length"] = str(len(refusal.content))
    refusal["Connection"] = "close"
    return f"HTTP/1.1 {_status_line(refusal)}\r\n".encode() + refusal.serialize()


def _status_line(answer: HttpResponse) -> str:
    return f"{answer.status_code} {answer.reason_phrase}"
