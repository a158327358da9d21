"""Row 1: claim → send → log, in acknowledged postbacks per second.

All work becomes visible in one commit while the cluster is up and idle; the time runs from that
commit until nothing is left unacknowledged.
"""

import time

from tests.bench.stage import Stage

_SECONDS = 300.0


def measure(stage: Stage, side_index: int, count: int) -> float:
    """Measure one side once and return its rate."""
    side = stage.sides[side_index]
    last = side.last_postback()
    started_at = side.owe(count)
    stage.children.wait_until(side.is_idle, f"{side.name} has delivered", seconds=_SECONDS)
    seconds = time.time() - started_at
    stage.settle(side, after=last, expected=count)
    return count / seconds
