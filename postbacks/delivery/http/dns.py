"""Resolves names with a deadline, which the system's resolver doesn't have."""

import socket
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from time import monotonic


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """Where a socket can connect to. The address that was judged is the one connected to."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]

    @property
    def ip(self) -> str:
        return self.sockaddr[0]


Answer = tuple[SocketAddress, ...]


@dataclass(frozen=True, slots=True)
class _Question:
    """A name to look up, and when nobody waits for it any more."""

    host: str
    port: int
    expires: float
    answer: "Future[Answer]" = field(default_factory=Future)

    @property
    def key(self) -> tuple[str, int]:
        return self.host, self.port


class Lookup:
    """Resolves names in a bounded pool of threads.

    `getaddrinfo` can't be interrupted, so a waiter gives up while its thread goes on. The threads
    are daemons, started when needed: a hung name server must not keep a worker from ending.
    Questions for the same name share one thread, so that a hanging name can't take all of them.
    """

    def __init__(self, threads: int = 16) -> None:
        self._most_threads = threads
        self._threads: list[threading.Thread] = []
        self._queue: SimpleQueue[_Question | None] = SimpleQueue()
        self._open: dict[tuple[str, int], _Question] = {}
        self._lock = threading.Lock()

    def resolve(self, host: str, port: int, *, timeout: float) -> Answer:
        """Return every address of `host`.

        Raises TimeoutError after `timeout` seconds; OSError or UnicodeError for a name without an
        address.
        """
        return self._ask(_Question(host, port, monotonic() + timeout)).answer.result(timeout)

    def ask(self, host: str, port: int, *, timeout: float) -> "Future[Answer]":
        """Begin to resolve and return at once; nobody waits longer than `timeout` seconds."""
        return self._ask(_Question(host, port, monotonic() + timeout)).answer

    def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)

    def _ask(self, question: _Question) -> _Question:
        with self._lock:
            open_question = self._open.setdefault(question.key, question)
            if open_question is question:
                self._queue.put(question)
                self._start_thread_if_short()
            return open_question

    def _start_thread_if_short(self) -> None:
        if len(self._threads) < min(self._most_threads, len(self._open)):
            thread = threading.Thread(target=self._work, name="name-lookup", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (question := self._queue.get()) is not None:
            try:
                answer = _resolve(question)
            except (OSError, UnicodeError) as error:
                self._close_question(question)
                question.answer.set_exception(error)
            else:
                self._close_question(question)
                question.answer.set_result(answer)

    def _close_question(self, question: _Question) -> None:
        # Before the answer is set: questions from now on get a fresh one.
        with self._lock:
            del self._open[question.key]


def _resolve(question: _Question) -> Answer:
    if monotonic() > question.expires:
        raise TimeoutError
    addresses = socket.getaddrinfo(question.host, question.port, type=socket.SOCK_STREAM)
    return tuple(
        SocketAddress(family, (str(sockaddr[0]), *sockaddr[1:]))
        for family, _kind, _protocol, _name, sockaddr in addresses
    )
