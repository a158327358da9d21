"""The stand-in ad network of the demo: a real HTTP server in its own process, on loopback.

`python -m postbacks.demo.partner.server --port 8100 --data FOLDER` accepts any method and path,
responds as the first path segment says (see `BEHAVIORS`) and records every request that it answers
with 200. The idempotency key decides, so that every run and every retry gives the same result. It
prints its port as the first line, so that `--port 0` can be used.
"""

import argparse
import hashlib
import json
import signal
import socket
import socketserver
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qs

from postbacks.demo.partner.ledger import Ledger, LedgerInUseError, ReceivedRequest

_SERVER_ERROR_SHARE = 0.04
_RATE_LIMIT_SHARE = 0.03
_NOT_FOUND_SHARE = 0.12
_SLOW_SHARE = 0.05
_MIN_DELAY = 0.150
_MAX_DELAY = 0.400

_HOST = "127.0.0.1"
_PAGES = ("/received", "/received/keys", "/healthz")
_DEFAULT_LIMIT = 1000
_MAX_STORED_BODY = 64 * 1024
_CHUNK_BYTES = 64 * 1024
_OK = b'{"status":"ok"}'
_REFUSED = b'{"status":"error"}'
_ANSWERS = {
    HTTPStatus.OK: _OK,
    HTTPStatus.NOT_FOUND: b'{"status":"error","message":"This transaction is not known here."}',
    HTTPStatus.TOO_MANY_REQUESTS: b'{"status":"error","message":"Too fast, try again later."}',
    HTTPStatus.INTERNAL_SERVER_ERROR: b'{"status":"error","message":"Something broke here."}',
}


@dataclass(frozen=True, slots=True)
class PathBehavior:
    """The behavior of one path prefix; shares are of the idempotency keys, from 0 to 1."""

    server_errors: float = 0.0
    rate_limits: float = 0.0
    not_found: float = 0.0
    slow: float = 0.0


BEHAVIORS = {
    "ok": PathBehavior(),
    "flaky": PathBehavior(server_errors=_SERVER_ERROR_SHARE),
    "limited": PathBehavior(rate_limits=_RATE_LIMIT_SHARE),
    "slow": PathBehavior(slow=_SLOW_SHARE),
    "picky": PathBehavior(not_found=_NOT_FOUND_SHARE),
    "moody": PathBehavior(
        server_errors=_SERVER_ERROR_SHARE, rate_limits=_RATE_LIMIT_SHARE, slow=_SLOW_SHARE
    ),
}


class PartnerBehavior:
    """Decides each response; server errors and rate limits hit only the first try of a key."""

    def __init__(self) -> None:
        self._refused: set[str] = set()
        self._lock = threading.Lock()

    def respond(self, path: str, key: str, *, accepted_before: bool) -> HTTPStatus:
        """Return the status for a request, after the delay of its path.

        A request without a key is always accepted: its retry could not be recognized.
        """
        if not key:
            return HTTPStatus.OK
        behavior = behavior_of(path)
        if delay := response_delay(behavior, key):
            time.sleep(delay)
        status = first_status(behavior, key)
        if status in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            return status
        return HTTPStatus.OK if accepted_before or self._was_refused(key) else status

    def _was_refused(self, key: str) -> bool:
        """Return whether the key was refused before, and remember that it is now."""
        with self._lock:
            was_refused = key in self._refused
            self._refused.add(key)
        return was_refused


def behavior_of(path: str) -> PathBehavior:
    """Return the behavior that the path's first segment names, otherwise that of “ok”."""
    return BEHAVIORS.get(path.lstrip("/").partition("/")[0], BEHAVIORS["ok"])


def first_status(behavior: PathBehavior, key: str) -> HTTPStatus:
    point = _point(key, "verdict")
    for share, status in (
        (behavior.server_errors, HTTPStatus.INTERNAL_SERVER_ERROR),
        (behavior.rate_limits, HTTPStatus.TOO_MANY_REQUESTS),
        (behavior.not_found, HTTPStatus.NOT_FOUND),
    ):
        if point < share:
            return status
        point -= share
    return HTTPStatus.OK


def response_delay(behavior: PathBehavior, key: str) -> float:
    """Return the delay in seconds, 0 for most keys."""
    point = _point(key, "delay")
    if point >= behavior.slow:
        return 0.0
    return _MIN_DELAY + (_MAX_DELAY - _MIN_DELAY) * point / behavior.slow


def _point(key: str, purpose: str) -> float:
    """Hash the key to a number from 0 to 1, the same on every machine."""
    digest = hashlib.sha256(f"{purpose}:{key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


class PartnerServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """The server: one thread per connection, and the state that the threads share."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, folder: Path) -> None:
        """Bind the port (0: any free one) and open the ledger. Raises OSError, LedgerInUseError."""
        super().__init__((_HOST, port), _ConnectionHandler)
        try:
            self.ledger = Ledger(folder)
        except BaseException:
            self.server_close()
            raise
        self.behavior = PartnerBehavior()
        self._statuses: Counter[int] = Counter()
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def count(self, status: HTTPStatus) -> None:
        with self._lock:
            self._statuses[int(status)] += 1

    def answered(self) -> dict[str, int]:
        with self._lock:
            return {str(status): times for status, times in sorted(self._statuses.items())}

    def handle_error(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Report errors, except for clients that closed the connection, as killed workers do."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _ConnectionHandler(BaseHTTPRequestHandler):
    """Handles one kept connection; every response is sent in one write."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: PartnerServer

    def handle_one_request(self) -> None:
        """Handle a request of any method; the base class needs a handler for each."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            self._respond()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Log nothing: the ledger is the log."""

    def _respond(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True  # the end of this request is unknown
            self._send(HTTPStatus.LENGTH_REQUIRED, _REFUSED)
            return
        body = self._read_body(int(length))
        path, _, query = self.path.partition("?")
        if self.command == "GET" and path.rstrip("/") in _PAGES:
            self._show_page(path.rstrip("/"), query)
        else:
            self._receive(path, query, body)

    def _receive(self, path: str, query: str, body: bytes) -> None:
        """Respond to a postback, which is recorded first if it is accepted."""
        key = self.headers.get("Idempotency-Key", "")
        ledger = self.server.ledger
        status = self.server.behavior.respond(path, key, accepted_before=ledger.has(key))
        if status is HTTPStatus.OK:
            text = body.decode(errors="replace")
            headers = dict(self.headers.items())
            ledger.accept(ReceivedRequest(key, self.command, path, query, headers, text))
        self.server.count(status)
        self._send(status, _ANSWERS[status])

    def _show_page(self, path: str, query: str) -> None:
        if path == "/healthz":
            self._send(HTTPStatus.OK, _OK)
        elif path == "/received/keys":
            keys = self.server.ledger.times_accepted()
            self._send(HTTPStatus.OK, json.dumps({"keys": keys}).encode())
        else:
            self._list_requests(parse_qs(query))

    def _list_requests(self, parameters: dict[str, list[str]]) -> None:
        limit = parameters.get("limit", [str(_DEFAULT_LIMIT)])[-1]
        if not limit.isdecimal():
            self._send(HTTPStatus.BAD_REQUEST, _REFUSED)
            return
        key = parameters.get("idempotency_key", [None])[-1]
        times = self.server.ledger.times_accepted()
        counts = {
            "accepted": len(times),
            "received_twice": sum(1 for count in times.values() if count > 1),
            "answered": self.server.answered(),
        }
        requests = b",".join(self.server.ledger.newest(int(limit), key=key))
        # The lines are JSON already; parsing thousands of them only to write them again is slow.
        head = json.dumps(counts).encode().removesuffix(b"}")
        self._send(HTTPStatus.OK, head + b', "requests": [' + requests + b"]}")

    def _read_body(self, remaining: int) -> bytes:
        """Read the whole body, or the next request would start inside it; return its start."""
        body = b""
        while remaining > 0 and (chunk := self.rfile.read(min(remaining, _CHUNK_BYTES))):
            remaining -= len(chunk)
            body += chunk[: _MAX_STORED_BODY - len(body)]
        return body

    def _send(self, status: HTTPStatus, body: bytes) -> None:
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"Connection: {'close' if self.close_connection else 'keep-alive'}\r\n"
        )
        if status is HTTPStatus.TOO_MANY_REQUESTS:
            head += "Retry-After: 1\r\n"
        payload = b"" if self.command == "HEAD" else body
        self.wfile.write(head.encode() + b"\r\n" + payload)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C; a port or folder in use ends it with one line."""
    parser = argparse.ArgumentParser(prog="postbacks.demo.partner.server", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1; 0: any free")
    parser.add_argument("--data", type=Path, required=True, help="folder of the ledger")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    try:
        partner = PartnerServer(options.port, options.data)
    except (OSError, OverflowError) as error:
        sys.exit(f"The stand-in ad network can't use port {options.port} or its folder: {error}")
    except LedgerInUseError:
        sys.exit(f"Another stand-in ad network already uses {options.data}.")
    sys.stdout.write(f"{partner.port}\n")
    sys.stdout.flush()
    partner.serve_forever(poll_interval=60)


def _exit(number: int, frame: object) -> NoReturn:
    """Exit at once: the threads are daemons, and answered requests are recorded."""
    sys.exit(0)


if __name__ == "__main__":
    main()
