"""The only way out of the product: what every transport does, whichever library is below it.

A transport judges the address that its socket connects to, holds one deadline over everything, and
reads a stranger's answer in small portions. What the network or a partner does comes back as a
`Reply`, never as an exception.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from postbacks.delivery.http.response import Reply
from postbacks.values.outgoing_request import OutgoingRequest

Done = Callable[[Reply], None]


class Transport(ABC):
    """Sends requests to allowed destinations over kept-alive connections; thread-safe.

    `capacity` is how many requests it has open at once; more of them wait their turn.
    `after_replies` is called after each `done`, or once after several, in the same thread.
    """

    capacity: int
    after_replies: Callable[[], None] = staticmethod(lambda: None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @abstractmethod
    def start(self, request: OutgoingRequest, *, timeout: float, done: Done) -> None:
        """Begin a request and return at once; it ends within `timeout` seconds of wall-clock time.

        `done` is called exactly once, in another thread. It must neither block nor raise.
        """

    @abstractmethod
    def send(self, request: OutgoingRequest, *, timeout: float = 15.0) -> Reply:
        """Return the reply to a request, waiting for it.

        If a kept-alive connection turns out to be closed before a byte of the answer came, the
        request is sent once more on a fresh one.
        """

    @abstractmethod
    def close(self) -> None:
        """Close idle connections and end all threads, after the requests that have begun."""
