"""The client of an app's SDK, which sends a call until it is answered.

A retry sends the same bytes and so the same event ids, which the server counts as duplicates.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

from postbacks.demo.networks import DemoApp
from postbacks.demo.sending.http_client import RefusedError, Response, RetryingClient
from postbacks.demo.simulation.model import SdkCall

EVENTS_PATH = "/api/v1/events"


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
