"""Sockets that hold one request's budget of time and bytes, and the guard that connects them.

A timeout given to requests is per socket operation, so a server that trickles one byte a second
is never late. Here every single read and write gets what is left of the whole request's time.
That needs no watchdog thread, and nothing can shut down a socket that already serves another.

The guard looks a name up, judges every address and connects to an address that it judged. A check
of the URL can't do this: names change their answers between check and connection, and the system
decodes more spellings of an address than any parser of ours.
"""

import logging
import socket
import ssl
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from postbacks.delivery.http.destinations import Destinations
from postbacks.delivery.http.dns import Answer, Lookup, SocketAddress
from postbacks.delivery.http.request_guard import Origin
from postbacks.delivery.http.response import TransportFailure, Undelivered

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

logger = logging.getLogger(__name__)

_MOST_ADDRESSES_TRIED = 6
# Status line, 64 headers of 8 KiB, and 64 KiB of body in chunks of one byte stay below it.
# Endless trailers, interim answers and chunk extensions, which no parser counts, don't.
MOST_WIRE_BYTES = 1024 * 1024
# Each change of a socket's timeout is a call into the system, in which all threads take turns.
_LATE_BY_AT_MOST = 0.02


@dataclass(slots=True)
class Exchange:
    """A request and its answer under way: where to, by when, and what has happened so far."""

    origin: Origin
    dialer: "Dialer"
    deadline: float
    idle_seconds: float
    fresh_only: bool = False
    opened: bool = False
    received: int = 0
    peer: str | None = None

    def remaining(self) -> float:
        """Return the seconds left. Raises Undelivered when there are none."""
        left = self.deadline - monotonic()
        if left <= 0:
            raise out_of_time()
        return left

    def count(self, received: int) -> None:
        """Count bytes of the answer. Raises Undelivered for an answer that never ends."""
        self.received += received
        if self.received > MOST_WIRE_BYTES:
            raise Undelivered(TransportFailure.PROTOCOL, "The partner's answer is far too long.")


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
        self.limit(CURRENT.get().remaining())
        try:
            super().do_handshake(block)
        except TimeoutError:
            raise out_of_time() from None
        except ssl.SSLCertVerificationError as error:
            detail = f"The partner's TLS certificate was refused: {error.verify_message}."
            raise Undelivered(TransportFailure.TLS, detail) from None
        except OSError:
            raise Undelivered(
                TransportFailure.TLS, "No TLS connection could be agreed on."
            ) from None


def out_of_time() -> Undelivered:
    return Undelivered(TransportFailure.TIMEOUT, "The partner did not answer completely in time.")


@dataclass(frozen=True, slots=True)
class Dialer:
    """Opens connections to allowed destinations, and to nothing else."""

    destinations: Destinations
    lookup: Lookup
    resolve_timeout: float
    connect_timeout: float

    def open(self, exchange: Exchange) -> TimedSocket:
        """Return a socket connected to the exchange's origin.

        Raises Undelivered for a forbidden destination, a name without address, no connection.
        """
        addresses = self._allowed_addresses(exchange)
        budget = min(monotonic() + self.connect_timeout, exchange.deadline)
        for address, seconds in _shares(addresses[:_MOST_ADDRESSES_TRIED], budget):
            connected = _connect(address, seconds)
            if connected is not None:
                exchange.opened = True
                exchange.peer = address.ip
                return connected
        exchange.remaining()
        raise Undelivered(
            TransportFailure.CONNECT, "No connection could be made to the partner's server."
        )

    def _allowed_addresses(self, exchange: Exchange) -> Answer:
        origin = exchange.origin
        addresses = _literal(origin) or self._resolved(exchange)
        refusal = next(filter(None, map(self._refuse, addresses)), None)
        # One forbidden address rejects the whole name: mixed answers are a DNS-rebinding probe.
        if refusal is not None:
            raise _blocked(origin, refusal)
        return addresses

    def _resolved(self, exchange: Exchange) -> Answer:
        origin = exchange.origin
        refusal = self.destinations.refuse_name(origin.host)
        if refusal is not None:
            raise _blocked(origin, refusal)
        timeout = min(self.resolve_timeout, exchange.remaining())
        try:
            return self.lookup.resolve(origin.host, origin.port, timeout=timeout)
        except TimeoutError:
            detail = "The partner's host name could not be looked up in time."
        except (OSError, UnicodeError):
            detail = "The partner's host name has no address."
        raise Undelivered(TransportFailure.DNS, detail)

    def _refuse(self, address: SocketAddress) -> str | None:
        reason = self.destinations.refuse(address.ip)
        return reason or self.destinations.refuse_port(address.sockaddr[1], address.ip)


def _literal(origin: Origin) -> Answer:
    address = origin.address
    if address is None:
        return ()
    if address.version == 4:
        return (SocketAddress(socket.AF_INET, (origin.host, origin.port)),)
    return (SocketAddress(socket.AF_INET6, (origin.host, origin.port, 0, 0)),)


def _blocked(origin: Origin, reason: str) -> Undelivered:
    # The reason is for the operator. The author of the URL could map the network behind us by it.
    logger.warning("Refused to connect to %s port %d: %s", origin.host, origin.port, reason)
    return Undelivered(TransportFailure.BLOCKED, "This destination is not allowed.")


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
