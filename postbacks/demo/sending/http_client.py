"""An HTTP client that keeps its connection and retries until it is answered."""

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from typing import Self

_TIMEOUT = 30.0
_RETRY_SECONDS = 60.0
_FIRST_WAIT = 0.2
_MAX_WAIT = 5.0
_RETRIED_STATUSES = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class RefusedError(Exception):
    """The server refuses the call, and no retry can change that."""


class UnreachableError(Exception):
    """The server did not accept the call before the client's deadline."""


@dataclass(frozen=True, slots=True)
class Response:
    """The server's response."""

    status: int
    headers: Message
    body: bytes

    @property
    def error_text(self) -> str:
        """Return the response as a sentence for an error."""
        return f"The API answered {self.status}: {self.body[:500].decode(errors='replace')}"


class RetryingClient:
    """Sends one request at a time; each thread needs a client of its own."""

    def __init__(self, host: str, port: int, *, retry_seconds: float = _RETRY_SECONDS) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
        self._retry_seconds = retry_seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> Response:
        """Send a request until it is answered; Retry-After is honored up to 5 s.

        Raises UnreachableError when the retries are over.
        """
        deadline = time.monotonic() + self._retry_seconds
        wait = _FIRST_WAIT
        while True:
            response = self._try(method, path, headers, body)
            if response is not None and response.status not in _RETRIED_STATUSES:
                return response
            pause = min(_retry_after(response, otherwise=wait), _MAX_WAIT)
            if time.monotonic() + pause > deadline:
                raise UnreachableError(
                    response.error_text if response else "The API could not be reached."
                )
            time.sleep(pause)
            wait = min(wait * 2, _MAX_WAIT)

    def _try(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response | None:
        """Return the response, None if the connection broke before it was complete."""
        try:
            self._connection.request(method, path, body, dict(headers))
            response = self._connection.getresponse()
            return Response(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return None


def _retry_after(response: Response | None, *, otherwise: float) -> float:
    """Return the seconds of Retry-After; without it, or with a date, `otherwise`."""
    seconds = response.headers.get("Retry-After", "") if response else ""
    return float(seconds) if seconds.isdecimal() else otherwise
