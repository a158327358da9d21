"""The stand-in ad network of the demo: a real HTTP server in its own process, on loopback.

`python -m postbacks.demo.partner.server --port 8100 --data FOLDER` accepts any method and path,
responds as the first path segment says (see `behavior`) and records every request that it answers
with 200. It prints its port as the first line, so that `--port 0` can be used.
"""

import argparse
import json
import signal
import socket
import socketserver
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qs

from postbacks.demo.partner.behavior import PartnerBehavior
from postbacks.demo.partner.ledger import Ledger, LedgerInUseError, ReceivedRequest

_HOST = "127.0.0.1"
_PAGES = ("/received", "/received/keys", "/healthz")
_DEFAULT_LIMIT = 1000
_KEPT_BODY = 64 * 1024
_CHUNK = 64 * 1024
_OK = b'{"status":"ok"}'
_REFUSED = b'{"status":"error"}'
_ANSWERS = {
    HTTPStatus.OK: _OK,
    HTTPStatus.NOT_FOUND: b'{"status":"error","message":"This transaction is not known here."}',
    HTTPStatus.TOO_MANY_REQUESTS: b'{"status":"error","message":"Too fast, try again later."}',
    HTTPStatus.INTERNAL_SERVER_ERROR: b'{"status":"error","message":"Something broke here."}',
}


class PartnerServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """This is the server: one thread per connection, and the state that the threads share."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, folder: Path) -> None:
        """Bind the port (0: any free one) and open the ledger; raises OSError, LedgerInUseError."""
        super().__init__((_HOST, port), _Conversation)
        try:
            self.ledger = Ledger(folder)
        except BaseException:
            self.server_close()
            raise
        self.temper = PartnerBehavior()
        self._answered: Counter[int] = Counter()
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    def count(self, status: HTTPStatus) -> None:
        """Count one answer to a postback."""
        with self._lock:
            self._answered[int(status)] += 1

    def answered(self) -> dict[str, int]:
        """Return how often each status was answered since this process started."""
        with self._lock:
            return {str(status): times for status, times in sorted(self._answered.items())}

    def handle_error(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Report what went wrong, but not that a client went away: killed workers do that."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Conversation(BaseHTTPRequestHandler):
    """This is one kept connection; every answer leaves in one write, without waiting for more."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: PartnerServer

    def handle_one_request(self) -> None:
        """Answer one request, whatever its method; the base class wants a method for each."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            self._respond()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Say nothing: the ledger is the log."""

    def _respond(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True  # where this request ends can't be told
            self._answer(HTTPStatus.LENGTH_REQUIRED, _REFUSED)
            return
        body = self._drain(int(length))
        path, _, query = self.path.partition("?")
        if self.command == "GET" and path.rstrip("/") in _PAGES:
            self._show(path.rstrip("/"), query)
        else:
            self._take(path, query, body)

    def _take(self, path: str, query: str, body: bytes) -> None:
        """Take a postback: record it if it is accepted, and only then answer."""
        key = self.headers.get("Idempotency-Key", "")
        ledger = self.server.ledger
        status = self.server.temper.react(path, key, accepted_before=ledger.has(key))
        if status is HTTPStatus.OK:
            text = body.decode(errors="replace")
            headers = dict(self.headers.items())
            ledger.accept(ReceivedRequest(key, self.command, path, query, headers, text))
        self.server.count(status)
        self._answer(status, _ANSWERS[status])

    def _show(self, path: str, query: str) -> None:
        """Show what was accepted, to people and to whoever compares."""
        if path == "/healthz":
            self._answer(HTTPStatus.OK, _OK)
        elif path == "/received/keys":
            keys = self.server.ledger.times_accepted()
            self._answer(HTTPStatus.OK, json.dumps({"keys": keys}).encode())
        else:
            self._list(parse_qs(query))

    def _list(self, asked: dict[str, list[str]]) -> None:
        limit = asked.get("limit", [str(_DEFAULT_LIMIT)])[-1]
        if not limit.isdecimal():
            self._answer(HTTPStatus.BAD_REQUEST, _REFUSED)
            return
        key = asked.get("idempotency_key", [None])[-1]
        times = self.server.ledger.times_accepted()
        counts = {
            "accepted": len(times),
            "received_twice": sum(1 for count in times.values() if count > 1),
            "answered": self.server.answered(),
        }
        requests = b",".join(self.server.ledger.newest(int(limit), key=key))
        # The lines are JSON already; parsing thousands of them to write them again would be slow.
        head = json.dumps(counts).encode().removesuffix(b"}")
        self._answer(HTTPStatus.OK, head + b', "requests": [' + requests + b"]}")

    def _drain(self, left: int) -> bytes:
        """Read the body to its end, or the next request would start inside it; keep its start."""
        kept = b""
        while left > 0 and (chunk := self.rfile.read(min(left, _CHUNK))):
            left -= len(chunk)
            kept += chunk[: _KEPT_BODY - len(kept)]
        return kept

    def _answer(self, status: HTTPStatus, body: bytes) -> None:
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
    """Serve until SIGTERM or Ctrl-C; a taken port or folder ends it with one line."""
    parser = argparse.ArgumentParser(prog="postbacks.demo.partner.server", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1; 0: any free")
    parser.add_argument("--data", type=Path, required=True, help="folder that keeps what it got")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    try:
        partner = PartnerServer(options.port, options.data)
    except (OSError, OverflowError) as error:
        sys.exit(f"The stand-in ad network can't use port {options.port} or its folder: {error}")
    except LedgerInUseError:
        sys.exit(f"Another stand-in ad network already uses {options.data}.")
    sys.stdout.write(f"{partner.port}\n")
    sys.stdout.flush()
    partner.serve_forever(poll_interval=60)


def _leave(number: int, frame: object) -> NoReturn:
    """Leave at once; the threads are daemons, and what they answered is recorded."""
    sys.exit(0)


if __name__ == "__main__":
    main()
