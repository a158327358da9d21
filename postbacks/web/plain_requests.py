"""Small requests of the usual form, read and answered without gunicorn's own objects.

What is unusual in any way is not read here but by gunicorn, which knows every form and refuses the
wrong ones: other versions, repeated fields, chunks, compressed or large bodies. What is read is
read as gunicorn reads it.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from gunicorn import SERVER
from gunicorn.config import Config
from gunicorn.http.message import HeaderPolicy
from gunicorn.http.wsgi import base_environ
from gunicorn.util import http_date

from postbacks.web.request_bodies import IS_WHOLE

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MOST_BYTES: Final = 8 * 1024  # of a head, and of a body
_PLAIN: Final = re.compile(
    rb"(GET|HEAD|POST) ((/(?!/)[!\"$->@-~]*|/)(?:\?([!\"$-~]*))?) HTTP/1\.1\r\n"
    rb"((?:[!#$%&'*+\-.^`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)+)\r\n"
)
_LENGTH: Final = re.compile(r"[0-9]{1,5}")
_CHUNKED: Final = "Transfer-Encoding: chunked\r\n"
_SINGLE: Final = {"CONTENT-TYPE": "CONTENT_TYPE", "CONTENT-LENGTH": "CONTENT_LENGTH"}
# Each has a meaning to the server itself, or makes a body more than it looks.
_UNUSUAL: Final = (
    "HTTP_CONTENT_ENCODING",
    "HTTP_EXPECT",
    "HTTP_TRANSFER_ENCODING",
    "HTTP_UPGRADE",
)


class _Trust(HeaderPolicy):  # type: ignore[misc]  # gunicorn is not typed
    """Whose word counts on how a request came to its proxy."""

    def __init__(self, cfg: Config, client: object) -> None:
        self.cfg = cfg
        self.peer_addr = client


class PlainReader:
    """Reads the requests of one connection."""

    def __init__(self, cfg: Config, client: Any, server: Any) -> None:
        schemes, _ = _Trust(cfg, client)._peer_trusted_for_forwarded()
        self._schemes: Mapping[str, str] = {
            "HTTP_" + name.replace("-", "_"): value for name, value in schemes.items()
        }
        limits = (cfg.limit_request_line, cfg.limit_request_field_size)
        self._most_bytes = min(limit or MOST_BYTES for limit in (MOST_BYTES, *limits))
        self._most_fields: int = cfg.limit_request_fields
        self._same: WSGIEnvironment = {
            **base_environ(cfg),
            "wsgi.multithread": True,
            "wsgi.url_scheme": "http",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SCRIPT_NAME": "",
            "REMOTE_ADDR": client[0],
            "REMOTE_PORT": str(client[1]),
            "SERVER_NAME": server[0],
            "SERVER_PORT": str(server[1]),
            IS_WHOLE: True,
        }
        self._last_head = b""
        self._last: WSGIEnvironment = {}

    def read(self, head: bytes, body: bytes) -> "WSGIEnvironment | None":
        """Return what WSGI says of a request that has come whole; None if it is unusual."""
        if head == self._last_head:  # a server's are alike but for lengths of bodies
            return {**self._last, "wsgi.input": BytesIO(body)}
        environ = self._read(head, body)
        if environ is not None:
            self._last_head, self._last = head, environ.copy()
        return environ

    def _read(self, head: bytes, body: bytes) -> "WSGIEnvironment | None":
        plain = _PLAIN.fullmatch(head) if len(head) <= self._most_bytes else None
        if plain is None or len(body) > MOST_BYTES:
            return None
        method, target, path, query, fields = plain.groups()
        environ = {
            **self._same,
            "REQUEST_METHOD": method.decode(),
            "RAW_URI": target.decode(),
            "PATH_INFO": (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"),
            "QUERY_STRING": query.decode() if query else "",
            "wsgi.input": BytesIO(body),
        }
        lines = fields.decode("latin-1").split("\r\n")
        expected = len(environ) + len(lines) - 1
        for line in lines[:-1]:
            name, _, value = line.partition(":")
            name = name.upper()
            environ[_SINGLE.get(name) or "HTTP_" + name.replace("-", "_")] = value.strip(" \t")
        if len(environ) != expected or len(lines) > self._most_fields:
            return None  # a field stands twice
        return environ if self._is_usual(environ) else None

    def _is_usual(self, environ: "WSGIEnvironment") -> bool:
        length = environ.get("CONTENT_LENGTH")
        if length is None:
            if environ["REQUEST_METHOD"] == "POST":
                return False
        elif not _LENGTH.fullmatch(length):
            return False
        for name in _UNUSUAL:
            if name in environ:
                return False
        schemes = [environ[name] == word for name, word in self._schemes.items() if name in environ]
        if schemes:
            if any(schemes) and not all(schemes):
                return False
            environ["wsgi.url_scheme"] = "https" if schemes[0] else "http"
        return environ.get("HTTP_CONNECTION", "close").lower() in {"close", "keep-alive"}


class PlainAnswer:
    """An answer as the application gives it, made into bytes at once."""

    def __init__(self, environ: "WSGIEnvironment", *, is_last: bool) -> None:
        self.is_last = is_last or environ.get("HTTP_CONNECTION", "").lower() == "close"
        self._is_head = environ["REQUEST_METHOD"] == "HEAD"
        self._status = ""
        self._fields = ""
        self._has_length = False

    def force_close(self) -> None:
        """Close the connection after this answer, as `closing_connections` asks for it."""
        self.is_last = True

    def start(
        self, status: str, headers: Iterable[tuple[str, str]], *_exception: Any
    ) -> Callable[[bytes], object]:
        """Take status and headers, as WSGI's `start_response`."""
        self._status = status
        self._fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
        self._has_length = "Content-Length: " in self._fields
        return _refuse_to_write

    def bytes_of(self, body: bytes) -> bytes:
        """Return the whole answer; without a length its body is a chunk, as gunicorn sends it."""
        is_chunk = not self._has_length and not self._is_head
        head = (
            f"HTTP/1.1 {self._status}\r\nServer: {SERVER}\r\nDate: {_date()}\r\n"
            f"Connection: {'close' if self.is_last else 'keep-alive'}\r\n"
            f"{_CHUNKED if is_chunk else ''}{self._fields}\r\n"
        ).encode("latin-1")
        if self._is_head:
            return head
        return head + (b"%X\r\n%b\r\n0\r\n\r\n" % (len(body), body) if is_chunk else body)


_dates: dict[int, str] = {}


def _date() -> str:
    """Return the time as HTTP writes it, made once a second."""
    now = int(time.time())
    date = _dates.get(now)
    if date is None:
        date = http_date(now)
        _dates.clear()
        _dates[now] = date
    return date


def _refuse_to_write(_piece: bytes) -> object:
    raise NotImplementedError("Django writes no answers past its iterables.")
