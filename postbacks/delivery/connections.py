"""urllib3's connections, with our dialer in place of theirs."""

import logging
import ssl
from time import monotonic
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from postbacks.delivery.http.request_guard import Origin
from postbacks.delivery.http.sockets import CURRENT, TimedSocket, TimedTLSSocket


class GuardedConnection(HTTPConnection):
    """This is a kept-alive connection that only the guard can open."""

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
        """Begin a request, noting who is talked to."""
        if not self.is_closed:
            CURRENT.get().peer = self._peer
        self._used_at = monotonic()
        super().putrequest(method, url, skip_host, skip_accept_encoding)

    @property
    def is_connected(self) -> bool:
        """Return whether to send on it again; when not, urllib3 opens it anew.

        Routers forget idle connections without telling either end: a request on one would hang.
        """
        exchange = CURRENT.get()
        idle = monotonic() - self._used_at
        return not exchange.fresh_only and idle < exchange.idle_seconds and super().is_connected


class GuardedTLSConnection(GuardedConnection, HTTPSConnection):
    """This is the same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = GuardedConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = GuardedTLSConnection


class GuardedPools(PoolManager):
    """This keeps the connections of many hosts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def pool_for(self, origin: Origin) -> HTTPConnectionPool:
        """Return the connections of an origin.

        It is the whole key: everything else is the same for all of ours, and urllib3's own key of
        26 parts is dear to make for each request.
        """
        context = {
            **self.connection_pool_kw,
            "scheme": origin.scheme,
            "host": origin.host,
            "port": origin.port,
        }
        return self.connection_from_pool_key(origin, context)  # type: ignore[arg-type]  # any key


def tls_context(ca_file: str | None, roots: str) -> ssl.SSLContext:
    """Return a context that trusts `roots` and the operator's own `ca_file`; TLS 1.2 or later.

    One for all connections: reading some 140 certificates for each costs more than its handshake.
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
