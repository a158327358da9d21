"""How many of an organization's long requests a web process answers at once.

Previews, imports, files and the like take a thread for a second or more. The threads of a process
are few: without a bound one organization would have them all, and everybody else would wait.
"""

import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from threading import Condition
from time import monotonic
from typing import Final

from django.conf import settings
from django.http.response import HttpResponseBase

MOST_RUNNING: Final = 2  # of an organization
MOST_WAITING: Final = 1
WAIT_SECONDS: Final = 2.0
RETRY_AFTER: Final = 2  # seconds


class TooManyAtOnceError(Exception):
    """The organization has as many long requests under way as it may; the message says so."""

    def __init__(self) -> None:
        super().__init__("Your organization has as many long requests under way as may be at once")


class LongRequests:
    """The long requests of one process; `most` of all organizations have a thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: Counter[int] = Counter()
        self._waiting: Counter[int] = Counter()
        self._ended = Condition()

    def begin(self, organization_id: int) -> Callable[[], None]:
        """Return what ends a request that begins now, or in a moment. Raises TooManyAtOnceError."""
        until = monotonic() + WAIT_SECONDS
        with self._ended:
            if not self._may_wait(organization_id):
                raise TooManyAtOnceError
            self._waiting[organization_id] += 1
            try:
                while self._running[organization_id] >= MOST_RUNNING:
                    if not self._ended.wait(until - monotonic()):
                        raise TooManyAtOnceError
            finally:
                self._leave(self._waiting, organization_id)
            self._running[organization_id] += 1
        return lambda: self._end(organization_id)

    def _may_wait(self, organization_id: int) -> bool:
        if self._running.total() + self._waiting.total() >= self._most:
            return False
        under_way = self._running[organization_id] + self._waiting[organization_id]
        return under_way < MOST_RUNNING + MOST_WAITING

    def _end(self, organization_id: int) -> None:
        with self._ended:
            self._leave(self._running, organization_id)
            self._ended.notify_all()

    @staticmethod
    def _leave(counts: Counter[int], organization_id: int) -> None:
        counts[organization_id] -= 1
        if not counts[organization_id]:
            del counts[organization_id]


@cache
def long_requests() -> LongRequests:
    """Return those of this process: a quarter of its threads is left to what is short."""
    return LongRequests(max(1, settings.WEB_THREADS * 3 // 4))


def end_with(response: HttpResponseBase, turn: ExitStack) -> None:
    """Let a turn last while a file, which is made as it is sent, has not been sent.

    Nor may a response that nobody closes keep it: then it ends when the response is forgotten.
    """
    end = weakref.finalize(response, turn.pop_all().close)
    response._resource_closers.append(end)  # type: ignore[attr-defined]  # Django's own way
