"""An HTTP client that keeps its connection and asks until it is answered."""

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from types import TracebackType
from typing import Self

_TIMEOUT = 30.0
_PATIENCE = 60.0
_FIRST_WAIT = 0.2
_LONGEST_WAIT = 5.0
_TRY_AGAIN = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class RefusedError(Exception):
    """This is raised when the server will not take the call however often it is sent."""


class UnreachableError(Exception):
    """This is raised when the server did not take the call for as long as the client waits."""


@dataclass(frozen=True, slots=True)
class Response:
    """This is what the server answered."""

    status: int
    headers: Message
    body: bytes

    @property
    def complaint(self) -> str:
        """The answer as a sentence, for an error."""
        return f"The API answered {self.status}: {self.body[:500].decode(errors='replace')}"


class RetryingClient:
    """This sends one request at a time; a second thread needs a client of its own."""

    def __init__(self, host: str, port: int, *, patience: float = _PATIENCE) -> None:
        """Remember where to send; `patience` is for how many seconds a request is tried."""
        self._connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
        self._patience = patience

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a later request opens a new one."""
        self._connection.close()

    def ask(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> Response:
        """Send a request until it is answered, waiting as long as asked, up to 5 s a time.

        Raises UnreachableError when the patience is over.
        """
        give_up_at = time.monotonic() + self._patience
        wait = _FIRST_WAIT
        while True:
            response = self._try(method, path, headers, body)
            if response is not None and response.status not in _TRY_AGAIN:
                return response
            pause = min(_retry_after(response, otherwise=wait), _LONGEST_WAIT)
            if time.monotonic() + pause > give_up_at:
                raise UnreachableError(
                    response.complaint if response else "The API could not be reached."
                )
            time.sleep(pause)
            wait = min(wait * 2, _LONGEST_WAIT)

    def _try(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response | None:
        """Return the response, or None where the connection broke before it was complete."""
        try:
            self._connection.request(method, path, body, dict(headers))
            response = self._connection.getresponse()
            return Response(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return None


def _retry_after(response: Response | None, *, otherwise: float) -> float:
    """Return the seconds of Retry-After; a date there, or nothing, leaves it to the client."""
    asked = response.headers.get("Retry-After", "") if response else ""
    return float(asked) if asked.isdecimal() else otherwise
