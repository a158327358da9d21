"""An app's SDK as the benchmark needs it: one kept connection, every answer checked."""

import json
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Self

from tests.bench import sample
from tests.bench.children import BenchError
from tests.bench.sides import Side
from tests.bench.sink import HOST

_TIMEOUT_SECONDS = 60.0


class Client:
    """This sends events to one side."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._connection = HTTPConnection(HOST, side.port, timeout=_TIMEOUT_SECONDS)
        self._headers = {
            "Authorization": f"Bearer {side.key}",
            "Content-Type": "application/json",
        }

    def send(self, body: bytes, *, events: int) -> None:
        """Send a body of so many events. Raises BenchError unless all of them are accepted."""
        try:
            self._connection.request("POST", sample.EVENTS_PATH, body, self._headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, HTTPException) as error:
            raise BenchError(f"{self._side.name} did not answer: {error!r}") from None
        if response.status != 202 or json.loads(answer)["accepted"] != events:
            words = answer[:300].decode(errors="replace")
            raise BenchError(f"{self._side.name} answered {response.status}: {words}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._connection.close()


def send_one(side: Side) -> None:
    """Send one event over a connection of its own."""
    with Client(side) as client:
        client.send(json.dumps(sample.event(0)).encode(), events=1)
