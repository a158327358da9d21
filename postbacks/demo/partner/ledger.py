"""The stand-in's ledger: one line per accepted request, in a file that only grows.

A line is written in one system call before the response is sent, so a SIGKILL loses nothing that
was answered. Memory holds only the offset of each line.
"""

import fcntl
import json
import os
import threading
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

FILE_NAME = "received.jsonl"


class LedgerInUseError(Exception):
    """Another process already writes the ledger of this folder."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as received; the query stays encoded, a missing key is empty."""

    idempotency_key: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str


class Ledger:
    """Stores the accepted requests of one data folder; it is thread-safe."""

    def __init__(self, folder: Path) -> None:
        """Open the ledger and index the requests of earlier runs.

        Raises OSError if the folder can't be written, LedgerInUseError if another process uses it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / FILE_NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise LedgerInUseError(folder) from None
        self._lock = threading.Lock()
        self._starts = array("Q")
        self._lines_of: dict[str, list[int]] = {}
        self._end = 0
        self._reload(folder / FILE_NAME)

    def close(self) -> None:
        os.close(self._file)

    def accept(self, request: ReceivedRequest) -> None:
        """Record an accepted request, so that even a killed process can't lose it."""
        entry = asdict(request) | {
            "idempotency_key": request.idempotency_key or None,
            "status": int(HTTPStatus.OK),
            "received_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if os.write(self._file, line) != len(line):
                os.ftruncate(self._file, self._end)
                raise OSError("The disk took only a part of the line.")
            self._index(request.idempotency_key, len(line))

    def has(self, key: str) -> bool:
        """Return whether a request with this key has been accepted."""
        return key in self._lines_of

    def times_accepted(self) -> dict[str, int]:
        """Return the number of accepted requests by idempotency key."""
        with self._lock:
            return {key: len(lines) for key, lines in self._lines_of.items()}

    def newest(self, limit: int, *, key: str | None = None) -> list[bytes]:
        """Return up to `limit` requests as JSON objects, newest last; with `key` only its own."""
        with self._lock:
            lines: Sequence[int] = range(len(self._starts))
            if key is not None:
                lines = self._lines_of.get(key, [])
            newest = lines[max(0, len(lines) - limit) :]
            return [self._line(number) for number in newest]

    def _line(self, number: int) -> bytes:
        start = self._starts[number]
        last = number + 1 == len(self._starts)
        end = self._end if last else self._starts[number + 1]
        return os.pread(self._file, end - start - 1, start)

    def _reload(self, path: Path) -> None:
        with path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # a write that a power cut interrupted: it was never answered
                self._index(json.loads(line)["idempotency_key"] or "", len(line))
        os.ftruncate(self._file, self._end)

    def _index(self, key: str, length: int) -> None:
        if key:
            self._lines_of.setdefault(key, []).append(len(self._starts))
        self._starts.append(self._end)
        self._end += length
