"""The transport by libcurl: one thread drives thousands of open requests.

libcurl keeps the connections; what it may connect to is decided here. A request begins without the
right to open a connection: a kept one, whose address was judged when it was opened, serves it. If
there is none, libcurl asks for a socket and is refused one. Then our own threads look the name up,
all its addresses are judged and pinned, and the request begins again with the right to connect. The
address of each socket that libcurl then asks for is judged once more.
"""

import logging
import os
import select
from collections import OrderedDict, deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from tempfile import NamedTemporaryFile
from threading import Thread
from time import monotonic, sleep

import certifi
import pycurl

from postbacks.delivery.http.address_guard import (
    AddressGuard,
    literal,
    no_connection,
    not_looked_up,
    out_of_time,
)
from postbacks.delivery.http.curl_handle import (
    CurlExchange,
    CurlHandle,
    CurlHost,
    milliseconds_since,
)
from postbacks.delivery.http.destinations import Destinations
from postbacks.delivery.http.dns import Answer, Lookup, SocketAddress
from postbacks.delivery.http.egress_proxy import EgressProxy, proxy_failure
from postbacks.delivery.http.request_guard import Origin, checked_origin
from postbacks.delivery.http.response import INTERNAL_FAILURE, Reply, Undelivered
from postbacks.delivery.http.transport import Done, Transport
from postbacks.infrastructure.processes import raise_descriptor_limit
from postbacks.values.outgoing_request import OutgoingRequest
from postbacks.values.request_timings import pack

logger = logging.getLogger(__name__)

_OPEN_AT_ONCE = 4096
_OF_ONE_HOST = _OPEN_AT_ONCE // 8  # more than any share of it that one lane has
_OTHER_DESCRIPTORS = 256
_LOOKUP_THREADS = 32
_HANDLES_KEPT = 1024
_ORIGINS_KEPT = 4096
_MOST_ADDRESSES_TRIED = 6
_MOST_TRIES = 4  # on a kept connection, on one that was just opened, and on a fresh one
_IDLE_SECONDS = 60.0
_LONGEST_WAIT = 1.0
_PAUSE_AFTER_FAILURE = 0.05
_HAS_EPOLL = hasattr(select, "epoll")
_UNITS_A_SECOND = 1 if _HAS_EPOLL else 1000
_EVENTS = {
    pycurl.POLL_IN: select.POLLIN,
    pycurl.POLL_OUT: select.POLLOUT,
    pycurl.POLL_INOUT: select.POLLIN | select.POLLOUT,
    pycurl.POLL_NONE: 0,
}


class CurlTransport(Transport):
    """Sends all requests from one thread; one transport per pump.

    `ca_file` names further certificate authorities to trust, beside the public ones. Times are in
    seconds.
    """

    def __init__(
        self,
        destinations: Destinations,
        *,
        resolve_timeout: float = 3.0,
        connect_timeout: float = 3.0,
        ca_file: str | None = None,
        idle_seconds: float = _IDLE_SECONDS,
        proxy: EgressProxy | None = None,
    ) -> None:
        # A kept connection is a descriptor as well.
        descriptors = raise_descriptor_limit(2 * _OPEN_AT_ONCE + _OTHER_DESCRIPTORS)
        self.capacity = min(_OPEN_AT_ONCE, (descriptors - _OTHER_DESCRIPTORS) // 2)
        self._guard = AddressGuard(destinations)
        self._proxy = proxy
        self._lookup = Lookup(_LOOKUP_THREADS)
        self._resolve_timeout = resolve_timeout
        self._connect_timeout = connect_timeout
        self._idle_seconds = idle_seconds
        self._bundle = _bundle(ca_file)
        self._is_bundle_ours = ca_file is not None
        self._submitted: deque[tuple[OutgoingRequest, float, Done]] = deque()
        self._looked_up: deque[tuple[CurlExchange, Future[Answer]]] = deque()
        self._in_flight = 0
        self._hosts: dict[Origin, CurlHost] = {}  # with something open
        self._ready: deque[CurlExchange] = deque()  # held back before, their turn has come
        self._open: dict[pycurl.Curl, CurlHandle] = {}
        self._idle: list[CurlHandle] = []
        # Where connections may be kept, with the pins, which libcurl would keep for ever.
        self._known: OrderedDict[Origin, str] = OrderedDict()
        self._unpinned: list[str] = []
        self._deadlines: list[tuple[float, int, CurlExchange, int]] = []
        self._numbers = count()
        self._timer_at: float | None = None
        self._is_asleep = self._is_closing = False
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        # epoll where there is one: at thousands of sockets `poll` looks at each of them each time.
        # Both have the same numbers for the same events, but count time in other units.
        self._sockets = select.epoll() if _HAS_EPOLL else select.poll()
        self._sockets.register(self._wake_read, select.POLLIN)
        self._watched: set[int] = set()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, self.capacity)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, _OF_ONE_HOST)
        self._thread = Thread(target=self._run, name="requests", daemon=True)
        self._thread.start()

    def start(self, request: OutgoingRequest, *, timeout: float, done: Done) -> None:
        if self._is_closing:
            raise RuntimeError("The transport is closed.")
        self._submitted.append((request, timeout, done))
        self._wake()

    def send(self, request: OutgoingRequest, *, timeout: float = 15.0) -> Reply:
        replies: SimpleQueue[Reply] = SimpleQueue()
        self.start(request, timeout=timeout, done=replies.put)
        return replies.get()

    def close(self) -> None:
        self._is_closing = True
        with suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")
        self._thread.join()
        self._lookup.close()
        # Not by the thread: it may end before the write above, whose number may be another's then.
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self._is_bundle_ours:
            Path(self._bundle).unlink(missing_ok=True)

    # Everything below runs in the transport's own thread, save `_wake` and `_note_answer`.

    def _run(self) -> None:
        while self._in_flight or self._submitted or not self._is_closing:
            try:
                try:
                    self._work()
                finally:
                    self.after_replies()
                self._wait()
            except Exception:
                logger.exception("A step of the transport failed; it goes on")
                sleep(_PAUSE_AFTER_FAILURE)  # one that fails each time must not fill the log
        for handle in self._idle:
            handle.curl.close()
        self._multi.close()
        if hasattr(self._sockets, "close"):
            self._sockets.close()

    def _work(self) -> None:
        while self._submitted and self._in_flight < self.capacity:
            self._begin(*self._submitted.popleft())
        while self._ready:
            self._start_exchange(self._ready.popleft())
        while self._looked_up:
            self._take_answer(*self._looked_up.popleft())
        now = monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, _, exchange, tries = heappop(self._deadlines)
            if exchange.is_open and exchange.tries == tries:
                self._check_deadline(exchange)
        if self._timer_at is not None and self._timer_at <= now:
            self._timer_at = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._take_finished()

    def _wait(self) -> None:
        self._is_asleep = True
        seconds = self._seconds_to_wait()
        for descriptor, events in self._sockets.poll(seconds * _UNITS_A_SECOND):
            if descriptor == self._wake_read:
                with suppress(BlockingIOError):
                    os.read(self._wake_read, 65_536)
                continue
            if descriptor not in self._watched:  # the other end of an idle connection is gone
                with suppress(OSError, KeyError):
                    self._sockets.unregister(descriptor)
                continue
            reads = pycurl.CSELECT_IN if events & ~select.POLLOUT else 0  # also what is broken
            writes = pycurl.CSELECT_OUT if events & select.POLLOUT else 0
            self._multi.socket_action(descriptor, reads | writes)
        self._is_asleep = False

    def _seconds_to_wait(self) -> float:
        has_submitted = self._submitted and self._in_flight < self.capacity
        if has_submitted or self._ready or self._looked_up:
            return 0.0
        if self._is_closing and not self._in_flight:
            return 0.0
        ends = [_LONGEST_WAIT + monotonic()]
        if self._timer_at is not None:
            ends.append(self._timer_at)
        if self._deadlines:
            ends.append(self._deadlines[0][0])
        return max(0.0, min(ends) - monotonic())

    def _wake(self) -> None:
        # Set before the loop looks whether there is anything to do: nothing is overlooked.
        if self._is_asleep:
            self._is_asleep = False
            with suppress(BlockingIOError):
                os.write(self._wake_write, b"\0")

    def _watch(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            # It stays registered: the next request on its connection changes that at most. epoll
            # forgets a closed one.
            self._watched.discard(descriptor)
            return
        self._watched.add(descriptor)
        try:
            self._sockets.modify(descriptor, _EVENTS[what])
        except FileNotFoundError:
            self._sockets.register(descriptor, _EVENTS[what])

    def _set_timer(self, milliseconds: int) -> None:
        self._timer_at = None if milliseconds < 0 else monotonic() + milliseconds / 1000

    def _begin(self, request: OutgoingRequest, timeout: float, done: Done) -> None:
        self._in_flight += 1
        exchange = CurlExchange(request, done, timeout, monotonic())
        try:
            exchange.origin = checked_origin(request)
        except Undelivered as undelivered:
            self._fail(exchange, undelivered)
            return
        host = self._hosts.get(exchange.origin)
        if host is None:
            host = self._hosts[exchange.origin] = CurlHost()
        exchange.host = host
        if host.open_requests < _OF_ONE_HOST:
            host.open_requests += 1
            self._start_exchange(exchange)
        else:  # its time begins with its turn
            host.held_back.append(exchange)

    def _start_exchange(self, exchange: CurlExchange) -> None:
        submitted_at, exchange.started = exchange.started, monotonic()
        exchange.deadline = exchange.started + exchange.timeout
        if exchange.started - submitted_at > exchange.timeout:
            self._fail(exchange, out_of_time())  # its caller may have given it up
            return
        try:
            exchange.fresh_only = self._idle_seconds <= 0
            if exchange.origin in self._known and not exchange.fresh_only:
                self._try(exchange)
            else:
                self._find_addresses(exchange)
        except Undelivered as undelivered:
            self._fail(exchange, undelivered)
        except Exception:
            logger.exception("A request broke")
            self._end(exchange, INTERNAL_FAILURE)

    def _find_addresses(self, exchange: CurlExchange) -> None:
        """Get the right to open a connection for an exchange, and go on with it then."""
        origin = exchange.origin
        if self._proxy is not None:
            self._guard.check_proxied(origin)
            origin = self._proxy.origin
        if addresses := literal(origin):
            self._allow(exchange, addresses)
            return
        if self._proxy is None:
            self._guard.check_name(origin)
        timeout = min(self._resolve_timeout, exchange.deadline - monotonic())
        if timeout <= 0:
            raise out_of_time()
        exchange.is_looking_up = True
        exchange.asked_at = monotonic()
        self._set_deadline(exchange, timeout)
        answer = self._lookup.ask(origin.host, origin.port, timeout=timeout)
        answer.add_done_callback(partial(self._note_answer, exchange))

    def _note_answer(self, exchange: CurlExchange, answer: "Future[Answer]") -> None:
        self._looked_up.append((exchange, answer))
        self._wake()

    def _take_answer(self, exchange: CurlExchange, answer: "Future[Answer]") -> None:
        if not exchange.is_looking_up:
            return  # it has not been waited for
        exchange.is_looking_up = False
        try:
            self._allow(exchange, answer.result())
        except Undelivered as undelivered:
            self._fail(exchange, undelivered)
        except (OSError, UnicodeError) as error:
            self._fail(exchange, self._not_looked_up(error))
        except Exception:
            logger.exception("A request broke")
            self._end(exchange, INTERNAL_FAILURE)

    def _not_looked_up(self, error: BaseException) -> Undelivered:
        if self._proxy is not None:
            return proxy_failure("could not be looked up")
        return not_looked_up(error)

    def _allow(self, exchange: CurlExchange, addresses: Answer) -> None:
        origin = exchange.origin
        if exchange.asked_at is not None:
            exchange.dns_seconds = monotonic() - exchange.asked_at
        if self._proxy is None:
            self._guard.check_addresses(origin, addresses)
        exchange.addresses = addresses[:_MOST_ADDRESSES_TRIED]
        target = origin if self._proxy is None else self._proxy.origin
        name = "" if target.address is not None else target.authority
        self._known[origin] = "" if self._proxy else name  # the proxy's pin stays
        self._known.move_to_end(origin)
        if len(self._known) > _ORIGINS_KEPT:
            _, unpinned = self._known.popitem(last=False)
            self._unpinned += [f"-{unpinned}"] if unpinned else []
        self._try(exchange, name)

    def _try(self, exchange: CurlExchange, name: str = "") -> None:
        handle = self._idle.pop() if self._idle else self._new_handle()
        exchange.handle = handle
        pins = []
        if name:
            pins = [*self._unpinned, f"{name}:{','.join(map(_literal_of, exchange.addresses))}"]
        handle.begin(exchange, pins)
        if name:
            self._unpinned = []
        self._open[handle.curl] = handle
        self._multi.add_handle(handle.curl)
        if exchange.addresses:
            self._set_deadline(exchange, self._connect_timeout)

    def _new_handle(self) -> CurlHandle:
        handle = CurlHandle(self._guard, self._proxy)
        handle.set_up(ca_file=self._bundle, idle_seconds=self._idle_seconds)
        return handle

    def _set_deadline(self, exchange: CurlExchange, seconds: float) -> None:
        entry = (monotonic() + seconds, next(self._numbers), exchange, exchange.tries)
        heappush(self._deadlines, entry)

    def _check_deadline(self, exchange: CurlExchange) -> None:
        handle = exchange.handle
        if exchange.is_looking_up:
            self._fail(exchange, self._not_looked_up(TimeoutError()))
        elif handle is not None and not handle.is_connected():
            if handle.has_opened:
                self._withdraw(handle)
                self._fail(exchange, handle.no_connection())
            else:  # it waits for others of its host
                self._set_deadline(exchange, self._connect_timeout)

    def _take_finished(self) -> None:
        queued = 1
        while queued:
            queued, succeeded, broken = self._multi.info_read()
            for curl in succeeded:
                self._finish(self._open[curl], pycurl.E_OK, "")
            for curl, code, message in broken:
                self._finish(self._open[curl], code, message)

    def _finish(self, handle: CurlHandle, code: int, message: str) -> None:
        exchange = handle.exchange
        assert exchange is not None  # noqa: S101
        try:
            try:
                reply = handle.reply(code, message)
            finally:
                self._withdraw(handle)
            if reply is not None:
                self._end(exchange, reply)
            elif exchange.tries < _MOST_TRIES:
                self._find_addresses(exchange)
            else:
                self._fail(exchange, no_connection())
        except Undelivered as undelivered:
            self._fail(exchange, undelivered)
        except Exception:
            logger.exception("A request broke")
            self._end(exchange, INTERNAL_FAILURE)

    def _withdraw(self, handle: CurlHandle) -> None:
        """Take a handle from its exchange, for others to use."""
        self._multi.remove_handle(handle.curl)
        del self._open[handle.curl]
        if handle.exchange is not None:
            handle.exchange.handle = None
        handle.end()
        if len(self._idle) < _HANDLES_KEPT:
            self._idle.append(handle)
        else:
            handle.curl.close()

    def _fail(self, exchange: CurlExchange, undelivered: Undelivered) -> None:
        """End an exchange that libcurl does not have."""
        self._end(
            exchange,
            Reply(
                error=undelivered.failure,
                detail=undelivered.detail,
                duration_ms=milliseconds_since(exchange.started),
                timings=_timings_without_answer(exchange),
                peer=exchange.peer,
            ),
        )

    def _end(self, exchange: CurlExchange, reply: Reply) -> None:
        if not exchange.is_open:
            return
        exchange.is_open = exchange.is_looking_up = False
        self._in_flight -= 1
        if exchange.host is not None:
            self._pass_turn(exchange.origin, exchange.host)
        try:
            exchange.done(reply)
        except Exception:
            logger.exception("A reply could not be taken")

    def _pass_turn(self, origin: Origin, host: CurlHost) -> None:
        if host.held_back:
            self._ready.append(host.held_back.popleft())
            return
        host.open_requests -= 1
        if not host.open_requests:
            del self._hosts[origin]


def _bundle(ca_file: str | None) -> str:
    """Return a file with all roots to trust. As a file libcurl reads it once, not for each host."""
    if ca_file is None:
        return certifi.where()
    with NamedTemporaryFile("w", prefix="postbacks-roots-", suffix=".pem", delete=False) as bundle:
        bundle.write(Path(certifi.where()).read_text() + Path(ca_file).read_text())
    return bundle.name


def _timings_without_answer(exchange: CurlExchange) -> int | None:
    return None if exchange.dns_seconds is None else pack(dns=exchange.dns_seconds)


def _literal_of(address: SocketAddress) -> str:
    return f"[{address.ip}]" if ":" in address.ip else address.ip
