"""What came back, cut to size: a partner's answer is a stranger's data."""

import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from itertools import islice

MOST_BODY = 64 * 1024
MOST_HEADERS = 64
LONGEST_HEADER = 8 * 1024

_LONGEST_HEADER_NAME = 256
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SECONDS = re.compile(r"[0-9]{1,9}")
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class Failure(StrEnum):
    """This is why there is no complete answer."""

    DNS = "dns"
    BLOCKED = "blocked"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    PROTOCOL = "protocol"
    INVALID_REQUEST = "invalid_request"


class Undelivered(Exception):  # noqa: N818  # an outcome of the network, not a mistake of ours
    """This stops a request wherever it stands.

    It must not derive from OSError: urllib3 would wrap it as "Connection aborted" and lose the
    kind. `detail` is our own sentence; libraries' messages hold the URL, and with it credentials.
    """

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Reply:
    """This is what one request led to: an answer, or a failure, or an answer that broke off.

    `headers` are at most 64 of 8 KiB each, without control characters; `body` is at most 64 KiB
    and `truncated` says that there was more; `detail` is a sentence for people, empty without an
    error; `peer` is the IP address talked to; `retry_after` is in seconds from now.
    """

    status_code: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    truncated: bool = False
    error: Failure | None = None
    detail: str = ""
    duration_ms: int = 0
    peer: str | None = None
    retry_after: float | None = None


def capped_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the first 64 headers, cut to size and without control characters."""
    return {
        _CONTROL.sub(" ", name[:_LONGEST_HEADER_NAME]): _CONTROL.sub(" ", value[:LONGEST_HEADER])
        for name, value in islice(headers, MOST_HEADERS)
    }


def inflated(body: bytes, encoding: str) -> tuple[bytes, bool]:
    """Return the body as text was meant, at most 64 KiB of it, and whether there was more.

    We ask for no compression; some compress nevertheless. What isn't gzip or zlib stays as it is.
    """
    if encoding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        return body, False
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        text = inflater.decompress(body, MOST_BODY)
    except zlib.error:
        return body, False
    return text, bool(inflater.unconsumed_tail)


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
