"""Where a request comes from, behind as many proxies as the operator says to trust."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str | None:
    """Return the caller's address, or None where there is none that can be read.

    Each trusted proxy appended the address that it saw; what stands further left anybody can write.
    """
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    count = settings.TRUSTED_PROXY_COUNT
    address = hops[-count].strip() if 0 < count <= len(hops) else request.META.get("REMOTE_ADDR")
    try:
        read = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    # A socket that takes both kinds shows all of IPv4 inside one network of IPv6, so that everybody
    # would share what rate limits leave to one caller.
    return str(getattr(read, "ipv4_mapped", None) or read)
