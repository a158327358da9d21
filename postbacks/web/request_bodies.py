"""Reads bodies that come without a Content-Length, and limits those with files.

Django believes CONTENT_LENGTH alone, and would take a body that comes chunked or by HTTP/2 for an
empty one: a purchase would be answered and lost. A server that marks its stream
`wsgi.input_terminated` ends it where the body ends, so that it can be read to its end. It is read
before any view, and so within bounds of size and time that hold for strangers too. Django's own
limit excludes files, and anybody may send some to the sign-in page.
"""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import Event, Timer
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final, Protocol, cast

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.core.handlers.wsgi import LimitedStream
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import get_resolver

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

IS_WHOLE: Final = (
    "postbacks.is_whole"  # in META, of a server that waits for requests outside threads
)
SECONDS: Final = 30  # in which a body without a length must have come
_PIECE: Final = 64 * 1024
_REST: Final = 20_000_000  # what is still read of a body that was refused
_REST_SECONDS: Final = 2.0
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class InputStream(Protocol):
    """A stream as WSGI servers give it."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end."""


class UnreadableBodyError(BadRequest):
    """The body of a request can't be read; `status` and `detail` are the answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class BodiesWithoutLength:
    """Gives views a body that came without a length as one that came with it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method not in _WITHOUT_BODY and _has_no_length(request.META):
            try:
                read_chunked_body(request)
            except (UnreadableBodyError, RequestDataTooBig) as error:
                # Not raised: with DEBUG, Django would answer programs a page for people.
                refuse: Callable[..., HttpResponseBase] = get_resolver().resolve_error_handler(400)
                return refuse(request, exception=error)
        return self.get_response(request)


class UnreadBodies:
    """Reads what a refused request still sends, so that its caller reads the answer.

    A server that hangs up on unread bytes resets the connection, often before the caller has read
    why it was refused. What is too much or too slow for that is left unread, and the answer says
    that the connection is closed.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        ends = request.META.get(IS_WHOLE) is not False
        if _is_unread(request) and not (ends and read_rest(request)):
            response.headers["Connection"] = "close"
        return response


def closing_connections(application: "WSGIApplication") -> "WSGIApplication":
    """Have the server close a connection whose answer says so.

    WSGI leaves connections to servers, and gunicorn drops the header: it is asked in its own way.
    """

    def closing(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(
            status: str, headers: list[tuple[str, str]], *exception: Any
        ) -> Callable[[bytes], object]:
            kept = [(name, value) for name, value in headers if name != "Connection"]
            close = getattr(getattr(start_response, "__self__", None), "force_close", None)
            if len(kept) < len(headers) and close is not None:
                close()
            return start_response(status, kept, *exception)

        return application(environ, start)

    return closing


def read_rest(request: HttpRequest, *, limit: int = _REST, seconds: float = _REST_SECONDS) -> bool:
    """Read and drop the rest of a body within a limit; tell whether it was all."""
    meta = request.META
    stream = _stream_of(request)
    expected = None if _has_no_length(meta) else _rest_of(request)
    ends_at = time.monotonic() + seconds
    read = 0
    with closed_for_reading_when_late(meta.get("gunicorn.socket"), seconds=seconds) as is_late:
        while expected is None or read < expected:
            if read >= limit or time.monotonic() >= ends_at:
                return False
            try:
                piece = stream.read(_PIECE)
            except Exception:  # noqa: BLE001  # each server has errors of its own for this
                return False
            if not piece:
                return expected is None and not is_late()
            read += len(piece)
    return True


def _is_unread(request: HttpRequest) -> bool:
    meta = request.META
    if _has_no_length(meta):
        # Only where reading can be bounded in time.
        has_connection = isinstance(meta.get("gunicorn.socket"), socket.socket)
        return has_connection and bool(meta.get("HTTP_TRANSFER_ENCODING"))
    return _rest_of(request) > 0


def _rest_of(request: HttpRequest) -> int:
    """Return how many bytes of a body with a length nobody has read."""
    stream = getattr(request, "_stream", None)
    if not isinstance(stream, LimitedStream):
        return 0
    return int(stream.limit - stream._pos)  # type: ignore[attr-defined]  # its stub lacks it


def _stream_of(request: HttpRequest) -> InputStream:
    if _has_no_length(request.META):
        return cast(InputStream, request.META["wsgi.input"])
    return cast(InputStream, request._stream)


def read_to_end(
    stream: InputStream,
    *,
    limit: int,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
    is_late: Callable[[], bool] = lambda: False,
) -> bytes:
    """Return all of a stream that ends where the body ends.

    `is_late` tells that the connection was closed for reading, by which a stream ends or fails.

    Raises RequestDataTooBig beyond `limit` bytes, and UnreadableBodyError (400, 408).
    """
    ends_at = clock() + seconds
    body = bytearray()
    while len(body) <= limit:
        try:
            piece = stream.read(min(_PIECE, limit + 1 - len(body)))
        except Exception as error:  # each server has errors of its own for malformed chunks
            if is_late() or clock() >= ends_at:
                raise _too_slow(seconds) from error
            raise UnreadableBodyError(
                400, "The body ended too early, or its chunks are malformed; send it again."
            ) from error
        if is_late():
            raise _too_slow(seconds)
        if not piece:
            return bytes(body)
        body += piece
        if clock() >= ends_at:
            raise _too_slow(seconds)
    raise RequestDataTooBig(f"A body without Content-Length is larger than {limit} bytes.")


def _has_no_length(meta: dict[str, Any]) -> bool:
    """Tell whether a request may have a body of unknown length; chunks overrule a length."""
    return bool(meta.get("HTTP_TRANSFER_ENCODING")) or not meta.get("CONTENT_LENGTH")


def read_chunked_body(request: HttpRequest) -> None:
    """Give a request its body of unknown length. Raises UnreadableBodyError, RequestDataTooBig."""
    meta = request.META
    if not meta.get("wsgi.input_terminated"):
        if meta.get("HTTP_TRANSFER_ENCODING") and not meta.get("CONTENT_LENGTH"):
            raise UnreadableBodyError(
                411,
                "This server can't read a chunked body; send the body with a Content-Length.",
            )
        return
    with closed_for_reading_when_late(meta.get("gunicorn.socket")) as is_late:
        body = read_to_end(
            cast(InputStream, meta["wsgi.input"]),
            limit=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
            is_late=is_late,
        )
    meta["CONTENT_LENGTH"] = str(len(body))
    meta["wsgi.input"] = BytesIO(body)
    # Django made its own stream, of no bytes, when it made the request.
    request._stream = cast(BinaryIO, LimitedStream(meta["wsgi.input"], len(body)))


@contextmanager
def closed_for_reading_when_late(
    connection: object, *, seconds: float = SECONDS
) -> Iterator[Callable[[], bool]]:
    """Bound the time of gunicorn's reads: one that trickles bytes would never return.

    Gives a function that tells whether the time is over. Another server's connection is None; its
    own time limits hold.
    """
    late = Event()
    if not isinstance(connection, socket.socket):
        yield late.is_set
        return

    def close() -> None:
        late.set()  # first, so that the read that fails by it knows why
        _close_for_reading(connection)

    timer = Timer(seconds, close)
    timer.daemon = True
    timer.start()
    try:
        yield late.is_set
    finally:
        timer.cancel()


def _close_for_reading(connection: socket.socket) -> None:
    try:
        # Past TLS, whose own shutdown would write to the connection in the clear.
        socket.socket.shutdown(connection, socket.SHUT_RD)
    except OSError:
        return  # the caller has gone


def _too_slow(seconds: float) -> UnreadableBodyError:
    return UnreadableBodyError(
        408, f"The body did not come within {seconds:.0f} seconds; send it again."
    )


class HoldToLimit(FileUploadHandler):
    """Limits a form with files like every other request; the next handlers store the files."""

    def handle_raw_input(
        self,
        input_data: IO[bytes],
        META: dict[str, str],  # noqa: N803  # Django's name
        content_length: int,
        boundary: str,
        encoding: str | None = None,
    ) -> None:
        if content_length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise RequestDataTooBig("A form with files is larger than 5 MB.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data  # to the next handler

    def file_complete(self, file_size: int) -> UploadedFile | None:
        return None  # the next handler has the file
