"""Sockets that hold one request's budget of time and bytes, and the guard that connects them.

A timeout given to requests is per socket operation, so a server that trickles one byte a second
is never late. Here every single read and write gets what is left of the whole request's time.
That needs no watchdog thread, and nothing can shut down a socket that already serves another.

The guard looks a name up, judges every address and connects to an address that it judged. A check
of the URL can't do this: names change their answers between check and connection, and the system
decodes more spellings of an address than any parser of ours.
"""

import socket
import ssl
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from postbacks.delivery.http.address_guard import (
    AddressGuard,
    literal,
    no_connection,
    not_looked_up,
    out_of_time,
    too_long,
)
from postbacks.delivery.http.dns import Answer, Lookup, SocketAddress
from postbacks.delivery.http.egress_proxy import EgressProxy, check_tunnel, proxy_failure
from postbacks.delivery.http.request_guard import Origin
from postbacks.delivery.http.response import MOST_WIRE_BYTES, TransportFailure, Undelivered

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_MOST_ADDRESSES_TRIED = 6
# Each change of a socket's timeout is a call into the system, in which all threads take turns.
_LATE_BY_AT_MOST = 0.02


@dataclass(slots=True)
class Exchange:
    """A request and its answer under way: where to, by when, and what has happened so far."""

    origin: Origin
    target: str
    dialer: "Dialer"
    deadline: float
    idle_seconds: float
    fresh_only: bool = False
    opened: bool = False
    received: int = 0
    peer: str | None = None
    dns_seconds: float | None = None
    connect_seconds: float | None = None
    tls_seconds: float | None = None
    answered_at: float | None = None  # the first byte of the answer

    def remaining(self) -> float:
        """Return the seconds left. Raises Undelivered when there are none."""
        left = self.deadline - monotonic()
        if left <= 0:
            raise out_of_time()
        return left

    def count(self, received: int) -> None:
        """Count bytes of the answer. Raises Undelivered for an answer that never ends."""
        if self.answered_at is None:
            self.answered_at = monotonic()
        self.received += received
        if self.received > MOST_WIRE_BYTES:
            raise too_long()


# To open, read or write outside an exchange raises LookupError: no way around the guard.
CURRENT: ContextVar[Exchange] = ContextVar("CURRENT")


class TimedSocket(socket.socket):
    """A socket whose reads and writes end with the current exchange's time."""

    def settimeout(self, value: float | None) -> None:
        """Do nothing: urllib3 would set an endless limit before each step of a request."""

    def limit(self, seconds: float) -> None:
        timeout = self.gettimeout()
        if timeout is None or not seconds <= timeout <= seconds + _LATE_BY_AT_MOST:
            super().settimeout(seconds)

    def recv_into(
        self, buffer: "WriteableBuffer", nbytes: int | None = None, flags: int = 0
    ) -> int:
        exchange = CURRENT.get()
        self.limit(exchange.remaining())
        try:
            count = super().recv_into(buffer, nbytes or memoryview(buffer).nbytes, flags)
        except TimeoutError:
            raise out_of_time() from None
        exchange.count(count)
        return count

    def send(self, data: "ReadableBuffer", flags: int = 0) -> int:
        # TLS writes its records one by one through here.
        self.limit(CURRENT.get().remaining())
        try:
            return super().send(data, flags)
        except TimeoutError:
            raise out_of_time() from None

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        self.limit(CURRENT.get().remaining())
        try:
            super().sendall(data, flags)
        except TimeoutError:
            raise out_of_time() from None


class TimedTLSSocket(TimedSocket, ssl.SSLSocket):
    """A TimedSocket over TLS; the handshake counts as well."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            self._shake_hands(block)
        except Undelivered:
            # ssl closes a half-made socket only when an OSError comes out of here.
            self.close()
            raise

    def _shake_hands(self, block: bool) -> None:
        exchange = CURRENT.get()
        self.limit(exchange.remaining())
        began = monotonic()
        try:
            super().do_handshake(block)
            exchange.tls_seconds = monotonic() - began
        except TimeoutError:
            raise out_of_time() from None
        except ssl.SSLCertVerificationError as error:
            detail = f"The partner's TLS certificate was refused: {error.verify_message}."
            raise Undelivered(TransportFailure.TLS, detail) from None
        except OSError:
            raise Undelivered(
                TransportFailure.TLS, "No TLS connection could be agreed on."
            ) from None


@dataclass(frozen=True, slots=True)
class Dialer:
    """Opens connections to allowed destinations, and to nothing else."""

    guard: AddressGuard
    lookup: Lookup
    resolve_timeout: float
    connect_timeout: float
    proxy: EgressProxy | None = None

    def open(self, exchange: Exchange) -> TimedSocket:
        """Return a socket connected to the exchange's origin, through the proxy if there is one.

        Raises Undelivered for a forbidden destination, a name without address, no connection.
        """
        exchange.opened = True
        if self.proxy is not None:
            return self._open_tunnel(exchange, self.proxy)
        addresses = self._allowed_addresses(exchange)
        began = monotonic()
        connected, exchange.peer = self._open_any(addresses, exchange)
        exchange.connect_seconds = monotonic() - began
        if connected is None:
            exchange.remaining()
            raise no_connection()
        return connected

    def _open_any(
        self, addresses: Answer, exchange: Exchange
    ) -> tuple[TimedSocket, str] | tuple[None, None]:
        budget = min(monotonic() + self.connect_timeout, exchange.deadline)
        for address, seconds in _shares(addresses[:_MOST_ADDRESSES_TRIED], budget):
            connected = _connect(address, seconds)
            if connected is not None:
                return connected, address.ip
        return None, None

    def _open_tunnel(self, exchange: Exchange, proxy: EgressProxy) -> TimedSocket:
        self.guard.check_proxied(exchange.origin)
        try:
            addresses = literal(proxy.origin) or self._answer(proxy.origin, exchange)
        except (OSError, UnicodeError):
            raise proxy_failure("could not be looked up") from None
        began = monotonic()
        connected, _ = self._open_any(addresses, exchange)
        if connected is None:
            raise proxy_failure("could not be reached")
        try:
            connected.sendall(proxy.request_for(exchange.origin))
            check_tunnel(partial(_receive, connected))
        except OSError:
            connected.close()
            raise proxy_failure("broke the connection") from None
        except Undelivered:
            connected.close()
            raise
        exchange.connect_seconds, exchange.answered_at = monotonic() - began, None
        return connected

    def _allowed_addresses(self, exchange: Exchange) -> Answer:
        origin = exchange.origin
        addresses = literal(origin) or self._resolved(exchange)
        self.guard.check_addresses(origin, addresses)
        return addresses

    def _resolved(self, exchange: Exchange) -> Answer:
        origin = exchange.origin
        self.guard.check_name(origin)
        try:
            return self._answer(origin, exchange)
        except (OSError, UnicodeError) as error:
            raise not_looked_up(error) from None

    def _answer(self, origin: Origin, exchange: Exchange) -> Answer:
        timeout = min(self.resolve_timeout, exchange.remaining())
        began = monotonic()
        answer = self.lookup.resolve(origin.host, origin.port, timeout=timeout)
        exchange.dns_seconds = monotonic() - began
        return answer


def _receive(connected: TimedSocket, count: int) -> bytes:
    buffer = bytearray(count)
    return bytes(buffer[: connected.recv_into(buffer)])


def _shares(addresses: Answer, budget: float) -> Iterator[tuple[SocketAddress, float]]:
    """Yield each address with its fair share of the time left, so that a dead one leaves some."""
    for tried, address in enumerate(addresses):
        left = budget - monotonic()
        if left > 0:
            yield address, left / (len(addresses) - tried)


def _connect(address: SocketAddress, seconds: float) -> TimedSocket | None:
    try:
        opened = TimedSocket(address.family, socket.SOCK_STREAM)
    except OSError:  # this machine has no IPv6
        return None
    try:
        opened.limit(seconds)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.connect(address.sockaddr)
    except OSError:
        opened.close()
        return None
    return opened
