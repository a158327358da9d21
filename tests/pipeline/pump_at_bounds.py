"""A pump in a process of its own, which works until nothing waits and says what it took.

`python -m tests.pipeline.pump_at_bounds` on the database of the environment, as a worker.
"""

import json
import sys
import time
from pathlib import Path

import django

django.setup()

from django.db import connection  # noqa: E402  # once Django knows the settings

from postbacks import pipeline  # noqa: E402
from postbacks.callbacks import rendering  # noqa: E402
from postbacks.delivery.http.curl_transport import CurlTransport  # noqa: E402
from postbacks.delivery.http.destinations import Destinations, parse_networks  # noqa: E402
from postbacks.delivery.pump import Pump  # noqa: E402
from postbacks.worker import tasks  # noqa: E402

_WAITING = """
SELECT EXISTS (SELECT FROM undecided_event) OR EXISTS (SELECT FROM due_postback)
"""


class Signs:
    """Signs of life, with the longest processor time and time between two."""

    def __init__(self) -> None:
        self.longest = [0.0, 0.0]
        self.count = 0
        self._last = self._now()

    def __call__(self) -> bool:
        now = self._now()
        gap = [end - start for end, start in zip(now, self._last, strict=True)]
        self.longest = [max(both) for both in zip(self.longest, gap, strict=True)]
        self.count += 1
        with connection.cursor() as cursor:
            cursor.execute(_WAITING)
            is_waiting = cursor.fetchone()[0]
        self._last = self._now()
        return bool(is_waiting)

    def _now(self) -> tuple[float, float]:
        return time.thread_time(), time.monotonic()


def main() -> None:
    assert tasks.run_pump  # all that a worker loads
    base = _peak_memory()
    signs = Signs()
    with CurlTransport(Destinations(parse_networks("127.0.0.0/8"))) as transport:
        Pump(
            transport=transport,
            decide=pipeline.work,
            prepare=rendering.render_postbacks,
            beat=signs,
            beat_seconds=0.0,
        ).run(float(sys.argv[1]))
    took = {"base_mb": base, "peak_mb": _peak_memory(), "signs": signs.count}
    took |= dict(zip(("longest_cpu_seconds", "longest_seconds"), signs.longest, strict=True))
    sys.stdout.write(json.dumps(took) + "\n")


def _peak_memory() -> int:
    """Return the most megabytes that this process has had, its parent's before it aside."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


if __name__ == "__main__":
    main()
