"""Counters and histograms that all processes of a data folder share, for `/metrics`.

Each process writes files of its own, as prometheus_client does for several processes. They lie in
mapped memory, so counting costs no system call, and they outlive a process that is killed. The
counts of processes that have ended are added up in one file, so that the folder stays small.
"""

import fcntl
import glob
import logging
import os
import secrets
import struct
import time
from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.utils import floatToGoString
from prometheus_client.values import MultiProcessValue

logger = logging.getLogger(__name__)

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it too
MOST_SERIES = 2_000  # of one counter in one process; what comes later is left out
LOCK_SECONDS = 2.0  # a process that is frozen while it holds the folder delays nobody longer
_FILE_BYTES = {"counter": 1 << 20, "histogram": 1 << 16}
_ENDED = "ended"
# What reading a file that a full disk or a power cut has spoiled may raise.
_UNREADABLE = (OSError, RuntimeError, ValueError, struct.error)


class _Process:
    """The files of this process. A forked child, and another folder, begin files of their own."""

    def __init__(self) -> None:
        self.name = "none"
        self._begun: tuple[int, str] | None = None
        self._is_recording = False
        self._lock_file: int | None = None
        self._lock = Lock()

    def is_recording(self) -> bool:
        """Tell whether this process has files, and make them the first time."""
        key = (os.getpid(), os.environ.get(FOLDER_VARIABLE, ""))
        if self._begun != key:
            with self._lock:
                if self._begun != key:
                    self._is_recording = self._begin(key[1])
                    self._begun = key
        return self._is_recording

    def _begin(self, path: str) -> bool:
        if not path:
            return False
        folder = Path(path)
        name = f"{os.getpid()}-{secrets.token_hex(4)}"  # containers share process ids
        made: list[Path] = []
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(folder):
                _fold_ended(folder)
                for kind, size in _FILE_BYTES.items():
                    made.append(folder / f"{kind}_{name}.db")
                    _allocate(made[-1], size)
                made.append(folder / f"{name}.lock")
                lock_file = os.open(made[-1], os.O_CREAT | os.O_RDWR, 0o600)
                fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            for file in made:
                with suppress(OSError):
                    file.unlink(missing_ok=True)
            logger.warning(
                "Nothing is counted for /metrics in this process, for the folder %s can't be"
                " written: %s",
                *(folder, error.strerror or error),
            )
            return False
        if self._lock_file is not None:
            os.close(self._lock_file)
        self._lock_file, self.name = lock_file, name
        return True


def _allocate(path: Path, size: int) -> None:
    """Make a file whose blocks are there: a page that finds the disk full kills its process."""
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.posix_fallocate(file, 0, size)
    finally:
        os.close(file)


_process = _Process()
_Value = MultiProcessValue(lambda: _process.name)


@dataclass(slots=True)
class Counter:
    """A number that only grows, for each combination of its labels' values."""

    name: str  # without `_total`, which the format adds
    help: str
    labels: tuple[str, ...] = ()
    _values: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def add(self, labels: tuple[str, ...], amount: float) -> None:
        """Add to one combination of labels; 0 makes it known."""
        if not _process.is_recording():
            return
        value = self._values.get(labels)
        if value is None:
            if len(self._values) >= MOST_SERIES:
                return
            total = f"{self.name}_total"
            value = _Value("counter", self.name, total, self.labels, labels, self.help)
            self._values[labels] = value
        value.inc(amount)


@dataclass(slots=True)
class Histogram:
    """How many values lie in each range, and their sum."""

    name: str
    help: str
    bounds: Sequence[float]
    _values: list[Any] = field(default_factory=list)

    def observe(self, values: Iterable[float]) -> None:
        """Count many values at once: a write for each range that any of them is in."""
        if not _process.is_recording():
            return
        if not self._values:
            self._values = [
                _Value("histogram", self.name, f"{self.name}_sum", (), (), self.help),
                *(
                    _Value(
                        "histogram",
                        self.name,
                        f"{self.name}_bucket",
                        ("le",),
                        (floatToGoString(bound),),
                        self.help,
                    )
                    for bound in (*self.bounds, float("inf"))
                ),
            ]
        total, *ranges = self._values
        counted = list(values)
        total.inc(sum(counted))
        for place, count in Tally(bisect_left(self.bounds, each) for each in counted).items():
            ranges[place].inc(count)


def collect() -> list[Metric]:
    """Return what all processes of the folder have counted, those that have ended included."""
    folder = Path(os.environ.get(FOLDER_VARIABLE, ""))
    if not os.environ.get(FOLDER_VARIABLE) or not folder.is_dir():
        return []
    try:
        with _locked(folder):
            _fold_ended(folder)
            files = [path for path in glob.glob(f"{folder}/*_*.db") if _is_readable(path)]
            return list(MultiProcessCollector.merge(files, accumulate=True))
    except _UNREADABLE as error:
        logger.warning("The folder %s can't be read for /metrics: %s", folder, error)
        return []


def _fold_ended(folder: Path) -> None:
    """Add the counts of ended processes to one file, and remove theirs. Raises OSError."""
    ended = [path.stem for path in folder.glob("*-*.lock") if _is_free(path)]
    if not ended:
        return
    for kind in _FILE_BYTES:
        _fold(folder, kind, [folder / f"{kind}_{name}.db" for name in ended])
    for name in ended:
        (folder / f"{name}.lock").unlink(missing_ok=True)


def _fold(folder: Path, kind: str, files: Sequence[Path]) -> None:
    total = folder / f"{kind}_{_ENDED}.db"
    counts: dict[str, float] = defaultdict(float)
    for path in (total, *files):
        if _is_readable(str(path)):
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):
                counts[key] += value
    fresh = folder / f"{kind}_{_ENDED}.new"
    fresh.unlink(missing_ok=True)
    _allocate(fresh, max(1 << 16, sum(len(key.encode()) + 32 for key in counts) + 1024))
    written = MmapedDict(str(fresh))
    for key, value in counts.items():
        written.write_value(key, value, 0.0)
    written.close()
    fresh.replace(total)
    for path in files:
        path.unlink(missing_ok=True)


def _is_readable(path: str) -> bool:
    try:
        for _ in MmapedDict.read_all_values_from_file(path):
            pass
    except FileNotFoundError:
        return False
    except _UNREADABLE as error:
        logger.warning("%s is left out of /metrics, for it can't be read: %s", path, error)
        return False
    return True


def _is_free(path: Path) -> bool:
    """Tell whether the process of a lock file has ended: the kernel takes its lock away."""
    with suppress(OSError):
        file = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(file)
        return True
    return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time read all files, or fold those of others. Raises OSError."""
    file = os.open(folder / "folder.lock", os.O_CREAT | os.O_RDWR, 0o600)
    gives_up_at = time.monotonic() + LOCK_SECONDS
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > gives_up_at:
                    raise TimeoutError("another process holds it") from None
                time.sleep(0.005)
        yield
    finally:
        os.close(file)
