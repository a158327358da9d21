"""An SDK's client as an app would have it: it keeps its connection and sends until it is answered.

A retry carries the same bytes and so the same event ids; the server tells that it has them already.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

from postbacks.demo.networks import DemoApp
from postbacks.demo.sending.http_client import RefusedError, Response, RetryingClient
from postbacks.demo.simulation.model import SdkCall

EVENTS_PATH = "/api/v1/events"


@dataclass(frozen=True, slots=True)
class EventsAnswer:
    """This is what the server said of one call; `ids` has one entry per event, in order."""

    status: int
    accepted: int
    duplicates: int
    rejected: int
    ids: tuple[str | None, ...]


class SdkClient:
    """This sends the calls of one app, one at a time; a second thread needs a client of its own."""

    def __init__(self, client: RetryingClient, key: str) -> None:
        """Remember where to send, and as whom."""
        self._client = client
        self._key = key

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
        self._client.close()

    def send(self, call: SdkCall) -> EventsAnswer:
        """Send a call until it is answered.

        Raises RefusedError for an answer that no retry can change and UnreachableError when the
        client's patience is over.
        """
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "User-Agent": "GemHarborSDK/1.4.2",
        }
        compressed = {"Content-Encoding": "gzip"} if call.gzip else {}
        response = self._client.ask(
            "POST", EVENTS_PATH, headers=headers | compressed, body=call.body
        )
        return _answer(response, call)


def send_calls(
    clients: Mapping[DemoApp, SdkClient],
    calls: Iterable[SdkCall],
    *,
    progress: Callable[[SdkCall, EventsAnswer], None],
) -> None:
    """Send the calls in order, each by its app's client, and report every answer."""
    for call in calls:
        progress(call, clients[call.app].send(call))


def _answer(response: Response, call: SdkCall) -> EventsAnswer:
    """Read the counts of a 202; a 422 says the same of all events: none was any good."""
    if response.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        count = len(call.events)
        return EventsAnswer(response.status, 0, 0, count, (None,) * count)
    if response.status != HTTPStatus.ACCEPTED:
        raise RefusedError(response.complaint)
    said = json.loads(response.body)
    return EventsAnswer(
        status=response.status,
        accepted=said["accepted"],
        duplicates=said["duplicates"],
        rejected=len(said["rejected"]),
        ids=tuple(said["ids"]),
    )
