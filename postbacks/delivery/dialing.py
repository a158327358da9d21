"""The guard proper: a name is looked up, every answer judged, and what was judged is connected to.

A check of the URL can't do this: names change their answers between check and connection, and
the system decodes more spellings of an address than any parser of ours.
"""

import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

from postbacks.delivery.http.destinations import Destinations
from postbacks.delivery.http.dns import Answer, Lookup, SocketAddress
from postbacks.delivery.http.request_guard import Origin
from postbacks.delivery.http.response import Failure, Undelivered
from postbacks.delivery.http.sockets import Exchange, TimedSocket

logger = logging.getLogger(__name__)

_MOST_ADDRESSES_TRIED = 6


@dataclass(frozen=True, slots=True)
class Dialer:
    """This opens connections to allowed destinations, and to nothing else."""

    destinations: Destinations
    lookup: Lookup
    resolve_timeout: float
    connect_timeout: float

    def open(self, exchange: Exchange) -> TimedSocket:
        """Return a socket connected to the exchange's origin.

        Raises Undelivered: a destination not allowed, a name without address, nobody there.
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
        raise Undelivered(Failure.CONNECT, "No connection could be made to the partner's server.")

    def _allowed_addresses(self, exchange: Exchange) -> Answer:
        origin = exchange.origin
        addresses = _literal(origin) or self._resolved(exchange)
        refused = next(filter(None, (self._refuse(found) for found in addresses)), None)
        # One bad answer refuses the name: who mixes them in is testing the guard.
        if refused is not None:
            raise _blocked(origin, refused)
        return addresses

    def _resolved(self, exchange: Exchange) -> Answer:
        origin = exchange.origin
        refused = self.destinations.refuse_name(origin.host)
        if refused is not None:
            raise _blocked(origin, refused)
        timeout = min(self.resolve_timeout, exchange.remaining())
        try:
            return self.lookup.resolve(origin.host, origin.port, timeout=timeout)
        except TimeoutError:
            detail = "The partner's host name could not be looked up in time."
        except (OSError, UnicodeError):
            detail = "The partner's host name has no address."
        raise Undelivered(Failure.DNS, detail)

    def _refuse(self, found: SocketAddress) -> str | None:
        reason = self.destinations.refuse(found.ip)
        return reason or self.destinations.refuse_port(found.sockaddr[1], found.ip)


def _literal(origin: Origin) -> Answer:
    address = origin.address
    if address is None:
        return ()
    if address.version == 4:
        return (SocketAddress(socket.AF_INET, (origin.host, origin.port)),)
    return (SocketAddress(socket.AF_INET6, (origin.host, origin.port, 0, 0)),)


def _blocked(origin: Origin, reason: str) -> Undelivered:
    # The reason is for the operator. Telling it to whoever wrote the URL would let them map the
    # network behind us.
    logger.warning("Refused to connect to %s port %d: %s", origin.host, origin.port, reason)
    return Undelivered(Failure.BLOCKED, "This destination is not allowed.")


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
