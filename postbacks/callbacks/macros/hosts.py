"""The hosts that a partner's credentials may be sent to."""

import re
from collections.abc import Collection
from typing import Final

# A name, an IPv4 address or a bracketed IPv6 address, and perhaps a port.
_PLAIN: Final = re.compile(
    r"(?P<host>[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE,
)
_HIGHEST_PORT: Final = 65_535


def split_host(text: str) -> tuple[str, int | None] | None:
    """Split "Ads.example.com:8443" into host and port; None if it is not a plain host."""
    match = _PLAIN.fullmatch(text)
    if match is None or ".." in text:
        return None
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 1 <= port <= _HIGHEST_PORT:
        return None
    return match["host"].lower(), port


def is_allowed(host: str, port: int, allowed_hosts: Collection[str]) -> bool:
    """Tell whether the list has a host, by its own name or by `*.example.com`.

    An entry without a port allows every port, one with a port allows only that one.
    """
    return any(_matches(host.lower(), port, entry.strip().lower()) for entry in allowed_hosts)


def _matches(host: str, port: int, entry: str) -> bool:
    wildcard = entry.startswith("*.")
    allowed = split_host(entry[2:] if wildcard else entry)
    if allowed is None:
        return False
    name, only_port = allowed
    if only_port is not None and only_port != port:
        return False
    return host.endswith(f".{name}") if wildcard else host == name
