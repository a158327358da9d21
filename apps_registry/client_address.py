"""The caller's address, behind as many proxies as the operator trusts."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str | None:
    """Return the caller's address, or None if it is missing or malformed.

    Each trusted proxy appends the address that it saw. Anything further left can be forged.
    """
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    count = settings.TRUSTED_PROXY_COUNT
    address = hops[-count].strip() if 0 < count <= len(hops) else request.META.get("REMOTE_ADDR")
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    # A dual-stack socket shows every IPv4 caller inside one IPv6 network: rate limits, which count
    # by network, would treat them all as one caller.
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
