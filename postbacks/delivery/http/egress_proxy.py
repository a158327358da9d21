"""The proxy that everything may have to leave through, where an operator has one.

Each connection is a tunnel (CONNECT), so that what the proxy answers is never taken for the
partner's answer. It looks names up itself and must judge their addresses itself: a pinned address
can't reach it. What fails in it is not the partner's fault.
"""

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from postbacks.delivery.http.request_guard import Origin, origin_of
from postbacks.delivery.http.response import TransportFailure, Undelivered

_LONGEST_ANSWER = 64 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?:[^0-9]|$)")


@dataclass(frozen=True, slots=True)
class EgressProxy:
    """Where the proxy is. `user` and `password` are empty where it asks for none."""

    origin: Origin
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """Return the proxy's address without its password."""
        return f"{self.origin.scheme}://{self.origin.authority}"

    def request_for(self, origin: Origin) -> bytes:
        """Return the request to open a tunnel to an origin."""
        lines = [f"CONNECT {origin.authority} HTTP/1.1", f"Host: {origin.authority}"]
        if self.user:
            pair = b64encode(f"{self.user}:{self.password}".encode()).decode()
            lines.append(f"Proxy-Authorization: Basic {pair}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")


def parse_proxy(value: str) -> EgressProxy:
    """Return the proxy at a URL such as http://user:password@proxy.example:3128.

    Raises ValueError with a sentence that never repeats the URL, which may hold a password.
    """
    example = "write it as http://proxy.example:3128, with user:password@ before the host if needed"
    try:
        parts = urlsplit(value.strip())
        port = parts.port
    except ValueError:
        raise ValueError(f"it is not a URL; {example}.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"it is not a URL of a proxy; {example}.")
    if port is None:
        raise ValueError(f"it names no port; {example}.")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(f"a proxy has no path; {example}.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return EgressProxy(
        origin_of(f"{parts.scheme}://{host}:{port}"),
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


def check_tunnel(read: Callable[[int], bytes]) -> None:
    """Read the proxy's answer to a request for a tunnel, byte by byte: what follows is for TLS.

    Raises Undelivered unless the tunnel is open.
    """
    answer = bytearray()
    while not answer.endswith(b"\r\n\r\n"):
        portion = read(1)
        if not portion or len(answer) > _LONGEST_ANSWER:
            raise proxy_failure("did not answer")
        answer += portion
    status = _STATUS.match(answer)
    if status is None or not 200 <= int(status[1]) < 300:
        raise proxy_failure(f"answered {status[1].decode()}" if status else "did not answer")


def proxy_failure(what: str) -> Undelivered:
    """Return the failure of a proxy that "could not be reached" or the like."""
    return Undelivered(TransportFailure.PROXY, f"The egress proxy {what}.")
