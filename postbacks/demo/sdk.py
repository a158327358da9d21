"""An SDK's client as an app would have it: it keeps its connection and sends until it is answered.

A retry carries the same bytes and so the same event ids; the server tells that it has them already.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from types import TracebackType
from typing import Self

from postbacks.demo.calls import SdkCall
from postbacks.demo.rules import DemoApp

EVENTS_PATH = "/api/v1/events"

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
class Answer:
    """This is what the server said of one call; `ids` has one entry per event, in order."""

    status: int
    accepted: int
    duplicates: int
    rejected: int
    ids: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    headers: Message
    body: bytes


class SdkClient:
    """This sends the calls of one app, one at a time; a second thread needs a client of its own."""

    def __init__(self, host: str, port: int, key: str, *, patience: float = _PATIENCE) -> None:
        """Remember where to send; `patience` is for how many seconds a call is tried."""
        self._connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
        self._key = key
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
        """Close the connection; a later call opens a new one."""
        self._connection.close()

    def send(self, call: SdkCall) -> Answer:
        """Send a call until it is answered, waiting as long as the server asks, up to 5 s a time.

        Raises RefusedError for an answer that no retry can change and UnreachableError when the
        patience is over.
        """
        give_up_at = time.monotonic() + self._patience
        wait = _FIRST_WAIT
        while True:
            response = self._post(call)
            if response is not None and response.status not in _TRY_AGAIN:
                return _answer(response, call)
            pause = min(_asked_wait(response, otherwise=wait), _LONGEST_WAIT)
            if time.monotonic() + pause > give_up_at:
                raise UnreachableError(_complaint(response))
            time.sleep(pause)
            wait = min(wait * 2, _LONGEST_WAIT)

    def _post(self, call: SdkCall) -> _Response | None:
        """Return the response, or None where the connection broke before it was complete."""
        try:
            self._connection.request("POST", EVENTS_PATH, call.body, self._headers(call))
            response = self._connection.getresponse()
            return _Response(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return None

    def _headers(self, call: SdkCall) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "User-Agent": "GemHarborSDK/1.4.2",
        }
        return headers | ({"Content-Encoding": "gzip"} if call.gzip else {})


def send_day(
    clients: Mapping[DemoApp, SdkClient],
    calls: Iterable[SdkCall],
    *,
    progress: Callable[[SdkCall, Answer], None],
) -> None:
    """Send the calls in order, each by its app's client, and report every answer."""
    for call in calls:
        progress(call, clients[call.app].send(call))


def _asked_wait(response: _Response | None, *, otherwise: float) -> float:
    """Return the seconds of Retry-After; a date there, or nothing, leaves it to the client."""
    asked = response.headers.get("Retry-After", "") if response else ""
    return float(asked) if asked.isdecimal() else otherwise


def _answer(response: _Response, call: SdkCall) -> Answer:
    """Read the counts of a 202; a 422 says the same of all events: none was any good."""
    if response.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        count = len(call.events)
        return Answer(response.status, 0, 0, count, (None,) * count)
    if response.status != HTTPStatus.ACCEPTED:
        raise RefusedError(_complaint(response))
    said = json.loads(response.body)
    return Answer(
        status=response.status,
        accepted=said["accepted"],
        duplicates=said["duplicates"],
        rejected=len(said["rejected"]),
        ids=tuple(said["ids"]),
    )


def _complaint(response: _Response | None) -> str:
    if response is None:
        return "The event API could not be reached."
    detail = response.body[:500].decode(errors="replace")
    return f"The event API answered {response.status}: {detail}"
