"""Reads IP addresses in the spellings that proxies, servers and networks send. Plain Python."""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import AF_INET, inet_pton
from typing import Final

# An address with a port, as Azure's gateways, IIS and HAProxy append it: 192.0.2.38:49153,
# [2001:db8::7]:8080. Brackets may stand alone; without them an IPv6 address has no port.
_WITH_PORT: Final = re.compile(r"\[([^\[\]]*)\](?::[0-9]*)?|([0-9.]+):[0-9]*")


@lru_cache(maxsize=1_000)  # a click's is asked for in several places
def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address; None if it is none.

    An IPv4 address inside IPv6 (`::ffff:192.0.2.38`) is an IPv4 address: dual-stack sockets show
    all of them inside one network. A zone (`%eth0`) means something on its own machine only.
    """
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def parse_forwarded_address(hop: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a proxy appended, with or without a port, quotes and brackets.

    None for `unknown` and for what else is no address.
    """
    text = hop.strip().strip('"').strip()
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2] or ""
    return parse_address(text)


def first_address(text: str) -> str:
    """Return the address that a network or server passed on as a proxy gave it; "" of none.

    The first of a list is the device's; a port, quotes and brackets are left out.
    """
    address = parse_forwarded_address(text.partition(",")[0])
    return "" if address is None else str(address)


def normalized_address(text: str) -> str:
    """Return an address as it was written, and an IPv4 address inside IPv6 as IPv4; "" of none."""
    if ":" not in text:  # for each event: in C, and as strict
        written = text.strip()
        try:
            inet_pton(AF_INET, written)
        except (OSError, ValueError):
            return ""
        return written
    address = parse_address(text)
    if address is None:
        return ""
    return str(address) if address.version == 4 else text.strip()
