"""Judges every address of a destination, for whichever transport connects to it.

One forbidden address rejects the whole name: mixed answers are a DNS-rebinding probe.
"""

import logging
import socket
from dataclasses import dataclass, replace

from postbacks.delivery.http.destinations import Destinations, is_internal_name
from postbacks.delivery.http.dns import Answer, SocketAddress
from postbacks.delivery.http.request_guard import Origin, origin_of
from postbacks.delivery.http.response import Reply, TransportFailure, Undelivered

logger = logging.getLogger(__name__)

_NO_ADDRESS = "The partner's host name has no address."


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Raises Undelivered (blocked) for what may not be connected to, and logs the reason."""

    destinations: Destinations

    def check_name(self, origin: Origin) -> None:
        """Check that the origin's host, a name, may be looked up."""
        refusal = self.destinations.refuse_name(origin.host)
        if refusal is not None:
            raise blocked(origin, refusal)

    def check_addresses(self, origin: Origin, addresses: Answer) -> None:
        """Check all that a look-up answered."""
        refusal = next(filter(None, map(self.refuse, addresses)), None)
        if refusal is not None:
            raise blocked(origin, refusal)

    def check_proxied(self, origin: Origin) -> None:
        """Check all that can be known of a destination whose name a proxy looks up."""
        if addresses := literal(origin):
            self.check_addresses(origin, addresses)
            return
        self.check_name(origin)
        if not is_internal_name(origin.host):
            refusal = self.destinations.refuse_port(origin.port)
            if refusal is not None:
                raise blocked(origin, refusal)

    def refuse(self, address: SocketAddress) -> str | None:
        """Return why this address may not be connected to, None when it may."""
        reason = self.destinations.refuse(address.ip)
        return reason or self.destinations.refuse_port(address.sockaddr[1], address.ip)


def literal(origin: Origin) -> Answer:
    """Return the address that the origin's host is, nothing when it is a name."""
    address = origin.address
    if address is None:
        return ()
    if address.version == 4:
        return (SocketAddress(socket.AF_INET, (origin.host, origin.port)),)
    return (SocketAddress(socket.AF_INET6, (origin.host, origin.port, 0, 0)),)


def blocked(origin: Origin, reason: str) -> Undelivered:
    # The reason is for the operator. The author of the URL could map the network behind us by it.
    logger.warning("Refused to connect to %s port %d: %s", origin.host, origin.port, reason)
    return Undelivered(TransportFailure.BLOCKED, "This destination is not allowed.")


def not_looked_up(error: BaseException) -> Undelivered:
    """Return the failure for what a look-up raised."""
    if isinstance(error, TimeoutError):
        detail = "The partner's host name could not be looked up in time."
    else:
        detail = _NO_ADDRESS
    return Undelivered(TransportFailure.DNS, detail)


def told_to_authors(reply: Reply, url: str) -> Reply:
    """Return the reply as the author of the URL sees it.

    A name that leads where we may not go is answered like one without an address: by the
    difference they could find out which names the network behind us has.
    """
    if reply.error is TransportFailure.BLOCKED and origin_of(url).address is None:
        reply = replace(reply, error=TransportFailure.DNS, detail=_NO_ADDRESS)
    return replace(reply, timings=None) if reply.error is TransportFailure.DNS else reply


def no_connection() -> Undelivered:
    return Undelivered(
        TransportFailure.CONNECT, "No connection could be made to the partner's server."
    )


def out_of_time() -> Undelivered:
    return Undelivered(TransportFailure.TIMEOUT, "The partner did not answer completely in time.")


def too_long() -> Undelivered:
    return Undelivered(TransportFailure.PROTOCOL, "The partner's answer is far too long.")
