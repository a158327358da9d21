"""The clients of the demo: of HTTP, and of an app's SDK. Both send until they are answered.

A retry sends the same bytes and so the same event ids, which the server counts as duplicates.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from typing import Self

from postbacks.demo.networks import DemoApp
from postbacks.demo.simulation.model import SdkCall

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

EVENTS_PATH = "/api/v1/events"


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
    """Sends one request at a time over a kept connection; each thread needs a client of its own."""

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


@dataclass(frozen=True, slots=True)
class EventsAnswer:
    """The server's answer to one call; `ids` has one entry per event, in order."""

    status: int
    accepted: int
    duplicates: int
    rejected: int
    ids: tuple[str | None, ...]


class SdkClient:
    """Sends the calls of one app, one at a time; each thread needs a client of its own."""

    def __init__(self, client: RetryingClient, key: str) -> None:
        self._client = client
        self._key = key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def send(self, call: SdkCall) -> EventsAnswer:
        """Send a call until it is answered.

        Raises RefusedError for an answer that no retry can change, UnreachableError at the client's
        deadline.
        """
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "User-Agent": "GemHarborSDK/1.4.2",
        }
        compressed = {"Content-Encoding": "gzip"} if call.gzip else {}
        response = self._client.request(
            "POST", EVENTS_PATH, headers=headers | compressed, body=call.body
        )
        return _answer(response, call)


def send_calls(
    clients: Mapping[DemoApp, SdkClient],
    calls: Iterable[SdkCall],
    *,
    on_answer: Callable[[SdkCall, EventsAnswer], None],
) -> None:
    """Send the calls in order, each by its app's client."""
    for call in calls:
        on_answer(call, clients[call.app].send(call))


def _answer(response: Response, call: SdkCall) -> EventsAnswer:
    """Return the counts of a 202; a 422 means that all events were rejected."""
    if response.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        count = len(call.events)
        return EventsAnswer(response.status, 0, 0, count, (None,) * count)
    if response.status != HTTPStatus.ACCEPTED:
        raise RefusedError(response.error_text)
    answer = json.loads(response.body)
    return EventsAnswer(
        status=response.status,
        accepted=answer["accepted"],
        duplicates=answer["duplicates"],
        rejected=len(answer["rejected"]),
        ids=tuple(answer["ids"]),
    )
