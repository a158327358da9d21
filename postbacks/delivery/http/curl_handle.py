"""One libcurl handle: a request put into libcurl's options, its answer taken in small portions."""

import socket
from collections import deque
from dataclasses import dataclass, field
from time import monotonic

import pycurl

from postbacks.delivery.http.address_guard import (
    AddressGuard,
    blocked,
    no_connection,
    too_long,
)
from postbacks.delivery.http.curl_failures import failure_of_code
from postbacks.delivery.http.dns import Answer, SocketAddress
from postbacks.delivery.http.egress_proxy import EgressProxy, proxy_failure
from postbacks.delivery.http.head_lines import NO_HEAD, head_of, header_lines, is_chunked
from postbacks.delivery.http.request_guard import Origin, target_of
from postbacks.delivery.http.response import (
    MOST_BODY,
    MOST_WIRE_BYTES,
    Reply,
    TransportFailure,
    Undelivered,
    broken,
    inflated,
    joined_chunks,
    seconds_to_wait,
)
from postbacks.delivery.http.transport import Done
from postbacks.values.outgoing_request import OutgoingRequest
from postbacks.values.request_timings import pack

_CurlAddress = tuple[int, int, int, tuple[str, int] | tuple[str, int, int, int]]

_NO_SOCKET: int = pycurl.SOCKET_BAD
_GO_ON: int = pycurl.PREREQFUNC_OK
_STOP: int = pycurl.PREREQFUNC_ABORT
_NEVER = 3_600_000
_SUPPRESS_CONNECT_HEADERS = 265  # libcurl's number: pycurl has no name for it
_WITHOUT_LENGTH = frozenset({"GET", "HEAD", "DELETE", "TRACE", "OPTIONS", "CONNECT"})
_NOWHERE = Origin("", "", 0)


@dataclass(slots=True)
class CurlHost:
    """What one host has open, and what waits until it may have more."""

    open_requests: int = 0
    held_back: "deque[CurlExchange]" = field(default_factory=deque)


@dataclass(slots=True, eq=False)
class CurlExchange:
    """A request under way, from its first try to its reply."""

    request: OutgoingRequest
    done: Done
    timeout: float
    started: float
    deadline: float = 0.0
    origin: Origin = _NOWHERE
    addresses: Answer = ()  # judged: without any it may not open a connection
    fresh_only: bool = False
    is_looking_up: bool = False
    is_open: bool = True
    tries: int = 0
    peer: str | None = None
    asked_at: float | None = None  # for the addresses of its name
    dns_seconds: float | None = None
    handle: "CurlHandle | None" = None
    host: CurlHost | None = None


class _HandedOver(socket.socket):
    """A socket of which pycurl keeps a copy of the descriptor, and leaves this one to be closed."""

    def __del__(self) -> None:
        self.close()


@dataclass(slots=True, eq=False)
class CurlHandle:
    """A handle that serves one exchange after another. All of it runs in the transport's thread."""

    guard: AddressGuard
    proxy: EgressProxy | None = None
    curl: pycurl.Curl = field(default_factory=pycurl.Curl)
    exchange: CurlExchange | None = None
    has_opened: bool = False  # a socket, during this try
    has_begun: bool = False  # to send the request
    _origin: Origin = _NOWHERE  # as the options have it, like the next four
    _method: str = ""  # of a request without a body
    _milliseconds: int = 0
    _is_fresh_only: bool = False
    _is_pinned: bool = False
    _lines: list[bytes] = field(default_factory=list)  # of all heads, interim ones included
    _body: bytearray = field(default_factory=bytearray)  # with the frames of its chunks
    _most_body: int = MOST_BODY
    _stopped_by: Undelivered | None = None
    _is_stale: bool = False
    _is_cut: bool = False

    def set_up(self, *, ca_file: str, idle_seconds: float) -> None:
        """Set what is the same for every request."""
        set_option = self.curl.setopt
        set_option(pycurl.NOSIGNAL, 1)
        self._set_proxy(ca_file)
        set_option(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        set_option(pycurl.FOLLOWLOCATION, 0)
        set_option(pycurl.NETRC, pycurl.NETRC_IGNORED)
        set_option(pycurl.PATH_AS_IS, 1)
        set_option(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        set_option(pycurl.HTTP09_ALLOWED, 0)
        # Chunks come as they are: libcurl takes their extensions, however long, for nothing.
        set_option(pycurl.HTTP_TRANSFER_DECODING, 0)
        set_option(pycurl.USERAGENT, "Postbacks")  # unless the request has another
        set_option(pycurl.SSL_VERIFYPEER, 1)
        set_option(pycurl.SSL_VERIFYHOST, 2)
        set_option(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        set_option(pycurl.CAINFO, ca_file)
        set_option(pycurl.CONNECTTIMEOUT_MS, _NEVER)  # the transport looks after that
        set_option(pycurl.MAXAGE_CONN, max(1, round(idle_seconds)))
        # libcurl bounds them; read together when the answer has ended, most are alike.
        set_option(pycurl.HEADERFUNCTION, self._lines.append)
        set_option(pycurl.WRITEFUNCTION, self._take_body)
        set_option(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        set_option(pycurl.PREREQFUNCTION, self._begin_request)

    def _set_proxy(self, ca_file: str) -> None:
        """Set the operator's proxy, or none at all: not even one that the environment names."""
        set_option = self.curl.setopt
        if self.proxy is None:
            set_option(pycurl.PROXY, "")
            set_option(pycurl.NOPROXY, "*")
            return
        set_option(pycurl.PROXY, self.proxy.url)
        set_option(pycurl.NOPROXY, "")
        set_option(pycurl.HTTPPROXYTUNNEL, 1)
        set_option(_SUPPRESS_CONNECT_HEADERS, 1)
        set_option(pycurl.PROXY_CAINFO, ca_file)
        set_option(pycurl.PROXY_SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        if self.proxy.user:
            set_option(pycurl.PROXYUSERNAME, self.proxy.user)
            set_option(pycurl.PROXYPASSWORD, self.proxy.password)

    def begin(self, exchange: CurlExchange, pins: list[str]) -> None:
        """Prepare the next try of an exchange; `pins` are its name's addresses for libcurl."""
        self.exchange = exchange
        self.has_opened = self.has_begun = self._is_stale = self._is_cut = False
        self._stopped_by = None
        self._lines.clear()
        self._body = bytearray()
        self._most_body = MOST_BODY
        exchange.tries += 1
        self._set_request(exchange)
        set_option = self.curl.setopt
        left = max(1, round((exchange.deadline - monotonic()) * 1000))
        if left != self._milliseconds:
            self._milliseconds = left
            set_option(pycurl.TIMEOUT_MS, left)
        if exchange.fresh_only != self._is_fresh_only:
            self._is_fresh_only = exchange.fresh_only
            set_option(pycurl.FRESH_CONNECT, int(exchange.fresh_only))
        if pins:
            set_option(pycurl.RESOLVE, pins)
        elif self._is_pinned:
            self.curl.unsetopt(pycurl.RESOLVE)
        self._is_pinned = bool(pins)

    def reply(self, code: int, message: str) -> Reply | None:
        """Return the reply that a try ended with, None if the exchange must be tried anew.

        That is on a connection of its own, which it had no right to open yet.
        """
        exchange = self.exchange
        assert exchange is not None  # noqa: S101
        if code == pycurl.E_OK or self._is_cut:
            # Its head is complete, also where the partner hung up instead of an empty line.
            return self._answer(exchange, is_ended=True)
        if self._stopped_by is not None:
            return self._answer(exchange, error=self._stopped_by)
        if self._is_stale or (code == pycurl.E_COULDNT_CONNECT and not exchange.addresses):
            exchange.fresh_only = exchange.fresh_only or self.has_begun
            return None
        if self.proxy is None and exchange.peer is None and self.is_connected():
            exchange.peer = self.curl.getinfo(pycurl.PRIMARY_IP) or None
        failure = self._proxy_failure(code) or failure_of_code(code, message, exchange.origin)
        return self._answer(exchange, error=failure)

    def end(self) -> None:
        """Forget the exchange, and with it what it sent and received."""
        self.exchange = None
        self._lines.clear()
        self._body = bytearray()
        if self._method != "GET":
            self._method = ""
            self.curl.setopt(pycurl.POSTFIELDS, b"")
            self.curl.setopt(pycurl.HTTPGET, 1)

    def no_connection(self) -> Undelivered:
        """Return the failure of a try that could not connect in time."""
        return no_connection() if self.proxy is None else proxy_failure("could not be reached")

    def is_connected(self) -> bool:
        return self.has_begun or self.curl.getinfo(pycurl.CONNECT_TIME) > 0

    def _set_request(self, exchange: CurlExchange) -> None:
        request, set_option = exchange.request, self.curl.setopt
        target = target_of(request.url)
        if exchange.origin != self._origin:
            self._origin = exchange.origin
            set_option(pycurl.URL, f"{self._origin.scheme}://{self._origin.authority}/")
        set_option(pycurl.REQUEST_TARGET, target)
        body = request.body
        if body is None and request.method not in _WITHOUT_LENGTH:
            body = b""
        set_option(pycurl.HTTPHEADER, header_lines(request.headers, has_body=body is not None))
        if body is None and request.method == self._method == "GET":
            return  # most of all requests, and all is set for them
        set_option(pycurl.CUSTOMREQUEST, request.method)
        if body is not None:
            self._method = ""
            set_option(pycurl.POSTFIELDS, body)
        elif request.method == "HEAD":
            self._method = ""
            set_option(pycurl.NOBODY, 1)
        else:
            self._method = request.method
            set_option(pycurl.HTTPGET, 1)

    def _proxy_failure(self, code: int) -> Undelivered | None:
        if self.proxy is None or self.has_begun:
            return None
        status = self.curl.getinfo(pycurl.HTTP_CONNECTCODE)
        if status >= 300:
            return proxy_failure(f"answered {status}")
        if not self.is_connected():
            return proxy_failure("could not be reached")
        if status == 0 and code != pycurl.E_OPERATION_TIMEDOUT:
            return proxy_failure("broke the connection")
        return None

    def _open_socket(self, _purpose: int, address: _CurlAddress) -> socket.socket | int:
        exchange = self.exchange
        if exchange is None or not exchange.addresses:
            return _NO_SOCKET
        family, kind, protocol, sockaddr = address
        refusal = self._refuse(exchange, SocketAddress(family, sockaddr))
        if refusal is not None:
            self._stopped_by = blocked(exchange.origin, refusal)
            return _NO_SOCKET
        try:
            opened = _HandedOver(family, kind, protocol)
        except OSError:  # this machine has no IPv6, or no descriptor is left
            return _NO_SOCKET
        self.has_opened = True
        return opened

    def _refuse(self, exchange: CurlExchange, address: SocketAddress) -> str | None:
        if self.proxy is None:
            return self.guard.refuse(address)
        is_proxy = any(address.ip == allowed.ip for allowed in exchange.addresses)
        return None if is_proxy else f"{address.ip} is not the egress proxy."

    def _begin_request(self, peer: str, *_addresses: object) -> int:
        """Have a request sent on a connection; libcurl sends it again if that was stale.

        Once at most, and on a fresh one: each further stale connection could deliver it again.
        """
        if self.has_begun and not self.has_opened:
            self._is_stale = True
            return _STOP
        self.has_begun = True
        if self.exchange is not None and self.proxy is None:
            self.exchange.peer = peer
        return _GO_ON

    def _take_body(self, portion: bytes) -> int | None:
        self._body += portion
        # One byte more than is kept tells whether there is more.
        if len(self._body) <= self._most_body:
            return None
        if not is_chunked(self._lines):
            self._is_cut = True
            return -1
        if len(joined_chunks(self._body, MOST_BODY + 1)) > MOST_BODY:
            self._is_cut = True
            return -1
        self._most_body *= 2  # so that the chunks are not joined again and again
        if len(self._body) > MOST_WIRE_BYTES:
            self._stopped_by = too_long()
            return -1
        return None

    def _answer(
        self, exchange: CurlExchange, *, is_ended: bool = False, error: Undelivered | None = None
    ) -> Reply:
        """Return what has come, which is nothing before the end of the head."""
        head = head_of(self._lines)
        if head.is_wrong:  # whatever libcurl made of it, such as a wait for more
            head, error = NO_HEAD, broken(TransportFailure.PROTOCOL)
        elif not (is_ended or head.is_complete):
            head = NO_HEAD
        merged = head.merged
        body, more = bytes(self._body[:MOST_BODY]), False
        if body and "transfer-encoding" in merged and is_chunked(self._lines):
            body = joined_chunks(self._body, MOST_BODY)
        if body and "content-encoding" in merged:
            body, more = inflated(body, merged["content-encoding"][1])
        retry_after = None
        if "retry-after" in merged:
            retry_after = seconds_to_wait(merged["retry-after"][1])
        elapsed = monotonic() - exchange.started
        return Reply(
            status_code=head.status,
            headers=head.headers,
            body=body,
            truncated=more or self._is_cut,
            error=error.failure if error else None,
            detail=error.detail if error else "",
            duration_ms=round(elapsed * 1000),
            timings=self._timings(exchange, elapsed, has_answer=head.status is not None),
            peer=exchange.peer,
            retry_after=retry_after,
        )

    def _timings(self, exchange: CurlExchange, elapsed: float, *, has_answer: bool) -> int:
        """Return when what happened; libcurl counts from the beginning of the last try."""
        get = self.curl.getinfo
        first_byte = None
        if has_answer:
            first_byte = elapsed - (get(pycurl.TOTAL_TIME) - get(pycurl.STARTTRANSFER_TIME))
        if not self.has_opened:
            return pack(dns=exchange.dns_seconds, first_byte=first_byte)
        connected, secured = get(pycurl.CONNECT_TIME), get(pycurl.APPCONNECT_TIME)
        return pack(
            dns=exchange.dns_seconds,
            connect=connected or None,
            tls=secured - connected if secured else None,
            first_byte=first_byte,
        )


def milliseconds_since(moment: float) -> int:
    return round((monotonic() - moment) * 1000)
