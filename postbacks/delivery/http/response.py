"""A partner's answer, read in small portions and cut to size, or why there is none.

An answer is a stranger's data: nothing in it is trusted to end, to be text, or to be HTTP.
"""

import re
import ssl
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http.client import HTTPException, IncompleteRead
from itertools import islice, starmap

from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

MOST_BODY = 64 * 1024
# Status line, 64 headers of 8 KiB, and 64 KiB of body in chunks of one byte stay below it.
# Endless trailers, interim answers and chunk extensions, which no parser counts, don't.
MOST_WIRE_BYTES = 1024 * 1024
MOST_HEADERS = 64
LONGEST_HEADER = 8 * 1024
_LONGEST_HEADER_NAME = 256
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SECONDS = re.compile(r"[0-9]{1,9}")
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[^\n]*\n")


class TransportFailure(StrEnum):
    """Why there is no complete answer."""

    DNS = "dns"
    BLOCKED = "blocked"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    PROTOCOL = "protocol"
    INVALID_REQUEST = "invalid_request"
    INTERNAL = "internal"  # a mistake of ours
    PROXY = "proxy"  # the operator's own: not the partner's fault


class Undelivered(Exception):  # noqa: N818  # an outcome of the network, not a mistake of ours
    """Stops a request, at any step of it.

    It must not derive from OSError: urllib3 would wrap it as "Connection aborted" and lose the
    kind. `detail` is our own sentence; libraries' messages hold the URL, and with it credentials.
    """

    def __init__(self, failure: TransportFailure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail


# All that http.client, urllib3 and requests (an OSError) raise for what a partner does.
TROUBLE = (Undelivered, HTTPError, HTTPException, OSError)


_DETAILS = {
    TransportFailure.RESET: "The connection broke before the answer was complete.",
    TransportFailure.TLS: "The TLS connection broke.",
    TransportFailure.PROTOCOL: "The partner's answer is not valid HTTP.",
}


@dataclass(slots=True)  # not frozen: one is made for each attempt
class Reply:
    """The result of one request: an answer, a failure, or an answer that broke off.

    `headers` are at most 64 of 8 KiB each, without control characters; `body` is at most 64 KiB
    and `truncated` says that there was more; `detail` is a sentence for people, empty without an
    error; `peer` is the IP address talked to; `retry_after` is in seconds from now; `timings` are
    those of `values.request_timings`, None where nothing was begun.
    """

    status_code: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    truncated: bool = False
    error: TransportFailure | None = None
    detail: str = ""
    duration_ms: int = 0
    timings: int | None = None
    peer: str | None = None
    retry_after: float | None = None


INTERNAL_FAILURE = Reply(
    error=TransportFailure.INTERNAL, detail="Something went wrong on our side."
)


def read(answer: HTTPResponse) -> Reply:
    """Return an answer's status, headers and at most 64 KiB of its body."""
    if answer.status < 200:
        # Whatever follows a switch of protocols is not the answer to the next request.
        answer.close()
        return failed(Reply(), broken(TransportFailure.PROTOCOL))
    head = Reply(
        status_code=answer.status,
        headers=capped_headers(answer.headers.itermerged()),
        retry_after=seconds_to_wait(answer.headers.get("Retry-After")),
    )
    body = bytearray()
    try:
        # One byte more than is kept tells whether there is more.
        while portion := answer.read1(MOST_BODY + 1 - len(body)):
            body += portion
    except TROUBLE as error:
        head = failed(head, error)
    finally:
        # What was read to its end is back in the pool; of the rest, this closes the connection.
        answer.close()
    text, more = inflated(bytes(body[:MOST_BODY]), answer.headers.get("Content-Encoding", ""))
    return replace(head, body=text, truncated=more or len(body) > MOST_BODY)


def failed(reply: Reply, error: BaseException) -> Reply:
    """Return the reply with what went wrong, in our own words."""
    if isinstance(error, Undelivered):
        return replace(reply, error=error.failure, detail=error.detail)
    return failed(reply, broken(failure_of(error)))


def broken(failure: TransportFailure) -> Undelivered:
    """Return why an answer broke off or is none."""
    return Undelivered(failure, _DETAILS[failure])


def failure_of(error: BaseException) -> TransportFailure:
    """Return the kind of any of `TROUBLE`."""
    if isinstance(error, Undelivered):
        return error.failure
    causes = tuple(_causes(error))
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return TransportFailure.TLS
    broken = any(isinstance(cause, ConnectionError | IncompleteRead) for cause in causes)
    return TransportFailure.RESET if broken else TransportFailure.PROTOCOL


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it wraps: requests and urllib3 carry the cause as an argument."""
    yield error
    for argument in error.args:
        if isinstance(argument, BaseException):
            yield from _causes(argument)


def capped_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the first 64 headers, cut to size and without control characters."""
    return dict(islice(starmap(capped_header, headers), MOST_HEADERS))


def capped_header(name: str, value: str) -> tuple[str, str]:
    return _printable(name[:_LONGEST_HEADER_NAME]), _printable(value[:LONGEST_HEADER])


def _printable(text: str) -> str:
    return text if text.isprintable() else _CONTROL.sub(" ", text)


def inflated(body: bytes, encoding: str) -> tuple[bytes, bool]:
    """Return at most 64 KiB of the decompressed body, and whether there was more.

    We ask for no compression, but some compress nevertheless. Other encodings stay as they are.
    """
    if encoding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        return body, False
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        text = inflater.decompress(body, MOST_BODY)
    except zlib.error:
        return body, False
    return text, bool(inflater.unconsumed_tail)


def joined_chunks(raw: bytes | bytearray, limit: int) -> bytes:
    """Return what the chunks of a body hold, the last perhaps not complete, up to a limit."""
    body = bytearray()
    position = 0
    while len(body) < limit and (size := _CHUNK_SIZE.match(raw, position)):
        length = int(size[1], 16)
        if not length:
            break
        body += raw[size.end() : size.end() + min(length, limit)]
        end_of_line = raw.find(b"\n", size.end() + length)
        if end_of_line == -1:
            break
        position = end_of_line + 1
    return bytes(body[:limit])


def seconds_to_wait(retry_after: str | None, now: datetime | None = None) -> float | None:
    """Return a Retry-After header (seconds or an HTTP date) in seconds, None when it says neither.

    A date that has passed means zero: "now is fine".
    """
    text = (retry_after or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    if not text or len(text) > 64:
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # "-0000" gives a date without a zone; HTTP dates are in GMT.
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max((aware - (now or datetime.now(UTC))).total_seconds(), 0.0)
