"""The transport by `requests`: one thread for each open request.

Below it are requests' adapter and urllib3's pools and connections, with our dialer in place of
theirs.
"""

import http.client
import logging
import ssl
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from time import monotonic
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import (
    BaseHTTPResponse,
    HTTPConnectionPool,
    HTTPResponse,
    HTTPSConnectionPool,
    PoolManager,
)
from urllib3.connection import HTTPConnection, HTTPSConnection

from postbacks.delivery.http.address_guard import AddressGuard, too_long
from postbacks.delivery.http.destinations import Destinations
from postbacks.delivery.http.dns import Lookup
from postbacks.delivery.http.egress_proxy import EgressProxy
from postbacks.delivery.http.request_guard import Origin, checked_origin, target_of
from postbacks.delivery.http.response import (
    INTERNAL_FAILURE,
    TROUBLE,
    Reply,
    TransportFailure,
    Undelivered,
    failed,
    failure_of,
    read,
)
from postbacks.delivery.http.sockets import CURRENT, Dialer, Exchange, TimedSocket, TimedTLSSocket
from postbacks.delivery.http.transport import Done, Transport
from postbacks.values.outgoing_request import OutgoingRequest
from postbacks.values.request_timings import pack

logger = logging.getLogger(__name__)

_THREADS = 48  # they wait for partners nearly all the time
_HOSTS_KEPT = 128
_IDLE_SECONDS = 60.0
_MOST_INTERIM_ANSWERS = 100  # other than 100 Continue


class RequestsTransport(Transport):
    """Sends each request in a thread; one transport per pump.

    `pool_size` connections are kept per host. `ca_file` names further certificate authorities to
    trust, beside the public ones. Times are in seconds.
    """

    capacity = _THREADS

    def __init__(
        self,
        destinations: Destinations,
        *,
        pool_size: int = 32,
        resolve_timeout: float = 3.0,
        connect_timeout: float = 3.0,
        ca_file: str | None = None,
        idle_seconds: float = _IDLE_SECONDS,
        proxy: EgressProxy | None = None,
    ) -> None:
        self._lookup = Lookup()
        self._dialer = Dialer(
            AddressGuard(destinations), self._lookup, resolve_timeout, connect_timeout, proxy
        )
        self._adapter = _Adapter(pool_size, ca_file)
        self._idle_seconds = idle_seconds
        self._threads = ThreadPoolExecutor(_THREADS, "request")

    def start(self, request: OutgoingRequest, *, timeout: float, done: Done) -> None:
        self._threads.submit(self._send_and_tell, request, timeout, done)

    def send(self, request: OutgoingRequest, *, timeout: float = 15.0) -> Reply:
        started = monotonic()
        try:
            origin = checked_origin(request)
        except Undelivered as undelivered:
            return Reply(error=undelivered.failure, detail=undelivered.detail)
        exchange = Exchange(
            origin, target_of(request.url), self._dialer, started + timeout, self._idle_seconds
        )
        token = CURRENT.set(exchange)
        try:
            reply = self._reply(_prepared(request), exchange)
        finally:
            CURRENT.reset(token)
        reply.duration_ms = round((monotonic() - started) * 1000)
        reply.timings = _timings(exchange, started)
        reply.peer = exchange.peer
        return reply

    def close(self) -> None:
        self._threads.shutdown()
        self._adapter.close()
        self._lookup.close()

    def _send_and_tell(self, request: OutgoingRequest, timeout: float, done: Done) -> None:
        try:
            reply = self.send(request, timeout=timeout)
        except Exception:
            logger.exception("A request broke")
            reply = INTERNAL_FAILURE
        done(reply)
        self.after_replies()

    def _reply(self, prepared: PreparedRequest, exchange: Exchange) -> Reply:
        try:
            answer = self._answer(prepared, exchange)
        except TROUBLE as error:
            return failed(Reply(), error)
        return read(answer)

    def _answer(self, prepared: PreparedRequest, exchange: Exchange) -> HTTPResponse:
        try:
            return self._adapter.answer(prepared)
        except TROUBLE as error:
            stale = not exchange.opened and not exchange.received
            if not stale or failure_of(error) is not TransportFailure.RESET:
                raise
        exchange.fresh_only = True
        return self._adapter.answer(prepared)


def _timings(exchange: Exchange, started: float) -> int:
    return pack(
        dns=exchange.dns_seconds,
        connect=exchange.connect_seconds,
        tls=exchange.tls_seconds,
        first_byte=None if exchange.answered_at is None else exchange.answered_at - started,
    )


def _prepared(request: OutgoingRequest) -> PreparedRequest:
    """Return the request without `prepare()`, which would rewrite the URL that was signed."""
    prepared = PreparedRequest()
    prepared.method = request.method
    prepared.url = request.url
    prepared.body = request.body
    prepared.headers = CaseInsensitiveDict({"User-Agent": "Postbacks", **request.headers})
    prepared.headers["Accept-Encoding"] = "identity"
    if request.body is not None:
        prepared.headers["Content-Length"] = str(len(request.body))
    return prepared


class _Adapter(HTTPAdapter):
    """requests' transport without its detours: no proxies, cookies or second URL parser.

    Without a Session nothing is read from the environment (proxies, netrc) and no redirect is
    followed; a Session would even read a redirect's whole body.
    """

    def __init__(self, pool_size: int, ca_file: str | None) -> None:
        self._tls_context = tls_context(ca_file, DEFAULT_CA_BUNDLE_PATH)
        super().__init__(_HOSTS_KEPT, pool_size)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **_options: object
    ) -> None:
        self.poolmanager = GuardedPools(
            num_pools=connections, maxsize=maxsize, block=block, ssl_context=self._tls_context
        )

    def answer(self, prepared: PreparedRequest) -> HTTPResponse:
        """Return the answer's head; its body is still on the wire."""
        raw = self.send(prepared, stream=True).raw
        assert isinstance(raw, HTTPResponse)  # noqa: S101  # narrows what the stubs call Any
        return raw

    def get_connection_with_tls_context(self, *_: object, **__: object) -> HTTPConnectionPool:
        pools: GuardedPools = self.poolmanager
        return pools.pool_for(CURRENT.get().origin)

    def cert_verify(self, *_: object) -> None:
        """Leave verification to the TLS context, which always verifies."""

    def request_url(self, _request: PreparedRequest, _proxies: object) -> str:
        return CURRENT.get().target

    def build_response(self, _request: PreparedRequest, answer: BaseHTTPResponse) -> Response:
        response = Response()
        response.raw = answer
        return response


class GuardedPools(PoolManager):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def pool_for(self, origin: Origin) -> HTTPConnectionPool:
        """Return the connections of an origin.

        The origin is the whole key: all other options are the same for all our requests, and
        urllib3's own key of 26 parts is expensive to make for each.
        """
        context = {
            **self.connection_pool_kw,
            "scheme": origin.scheme,
            "host": origin.host,
            "port": origin.port,
        }
        return self.connection_from_pool_key(origin, context)  # type: ignore[arg-type]  # any key


class FinalAnswer(http.client.HTTPResponse):
    """An answer that begins after all interim ones; http.client passes over 100 alone."""

    def begin(self) -> None:
        for _ in range(_MOST_INTERIM_ANSWERS):
            super().begin()
            if not 100 < self.status < 200 or self.status == HTTPStatus.SWITCHING_PROTOCOLS:
                return
            self.headers = self.msg = None  # type: ignore[assignment]  # as before it began
        raise too_long()


class GuardedConnection(HTTPConnection):
    """A kept-alive connection that only the guard can open."""

    response_class = FinalAnswer
    _peer: str | None = None
    _used_at: float = 0.0

    def _new_conn(self) -> TimedSocket:
        exchange = CURRENT.get()
        opened = exchange.dialer.open(exchange)
        self._peer = exchange.peer
        return opened

    def putrequest(
        self,
        method: str,
        url: str,
        skip_host: bool = False,
        skip_accept_encoding: bool = False,
    ) -> None:
        exchange = CURRENT.get()
        if not self.is_closed:
            exchange.peer = self._peer
        self._used_at = monotonic()
        # Not `url`: urllib3 has written its escapes in capitals.
        super().putrequest(method, exchange.target, skip_host, skip_accept_encoding)

    @property
    def is_connected(self) -> bool:
        """Tell whether to send on it again; if not, urllib3 opens it again.

        Routers drop idle connections without telling either end: a request on one would hang.
        """
        exchange = CURRENT.get()
        idle = monotonic() - self._used_at
        return not exchange.fresh_only and idle < exchange.idle_seconds and super().is_connected


class GuardedTLSConnection(GuardedConnection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = GuardedConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = GuardedTLSConnection


def tls_context(ca_file: str | None, roots: str) -> ssl.SSLContext:
    """Return a context that trusts `roots` and the operator's own `ca_file`; TLS 1.2 or later.

    All connections share it: reading some 140 certificates costs more than a handshake.
    """
    context = ssl.create_default_context(cafile=roots)
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = TimedTLSSocket
    return context


def _never(record: logging.LogRecord) -> bool:
    return False


# Both write whole URLs, and so the credentials in them, into the log.
for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).addFilter(_never)
