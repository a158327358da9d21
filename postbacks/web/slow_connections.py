"""A connection whose caller sends its request slowly, or reads its answer slowly.

What has come of a request is looked through for its end, and read from memory; what the system does
not take of an answer is kept. Neither waits for the caller: `patient_worker.py` does, in its loop.
"""

import errno
import re
import select
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gunicorn.http.unreader import Unreader
from gunicorn.workers.gthread import TConn

from postbacks.web.plain_requests import MOST_BYTES, PlainReader

if TYPE_CHECKING:
    from socket import _SendableFile

    from _typeshed import ReadableBuffer

_CHUNK_LINE_BYTES: Final = 4096  # a chunk's size and what stands beside it
HEAD_BYTES: Final = 64 * 1024
REQUEST_BYTES: Final = 8 * 1024 * 1024  # more than any door takes; longer ones are not waited for
SECONDS: Final = 30.0  # for a request, and a second more for each KiB that has come
ANSWER_BYTES: Final = 2 * 1024 * 1024  # of an answer that wait for its caller outside of a thread
PIECE: Final = 64 * 1024
_READ_SECONDS: Final = 10.0  # in which the caller of a longer answer must read something
_READ_AT_ONCE: Final = 8 * 1024  # of chunks, each of which copies the rest of what was read
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*0*(\d*)[ \t]*\r", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.IGNORECASE)
_EXPECT: Final = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r)", re.IGNORECASE)


class Connection(TConn):  # type: ignore[misc]  # gunicorn is not typed
    """A connection, and what is known of its request once a thread has it."""

    is_watched = False  # by the loop, which is told when something comes
    is_kept = False  # for a next request, of which nothing has come
    is_whole = False
    is_probe = False
    handed_over_at = 0.0
    held_bytes = 0
    plain: PlainReader | None = None
    rest = b""  # what came behind a request that the loop runs

    def take_rest(self) -> bytes:
        """Return what came behind the request that was answered."""
        if self.parser is None or self.rest:
            rest, self.rest = self.rest, b""
            return rest
        return bytes(self.parser.unreader.take_buffered())


@dataclass(slots=True, eq=False)
class Arriving:
    """A request of which a part has come."""

    connection: Connection
    received: bytearray
    is_whole: bool = False
    began_at: float = field(default_factory=time.monotonic)
    _body_at: int = 0  # where the body begins; 0 until the head is complete
    _ends_at: int | None = None  # where the body ends; None if it comes in chunks
    _chunk_at: int = 0
    _is_malformed: bool = False
    _may_ask: bool = True  # to continue

    def is_complete(self) -> bool:
        """Tell whether a thread can answer without waiting for the caller."""
        if not self._body_at and not self._read_head():
            return False
        if self._ends_at is None:
            self.is_whole = self._has_last_chunk()
            return self.is_whole or self._is_malformed or len(self.received) > REQUEST_BYTES
        self.is_whole = len(self.received) >= self._ends_at
        return self.is_whole or self._ends_at > REQUEST_BYTES

    def parts(self) -> tuple[bytes, bytes, bytes]:
        """Return head, body and what came behind them, of a whole request without chunks."""
        ends_at = self._ends_at or 0
        received = bytes(self.received)
        return received[: self._body_at], received[self._body_at : ends_at], received[ends_at:]

    @property
    def is_small(self) -> bool:
        """Tell whether head and body have come, are small, and do not come in chunks."""
        return self.is_whole and self._ends_at is not None and self._ends_at <= 2 * MOST_BYTES

    def has_too_long_head(self) -> bool:
        return not self._body_at and len(self.received) > HEAD_BYTES

    def is_late(self, now: float) -> bool:
        return now > self.began_at + SECONDS + len(self.received) / 1024

    def asks_to_continue(self) -> bool:
        """Tell, once, whether the caller waits for `100 Continue` before it sends the body."""
        if not (self._body_at and self._may_ask):
            return False
        self._may_ask = False
        head = bytes(self.received[: self._body_at])
        if head.partition(b"\r\n")[0].endswith(b" HTTP/1.0"):
            return False  # which has no `100 Continue`
        without, asked = _EXPECT.subn(b"", head)
        if asked:
            self.received[: self._body_at] = without
            shorter = len(head) - len(without)
            self._body_at -= shorter
            self._chunk_at -= shorter
            if self._ends_at is not None:
                self._ends_at -= shorter
        return bool(asked)

    def _read_head(self) -> bool:
        end = self.received.find(b"\r\n\r\n", 0, HEAD_BYTES)
        if end < 0:
            return False
        self._body_at = self._chunk_at = end + 4
        head = bytes(self.received[: self._body_at])
        if not _CHUNKED.search(head):
            length = _LENGTH.search(head)
            # Of a number without bound, 18 digits tell that it is too large.
            self._ends_at = self._body_at + (int(length[1][:18] or b"0") if length else 0)
        return True

    def _has_last_chunk(self) -> bool:
        """Follow the chunks that have come; malformed ones are the server's to refuse."""
        received = self.received
        while (line_end := self._find(b"\r\n", self._chunk_at, _CHUNK_LINE_BYTES)) >= 0:
            size = received[self._chunk_at : line_end].split(b";")[0].strip()
            if not re.fullmatch(rb"[0-9a-fA-F]+", size) or int(size, 16) > REQUEST_BYTES:
                self._is_malformed = True
                return False
            if not int(size, 16):
                return self._find(b"\r\n\r\n", line_end, HEAD_BYTES) >= 0
            self._chunk_at = line_end + 2 + int(size, 16) + 2
        return False

    def _find(self, end: bytes, start: int, most: int) -> int:
        """Return where a line of chunks or their trailers end; if they can't any more, say so."""
        at = self.received.find(end, start, start + most)
        if at < 0 and len(self.received) >= start + most:
            self._is_malformed = True
        return at


class Received(Unreader):  # type: ignore[misc]  # gunicorn is not typed
    """What has come of a request, for a thread to read: it ends there and never waits for more.

    What this module takes for a whole request is so never waited for in a thread, even where
    gunicorn would find that something is missing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rest = memoryview(b"")

    def receive(self, data: bytes) -> None:
        self._rest = memoryview(data)

    def chunk(self, size_hint: int | None = None) -> bytes:
        size = max(size_hint or 0, _READ_AT_ONCE)
        piece, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return piece

    def take_buffered(self) -> bytes:
        piece: bytes = super().take_buffered() + bytes(self._rest)
        self._rest = memoryview(b"")
        return piece


class PatientSocket(socket.socket):
    """A connection that takes an answer at once; what the system does not take, it keeps.

    The loop sends it later. Only an answer of more than ANSWER_BYTES holds its thread, and only
    while `may_wait` is free: the others are hung up on.
    """

    def __init__(self, accepted: socket.socket, may_wait: threading.BoundedSemaphore) -> None:
        super().__init__(fileno=accepted.detach())
        self.unsent = bytearray()
        self._may_wait = may_wait

    def send(self, data: "ReadableBuffer", flags: int = 0, /) -> int:
        self.sendall(data)
        return len(memoryview(data))

    def sendall(self, data: "ReadableBuffer", flags: int = 0, /) -> None:
        rest = memoryview(data)
        if not self.unsent:
            with suppress(BlockingIOError):
                rest = rest[super().send(rest, socket.MSG_DONTWAIT) :]
        if rest:
            self.unsent += rest
            if len(self.unsent) > ANSWER_BYTES:
                self._wait_for_reader()

    def sendfile(self, file: "_SendableFile", offset: int = 0, count: int | None = None) -> int:
        file.seek(offset)
        sent = 0
        while count is None or sent < count:
            piece = file.read(PIECE if count is None else min(PIECE, count - sent))
            if not piece:
                break
            self.sendall(piece)
            sent += len(memoryview(piece))
        return sent

    def send_rest(self) -> None:
        """Send what the system takes now of what was kept."""
        with suppress(BlockingIOError):
            while self.unsent:
                del self.unsent[: super().send(self.unsent[:PIECE], socket.MSG_DONTWAIT)]

    def _wait_for_reader(self) -> None:
        can_be_written = select.poll()
        can_be_written.register(self, select.POLLOUT)
        may_wait = self._may_wait.acquire(blocking=False)
        try:
            while len(self.unsent) > ANSWER_BYTES // 2:
                if not (may_wait and can_be_written.poll(_READ_SECONDS * 1000)):
                    self.unsent.clear()
                    raise BrokenPipeError(errno.EPIPE, "The caller does not read its answer.")
                self.send_rest()
        finally:
            if may_wait:
                self._may_wait.release()
