"""The caller's address, behind as many proxies as the operator trusts."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest

from apps_registry.addresses import parse_forwarded_address


def client_address(request: HttpRequest) -> str | None:
    """Return the caller's address, or None if it is missing or malformed.

    Each trusted proxy appends the address that it saw. Anything further left can be forged.
    """
    count = settings.TRUSTED_PROXY_COUNT
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if count else []
    hop = hops[-count] if 0 < count <= len(hops) else request.META.get("REMOTE_ADDR")
    address = parse_forwarded_address(hop or "")
    return None if address is None else str(address)


def client_network(address: str | None) -> str:
    """Return the network of one caller: an IPv4 address, or the /64 of an IPv6 address."""
    return _network(address, 64)


def client_site(address: str | None) -> str:
    """Return what one caller may have at most: an IPv4 address, or the /48 of an IPv6 address.

    Providers give out networks of 48 to 64 bits. Many people share one of 48 at a carrier.
    """
    return _network(address, 48)


def _network(address: str | None, bits: int) -> str:
    if address is None or ":" not in address:
        return address or ""
    return str(ipaddress.ip_network((address, bits), strict=False))
